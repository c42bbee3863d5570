"""How a service tells the lab what happens: one JSON line per message on an inherited socket.

The lab passes a ``SOCK_SEQPACKET`` descriptor whose number is in ``TESTBED_EVENTS_FD``.  Outside a
lab (no such variable) events go to a given text stream, or nowhere.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TextIO

from testbed.events.codec import encode
from testbed.events.kinds import Event, Record

VARIABLE = "TESTBED_EVENTS_FD"


class Emitter:
    """Sends events to the lab (or a stream); blocks rather than lose one."""

    def __init__(self, channel: socket.socket | None = None, stream: TextIO | None = None) -> None:
        self._channel = channel
        self._stream = stream

    @classmethod
    def from_environment(cls, fallback: TextIO | None = None) -> Emitter:
        """The emitter of a service started by a lab; otherwise one that writes to ``fallback``."""
        number = os.environ.get(VARIABLE)
        if number is None:
            return cls(stream=fallback)
        return cls(channel=socket.socket(fileno=int(number)))

    def emit(self, event: Event, time_ns: int | None = None) -> None:
        """Hand over one event, stamped with ``time_ns`` or the present time."""
        stamp = time.time_ns() if time_ns is None else time_ns
        line = encode(Record(time_ns=stamp, origin="service", event=event))
        if self._channel is not None:
            self._channel.sendall(line.encode())
        elif self._stream is not None:
            self._stream.write(line + "\n")
            self._stream.flush()
