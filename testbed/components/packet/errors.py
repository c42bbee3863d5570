"""The one exception of the packet codecs."""

from __future__ import annotations

from testbed.errors import TestbedError


class MalformedPacketError(TestbedError):
    """The bytes are not a packet of the expected form; ``reason`` says what is wrong.

    Every codec of this package raises this and nothing else on bad bytes, so that a component can
    count the packet as dropped and carry on.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"malformed packet: {reason}")
        self.reason = reason
