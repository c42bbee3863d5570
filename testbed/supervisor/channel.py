"""Messages between a lab and its users: JSON objects, and descriptors, over SOCK_SEQPACKET.

The lab listens on a socket in the *abstract* namespace of the host's network namespace: no file is
left behind whatever happens, and the name itself tells whether a lab of that name is up.
"""

from __future__ import annotations

import array
import errno
import json
import os
import re
import select
import socket
import struct
import time
from pathlib import Path
from typing import Any

from testbed.errors import LabError, LabExistsError, LabNotFoundError

_PREFIX = "testbed-lab"
_MAX_MESSAGE = 160 * 1024
_MAX_DESCRIPTORS = 16
_IN_MEMORY = "in memory"
_MAX_IN_MEMORY = 256 * 1024 * 1024


_FIRST_LOOK, _LAST_LOOK = 1.0, 60.0
"""Seconds until one looks why no answer comes; doubled each time, so that hours cost little."""
_LONGEST_CONNECT = 10
"""Seconds, for the case that a lab takes no connections any more and its queue is full."""


class ChannelClosedError(LabError):
    """The other side of a channel is gone."""


class NoAnswerError(LabError):
    """A lab is there but does not answer: its supervisor is stopped or hangs."""


def check_name(lab: str) -> None:
    """A lab's name is part of a socket's name and of a folder's.

    Raises:
        LabError: it cannot be.
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", lab) is None:
        raise LabError(
            f"{lab!r} cannot be the name of a lab",
            hint="letters, digits, '_', '.' and '-', a letter or digit first, at most 80",
        )


def socket_name(lab: str, uid: int) -> str:
    """The abstract name of a lab's socket."""
    return f"\0{_PREFIX}/{uid}/{lab}"


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


def exists_already(lab: str) -> LabExistsError:
    """The error for a name that is taken."""
    return LabExistsError(
        f"a lab named {lab!r} is up already",
        hint=f"use it (testbed exec {lab} NODE COMMAND), take it down (testbed down {lab}), "
        "or give this one another name (--name)",
    )


def listen(lab: str) -> socket.socket:
    """Claim a lab's name for this user.

    Raises:
        LabExistsError: a lab of that name is up already.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(socket_name(lab, os.geteuid()))
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise LabError(f"cannot listen for lab {lab!r}: {error.strerror}") from error
        raise exists_already(lab) from error
    listener.listen(64)
    return listener


def connect(lab: str) -> Channel:
    """A connection to a lab of this user that is up.

    Raises:
        LabNotFoundError: there is none of that name.
        NoAnswerError: it is there, and its queue of connections is full.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _LONGEST_CONNECT, 0))
    try:
        sock.connect(socket_name(lab, os.geteuid()))
    except BlockingIOError as error:
        sock.close()
        raise NoAnswerError(
            f"lab {lab!r} takes no connection: very many wait, and its supervisor does nothing",
            hint="find the process with ps -C testbed-lab; kill -CONT lets one that is stopped go "
            "on, kill -KILL ends the lab",
        ) from error
    except OSError as error:
        sock.close()
        running = ", ".join(running_labs()) or "none"
        raise LabNotFoundError(
            f"no lab named {lab!r} is up for this user",
            hint=f"labs up now: {running}; bring one up with: testbed up TOPOLOGY",
        ) from error
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 0))
    return Channel(sock)


def _is_stopped(pid: int) -> bool:
    """True for a process in state T (stopped) or t (held by a debugger)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] in ("T", "t")


def running_labs() -> list[str]:
    """The names of this user's labs, from the kernel's own list of sockets."""
    prefix = f"@{_PREFIX}/{os.geteuid()}/"
    names: set[str] = set()
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as table:  # noqa: PTH123
        for line in table:
            path = line.split(maxsplit=7)[-1].strip()
            if path.startswith(prefix):
                names.add(path.removeprefix(prefix))
    return sorted(names)
