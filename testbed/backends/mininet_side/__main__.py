"""``python3 -m testbed.backends.mininet_side``: serves on descriptor 3 until the lab ends."""

from __future__ import annotations

import socket
import sys

from testbed.errors import MissingFeatureError
from testbed.kernel.channel import Channel
from testbed.kernel.faces import error_to_json


def main() -> None:
    """Be the Mininet side."""
    channel = Channel(socket.socket(fileno=3))
    try:
        from testbed.backends.mininet_side.serving import Serving
    except ImportError as error:
        channel.receive()
        missing = MissingFeatureError(
            f"Mininet cannot be loaded: {error}",
            where=sys.executable,
            hint="apt-get install --no-install-recommends mininet",
        )
        channel.send({"error": error_to_json(missing)})
        return
    Serving(channel).run()


if __name__ == "__main__":
    main()
