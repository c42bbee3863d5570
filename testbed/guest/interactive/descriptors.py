"""The keeper's hold on a user's input and output: never waiting, and nothing changed for others.

A descriptor that came over a channel is one that the user's own programs use, too, so its flags are
not ours to change.  A pipe or terminal is opened once more, which gives it flags of its own.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import stat
import termios
import tty
from collections.abc import Callable
from contextlib import suppress

from testbed.errors import LabError

_CHUNK = 1 << 16
_FULL, _DRAINED = 1 << 18, 1 << 16


def window(descriptor: int) -> tuple[int, int]:
    """Rows and columns of a terminal.

    Raises:
        LabError: it was hung up meanwhile.
    """
    try:
        return termios.tcgetwinsize(descriptor)
    except termios.error as error:
        raise LabError("the terminal has gone") from error


def _own(descriptor: int) -> int:
    """The same pipe or terminal with flags of our own, not waiting; else the descriptor itself."""
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return descriptor
    access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    flags = access | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        again = os.open(f"/proc/self/fd/{descriptor}", flags)
    except OSError:
        return descriptor  # another user's terminal: it is waited for before every use
    os.close(descriptor)
    return again


class Source:
    """What a user's command reads; read only when asked to, for others may read it, too."""

    def __init__(
        self, descriptor: int, take: Callable[[bytes], None], *, always: bool = False
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor = _own(descriptor)
        self._take, self._always = take, always
        self._is_open = True
        if always:
            self.want()

    def want(self) -> None:
        """Read once, when there is something, and hand that on (nothing, at the end)."""
        if not self._is_open:
            self._loop.call_soon(self._take, b"")
            return
        try:
            self._loop.add_reader(self._descriptor, self._read)
        except PermissionError:  # a file: it never waits
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        if not self._is_open:
            return
        with suppress(OSError, ValueError):
            if not self._always:
                self._loop.remove_reader(self._descriptor)
        try:
            data = _read(self._descriptor)
        except BlockingIOError:
            self.want()
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        self._take(data)

    def close(self) -> None:
        """Read no more."""
        if self._is_open:
            self._is_open = False
            with suppress(OSError, ValueError):
                self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)


class Sink:
    """Where a user's command writes; keeps what is not taken yet, and says when that is much."""

    def __init__(
        self, descriptor: int, pause: Callable[[bool], None], gone: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor = _own(descriptor)
        self._pause, self._gone = pause, gone
        self._unwritten = bytearray()
        self._paused = self._ending = False
        self.is_open = True
        self.on_empty: Callable[[], None] = lambda: None

    @property
    def is_empty(self) -> bool:
        """Has everything been taken?"""
        return not self._unwritten

    def write(self, data: bytes) -> None:
        """Write, now or as soon as it is taken."""
        if self.is_open:
            self._unwritten += data
            self._write()

    def end(self) -> None:
        """Close when everything has been taken."""
        self._ending = True
        self._write()

    def _write(self) -> None:
        if not self.is_open:
            return
        try:
            while self._unwritten:
                del self._unwritten[: _write(self._descriptor, bytes(self._unwritten[:_CHUNK]))]
        except BlockingIOError:
            with suppress(PermissionError):
                self._loop.add_writer(self._descriptor, self._write)
        except OSError:  # nobody reads it any more, or the disk is full
            self._unwritten.clear()
            self.close()
            self._gone()
        else:
            with suppress(OSError, ValueError):
                self._loop.remove_writer(self._descriptor)
            if self._ending:
                self.close()
        self._tell()

    def _tell(self) -> None:
        if not self._paused and len(self._unwritten) > _FULL:
            self._paused = True
            self._pause(True)
        elif self._paused and len(self._unwritten) < _DRAINED:
            self._paused = False
            self._pause(False)
        if not self._unwritten:
            self.on_empty()

    def close(self) -> None:
        """Write no more."""
        if self.is_open:
            self.is_open = False
            self._unwritten.clear()
            with suppress(OSError, ValueError):
                self._loop.remove_writer(self._descriptor)
            os.close(self._descriptor)


def make_raw(terminal: int) -> None:
    """Let every byte through as it is: the guest's terminal does what a terminal does.

    Raises:
        LabError: it was hung up meanwhile.
    """
    try:
        tty.setraw(terminal, termios.TCSANOW)
    except termios.error as error:
        raise LabError("the terminal has gone") from error


def _read(descriptor: int) -> bytes:
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            return sock.recv(_CHUNK, socket.MSG_DONTWAIT)
    return os.read(descriptor, _CHUNK)


def _write(descriptor: int, data: bytes) -> int:
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            return sock.send(data, socket.MSG_DONTWAIT)
    return os.write(descriptor, data)
