"""What host and guest tell each other over ``/dev/hostlink``: kind, length, content.

While the guest reads or writes, its whole machine and its clock stand still, so a conversation
takes no time of the guest's.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any

DEVICE = "/dev/hostlink"

_HEAD = struct.Struct("!BI")


class Kind(IntEnum):
    """What a message is about."""

    JOB = 1
    """Host to guest, the first: what to run (JSON)."""
    HELLO = 2
    """The guest's first program runs (empty)."""
    STARTED = 3
    """The guest is furnished and the command started (empty)."""
    OUTPUT = 4
    """Bytes that the command wrote to its standard output."""
    ERRORS = 5
    """Bytes that the command wrote to its standard error."""
    ENDED = 6
    """The command ended (JSON: ``status``, as a shell counts it)."""
    FAILED = 7
    """The guest cannot do its job (JSON: ``what``, ``where``, ``hint``)."""
    TALK = 8
    """Between keeper and agent of a lab that is up: see :mod:`testbed.guest.interactive.talk`."""


class LinkClosedError(Exception):
    """The other end is gone."""


class Inbox:
    """Messages out of bytes that come in pieces, for whoever must not wait for the rest of one."""

    def __init__(self) -> None:
        self._data = bytearray()

    def take(self, data: bytes) -> list[tuple[Kind, bytes]]:
        """The messages that these bytes complete."""
        self._data += data
        found = []
        while len(self._data) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._data)
            end = _HEAD.size + length
            if len(self._data) < end:
                break
            found.append((Kind(kind), bytes(self._data[_HEAD.size : end])))
            del self._data[:end]
        return found


class Link:
    """One end; ``read`` and ``write`` are those of a descriptor and may do less than asked."""

    def __init__(self, read: Callable[[int], bytes], write: Callable[[bytes], int]) -> None:
        self._read, self._write = read, write

    def send(self, kind: Kind, content: bytes = b"") -> None:
        """Send a message; comes back when the other side has taken it (or its socket has)."""
        data = memoryview(_HEAD.pack(kind, len(content)) + content)
        while data:
            data = data[self._write(bytes(data)) :]

    def send_json(self, kind: Kind, value: Any) -> None:
        """Send a message whose content is JSON."""
        self.send(kind, json.dumps(value).encode())

    def receive(self) -> tuple[Kind, bytes]:
        """The next message.

        Raises:
            LinkClosedError: there is none and will be none.
        """
        kind, length = _HEAD.unpack(self._exactly(_HEAD.size))
        return Kind(kind), self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = self._read(length)
            if not part:
                raise LinkClosedError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)
