"""``python3 -m testbed.backends.mininet_side``: serves on descriptor 3 until the lab ends."""

from __future__ import annotations

import socket

from testbed.backends.mininet_side import no_mininet
from testbed.kernel.channel import Channel
from testbed.kernel.faces import error_to_json


def main() -> None:
    """Be the Mininet side."""
    channel = Channel(socket.socket(fileno=3))
    try:
        from testbed.backends.mininet_side.serving import Serving
    except ImportError as error:
        channel.receive()
        channel.send({"error": error_to_json(no_mininet(error))})
        return
    Serving(channel).run()


if __name__ == "__main__":
    main()
