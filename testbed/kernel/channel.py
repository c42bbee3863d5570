"""Messages between processes: JSON objects, and descriptors, over SOCK_SEQPACKET."""

from __future__ import annotations

import array
import json
import os
import select
import socket
import struct
import time
from pathlib import Path
from typing import Any

from testbed.errors import LabError

_MAX_MESSAGE = 160 * 1024
_MAX_DESCRIPTORS = 16
_IN_MEMORY = "in memory"
_MAX_IN_MEMORY = 256 * 1024 * 1024

_FIRST_LOOK, _LAST_LOOK = 1.0, 60.0
"""Seconds until one looks why no answer comes; doubled each time, so that hours cost little."""


class ChannelClosedError(LabError):
    """The other side of a channel is gone."""


class NoAnswerError(LabError):
    """A lab is there but does not answer: its supervisor is stopped or hangs."""


class Channel:
    """One connection; either side may send objects with descriptors attached."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two connected ends."""
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(left), cls(right)

    def fileno(self) -> int:
        """The descriptor, for waiting."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close; the other side sees the end."""
        self._socket.close()

    def never_wait(self) -> None:
        """Have :meth:`send` fail rather than wait for the other side to read."""
        self._socket.setblocking(False)

    def set_timeout(self, seconds: float | None) -> None:
        """How long :meth:`receive` waits; None for ever."""
        self._socket.settimeout(seconds)

    def send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        """Send one message.

        Raises:
            ChannelClosedError: the other side is gone.
        """
        data = json.dumps(message).encode()  # ASCII: arguments may hold bytes that are no text
        if len(data) > _MAX_MESSAGE:
            self._send_in_memory(data, descriptors)
            return
        self._send_bytes(data, descriptors)

    def _send_in_memory(self, data: bytes, descriptors: tuple[int, ...]) -> None:
        """What no packet of a socket holds goes over as a file in memory."""
        memory = os.memfd_create("message", os.MFD_CLOEXEC)
        try:
            with open(memory, "wb", closefd=False) as file:  # a descriptor
                file.write(data)
            head = json.dumps({_IN_MEMORY: len(data)}).encode()
            self._send_bytes(head, (memory, *descriptors))
        finally:
            os.close(memory)

    def _send_bytes(self, data: bytes, descriptors: tuple[int, ...]) -> None:
        try:
            if descriptors:
                socket.send_fds(self._socket, [data], descriptors)
            else:
                self._socket.send(data)
        except (BlockingIOError, ConnectionError) as error:
            # The lab's side never waits for somebody who asks but does not read.
            raise ChannelClosedError("the lab's channel is closed") from error

    def receive(self) -> tuple[dict[str, Any], tuple[int, ...]]:
        """The next message and its descriptors (close-on-exec).

        Raises:
            ChannelClosedError: the other side is gone.
            TimeoutError: nothing came in time.
        """
        try:
            data, descriptors = self._receive_bytes()
        except ConnectionError as error:
            raise ChannelClosedError("the lab's channel is closed") from error
        if not data:
            raise ChannelClosedError("the lab's channel is closed")
        try:
            message = json.loads(data)
            if isinstance(message, dict) and _IN_MEMORY in message and descriptors:
                memory, descriptors = descriptors[0], descriptors[1:]
                message = json.loads(_from_memory(memory, int(message[_IN_MEMORY])))
            if not isinstance(message, dict):
                raise TypeError("it is not an object")
        except (ValueError, TypeError, RecursionError, OSError) as error:
            for descriptor in descriptors:
                os.close(descriptor)
            raise LabError(f"a message on the lab's channel makes no sense: {error}") from error
        return message, descriptors

    def answer(
        self, lab: str, limit: float | None = None
    ) -> tuple[dict[str, Any], tuple[int, ...]]:
        """As :meth:`receive`, but waits for nobody who cannot answer.

        Args:
            lab: its name, for the error.
            limit: seconds after which a lab that runs is told to hang; None: what was asked for
                may take as long as it likes.

        Raises:
            NoAnswerError: the supervisor is stopped (SIGSTOP), or the limit is over.
            ChannelClosedError: the lab went down meanwhile.
        """
        try:
            if self._socket.gettimeout() is None:
                self._await_answer(lab, limit)
            return self.receive()
        except ChannelClosedError as error:
            raise ChannelClosedError(f"lab {lab!r} went down before it answered") from error

    def _await_answer(self, lab: str, limit: float | None) -> None:
        start = time.monotonic()
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        patience = _FIRST_LOOK
        while not poll.poll(patience * 1000):
            patience = min(2 * patience, _LAST_LOOK)
            pid, _ = self.peer()
            if _is_stopped(pid):
                raise NoAnswerError(
                    f"lab {lab!r} does not answer: its supervisor (process {pid}) is stopped",
                    hint=f"let it go on (kill -CONT {pid}) or end the lab: testbed down {lab}",
                )
            if limit is not None and time.monotonic() - start > limit:
                raise NoAnswerError(
                    f"lab {lab!r} has not answered in {limit:g} s (process {pid})",
                    hint="it may still be coming up; see logs/lab.log of its run folder, or kill "
                    f"it: kill -KILL {pid} ends all of it",
                )

    def _receive_bytes(self) -> tuple[bytes, tuple[int, ...]]:
        space = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
        data, ancillary, _, _ = self._socket.recvmsg(
            _MAX_MESSAGE + 1, space, socket.MSG_CMSG_CLOEXEC
        )
        descriptors = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                whole = len(content) - len(content) % descriptors.itemsize
                descriptors.frombytes(content[:whole])
        return data, tuple(descriptors)

    def peer(self) -> tuple[int, int]:
        """Pid and user at the other end (SO_PEERCRED), as numbered in our own namespaces."""
        data = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid, uid, _ = struct.unpack("3i", data)
        return int(pid), int(uid)


def _from_memory(memory: int, size: int) -> bytes:
    """The bytes of a message that came as a file; the descriptor is closed.

    Raises:
        ValueError: it is too long or cut off.
        OSError: it is no file.
    """
    try:
        data = os.pread(memory, size, 0) if 0 <= size <= _MAX_IN_MEMORY else b""
    finally:
        os.close(memory)
    if len(data) != size:
        raise ValueError("a long message is cut off")
    return data


def _is_stopped(pid: int) -> bool:
    """True for a process in state T (stopped) or t (held by a debugger)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] in ("T", "t")
