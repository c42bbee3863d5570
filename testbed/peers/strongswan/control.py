"""A connection to charon: commands, and the events one asked for (vici)."""

from __future__ import annotations

import socket
import struct
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.peers.strongswan.messages import (
    Packet,
    PacketType,
    Section,
    ViciError,
    decode_packet,
    encode_packet,
)

_LENGTH = struct.Struct("!I")
_LARGEST = 512 * 1024


class ControlClosedError(ViciError):
    """charon has closed the connection: it ends."""


class Control:
    """One connection to charon.  Blocking; for one thread."""

    def __init__(self, path: Path) -> None:
        """Connect.

        Raises:
            OSError: nobody listens there (yet).
        """
        self._path = path
        self._waiting: deque[Packet] = deque()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """For select: readable when an event has come."""
        return self._socket.fileno()

    def listen(self, *names: str) -> None:
        """Ask for these events from now on.

        Raises:
            ViciError: charon knows no such event.
        """
        for name in names:
            self._send(Packet(PacketType.REGISTER, name))
            if self._answer().type is not PacketType.CONFIRM:
                raise ViciError(f"charon has no event called {name!r}", where=str(self._path))

    def ask(self, command: str, message: Section | None = None) -> Section:
        """Send a command and return its answer.

        Raises:
            ViciError: charon refused it; its own words are in the error.
        """
        self._send(Packet(PacketType.REQUEST, command, message or {}))
        answer = self._answer()
        if answer.type is not PacketType.RESPONSE:
            raise ViciError(f"charon has no command called {command!r}", where=str(self._path))
        if answer.message.get("success", "yes") != "yes":
            why = answer.message.get("errmsg", "no reason given")
            raise ViciError(f"charon refused {command}: {why}", where=str(self._path))
        return answer.message

    def collect(self, command: str, event: str, message: Section | None = None) -> list[Section]:
        """Send a command that answers by events (``list-sas``); all of them."""
        self.listen(event)
        self.ask(command, message)
        found = [packet.message for packet in self._waiting if packet.name == event]
        self._waiting = deque(packet for packet in self._waiting if packet.name != event)
        self._send(Packet(PacketType.UNREGISTER, event))
        self._answer()
        return found

    @property
    def has_event(self) -> bool:
        """Has one come already, beside an answer?  Then the descriptor does not tell of it."""
        return bool(self._waiting)

    def next_event(self) -> Packet:
        """Wait for an event."""
        return self._waiting.popleft() if self._waiting else self._receive()

    def _answer(self) -> Packet:
        while (packet := self._receive()).type is PacketType.EVENT:
            self._waiting.append(packet)
        return packet

    def _send(self, packet: Packet) -> None:
        data = encode_packet(packet)
        try:
            self._socket.sendall(_LENGTH.pack(len(data)) + data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ControlClosedError("charon has gone", where=str(self._path)) from error

    def _receive(self) -> Packet:
        (size,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if size > _LARGEST:
            raise ViciError(f"charon sends a packet of {size} bytes", where=str(self._path))
        return decode_packet(self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                piece = self._socket.recv(size - len(data))
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise ControlClosedError("charon has gone", where=str(self._path))
            data += piece
        return bytes(data)
