"""``python3 -m testbed.backends.mininet_side``: serves on descriptor 3 until the lab ends."""

from __future__ import annotations

import socket
import sys

from testbed.kernel.channel import Channel


def main() -> None:
    """Be the Mininet side."""
    channel = Channel(socket.socket(fileno=3))
    from testbed.backends.mininet_side.serving import Serving

    Serving(channel).run()


if __name__ == "__main__":
    main()
    sys.exit(0)
