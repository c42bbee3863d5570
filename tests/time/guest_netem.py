"""Runs in a guest: what impairments do to packets, by the packets' own times.  Prints JSON.

A capture sees what leaves an interface when its queueing discipline has let it go, so one-way
figures are: when the packet was sent by the program's clock, when it arrived by the capture's.
"""

from __future__ import annotations

import json
import re
import struct
import time
from contextlib import ExitStack
from pathlib import Path

from testbed.evidence.pcapng_reader import PcapngReader
from testbed.guest.job import RUN_FOLDER
from testbed.lab import Lab
from testbed.model import Impairment
from tests.lab.conftest import two_hosts

_ETHERNET_IP, _UDP = 34, 42
_FRAME_OF_1000 = 1000 - _UDP

_CASES: dict[str, tuple[Impairment, int, float, int]] = {
    # impairment, packets, seconds from one to the next, bytes in each
    "delay": (Impairment(delay=0.1), 20, 0.01, 8),
    "short delay": (Impairment(delay=0.00025), 20, 0.01, 8),
    "jitter": (Impairment(delay=0.1, jitter=0.01), 100, 1.0, 8),
    "rate": (Impairment(delay=0.01, rate=1_000_000), 20, 0.0, _FRAME_OF_1000),
    "bucket": (Impairment(rate=1_000_000, queue=5), 20, 0.0, 1472),
    "loss": (Impairment(loss=0.2), 300, 0.001, 8),
    "all lost": (Impairment(loss=1.0), 20, 0.001, 8),
    "duplicate": (Impairment(duplicate=1.0), 20, 0.01, 8),
    "reorder": (Impairment(delay=0.1, reorder=0.25), 200, 0.01, 8),
    "queue": (Impairment(delay=0.1, queue=5), 20, 0.0, 8),
}


def send(
    lab: Lab, port: int, impairment: Impairment, many: int, gap: float, size: int
) -> list[int]:
    """Send numbered packets through an impaired interface; when each was sent."""
    lab.impair("alice:eth0", impairment)
    sent = []
    with lab.socket("alice") as sender:
        sender.connect(("192.0.2.2", port))
        for number in range(many):
            sent.append(time.time_ns())
            sender.send(struct.pack("!Q", number).ljust(size, b"."))
            if gap:
                lab.sleep(gap)
    lab.sleep(10)
    return sent


def arrivals(path: Path) -> dict[int, list[tuple[int, int]]]:
    """By port: number and time of each packet that came to bob, as it came."""
    found: dict[int, list[tuple[int, int]]] = {}
    with path.open("rb") as file:
        for packet in PcapngReader(file):
            port = int.from_bytes(packet.data[_ETHERNET_IP + 2 : _ETHERNET_IP + 4])
            number = int.from_bytes(packet.data[_UDP : _UDP + 8])
            assert packet.time_ns is not None
            found.setdefault(port, []).append((number, packet.time_ns))
    return found


def round_trips(lab: Lab) -> dict[str, object]:
    """Pings over a cable that delays what comes back: by ping, and by the packets' times."""
    lab.impair("alice:eth0", Impairment())
    lab.impair("bob:eth0", Impairment(delay=0.1))
    with lab.capture("alice:eth0", expression="icmp") as capture:
        said = lab.run("alice", ["ping", "-c", "5", "-i", "60", "192.0.2.2"], timeout=600).stdout
    times: dict[int, list[int]] = {}
    with capture.path.open("rb") as file:
        for packet in PcapngReader(file):
            assert packet.time_ns is not None
            sequence = int.from_bytes(packet.data[_ETHERNET_IP + 6 : _ETHERNET_IP + 8])
            times.setdefault(sequence, []).append(packet.time_ns)
    return {
        "ping": re.findall(r"time=(\S+ ms)", said),
        "packets_ns": [back - out for out, back in times.values()],
    }


def measure(lab: Lab) -> dict[str, object]:
    """All of it."""
    said: dict[str, object] = {}
    lab.run("alice", ["ping", "-c", "1", "192.0.2.2"], check=True)  # the neighbours know each other
    with ExitStack() as stack:
        for port in range(6000, 6000 + len(_CASES)):  # somebody is there: no errors come back
            stack.enter_context(lab.socket("bob")).bind(("192.0.2.2", port))
        wanted = "udp and dst portrange 6000-6099"
        capture = stack.enter_context(lab.capture("bob:eth0", expression=wanted))
        sent = {port: send(lab, port, *case) for port, case in enumerate(_CASES.values(), 6000)}
    came = arrivals(capture.path)
    for port, name in enumerate(_CASES, 6000):
        said[name] = {"sent": sent[port], "came": came.get(port, [])}
    return {**said, "round trips": round_trips(lab)}


if __name__ == "__main__":
    with Lab.up(two_hosts(), run_folder=Path(RUN_FOLDER, "lab")) as up:
        print(json.dumps(measure(up)))
