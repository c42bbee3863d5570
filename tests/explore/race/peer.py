"""A tiny peer that renews a key with another one, over UDP: a CHILD_SA rekey in miniature.

Each sends its data every second under the key it believes in, and says so when it gets data under
another.  A request names the new key; who gets one takes it and answers, and who gets the answer
takes it, too.  The naive peer does that also when both requests cross: then each ends with the key
of its own request.  The careful one knows the rule of RFC 7296 section 2.8.1 (here: of two crossing
requests the one with the larger key counts).
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import time

PORT = 4500


def main() -> None:
    """Be a peer until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("other")
    parser.add_argument("after", type=float)
    parser.add_argument("--careful", action="store_true")
    options = parser.parse_args()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", PORT))
    begin = time.monotonic()
    renew_at, data_at = begin + options.after, begin + 1
    key, asked = 0, None

    def send(**message: object) -> None:
        sock.sendto(json.dumps(message).encode(), (options.other, PORT))

    def take(new: int) -> None:
        nonlocal key
        key = new
        print(f"key {key}", flush=True)

    while True:
        now = time.monotonic()
        if now >= renew_at:
            renew_at = float("inf")
            asked = int.from_bytes(os.urandom(4), "big")
            send(ask=asked)
        if now >= data_at:
            data_at += 1
            send(data=key)
        if not select.select([sock], [], [], max(min(renew_at, data_at) - now, 0))[0]:
            continue
        message = json.loads(sock.recv(2000))
        if "data" in message and message["data"] != key:
            print(f"lost: data under key {message['data']}, not {key}", flush=True)
        if "ask" in message:
            crossing = asked is not None
            if options.careful and crossing and asked > message["ask"]:
                continue  # theirs does not count, and they know
            if options.careful and crossing:
                asked = None
            take(message["ask"])
            send(answer=message["ask"])
        if "answer" in message and asked == message["answer"]:
            asked = None
            take(message["answer"])


if __name__ == "__main__":
    main()
