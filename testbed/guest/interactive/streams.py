"""Inside the guest: what a command or a capture reads and writes, carried to and from the host."""

from __future__ import annotations

import os
import pty
import selectors
import struct
import termios
from collections.abc import Callable
from contextlib import suppress

CHUNK = 1 << 16
_MOST_READS = 64
_ROOM = 1 << 18

IN, OUT, TERMINAL = "in", "out", "terminal"

Send = Callable[[dict[str, object], bytes], None]
"""Sends something about a stream to the keeper."""


class Stream:
    """One pipe or terminal; ``theirs`` is the end for the lab, until :meth:`hand_over`.

    What comes from the lab goes to ``send``; what the host gives is written as fast as it is taken.
    """

    def __init__(
        self, kind: str, selector: selectors.BaseSelector, send: Send, size: tuple[int, int]
    ) -> None:
        self.kind = kind
        self._selector, self._send = selector, send
        if kind == IN:
            self.theirs, self._ours = os.pipe2(os.O_CLOEXEC)
        elif kind == OUT:
            self._ours, self.theirs = os.pipe2(os.O_CLOEXEC)
        else:
            self._ours, self.theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self.device = os.fstat(self.theirs)
        self._unwritten = bytearray()
        self._ending = self._paused = False
        self.is_open = True
        if kind == TERMINAL:
            self.resize(*size)
        self._watch()

    def hand_over(self) -> None:
        """The lab has its end: close ours of it."""
        os.close(self.theirs)
        self.theirs = -1

    @property
    def is_paused(self) -> bool:
        """Does the host not take any more for now?"""
        return self._paused and self.is_open

    @property
    def has_unread(self) -> bool:
        """Is there input that the lab has not taken?"""
        if self._unwritten or not self.is_open:
            return bool(self._unwritten)
        if self.kind != IN:
            return False
        waiting = bytearray(4)
        import fcntl

        fcntl.ioctl(self._ours, termios.FIONREAD, waiting)
        return bool(struct.unpack("=i", waiting)[0])

    def write(self, data: bytes) -> None:
        """Give the lab what the host has sent."""
        if self.is_open:
            self._unwritten += data
            self._feed()

    def end_input(self) -> None:
        """The host has no more to give."""
        self._ending = True
        self._feed()

    def pause(self, wanted: bool) -> None:
        """Take no more from the lab until told otherwise."""
        self._paused = wanted
        if self.is_open:
            self._watch()

    def resize(self, rows: int, columns: int) -> None:
        """The terminal's window has another size."""
        if self.kind == TERMINAL and self.is_open:
            termios.tcsetwinsize(self._ours, (rows, columns))

    def on_ready(self, mask: int) -> None:
        """The selector says that something can be read or written."""
        if mask & selectors.EVENT_WRITE:
            self._feed()
        if mask & selectors.EVENT_READ and self.is_open:
            self.pass_on()

    def pass_on(self) -> bool:
        """Send what the lab has written, as much as one read gives; false if there is none."""
        try:
            data = os.read(self._ours, CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the terminal any more
            data = b""
        if data:
            self._send({"data": True}, data)
            return True
        if self.kind != IN:
            self._send({"end": True}, b"")
        self.close()
        return False

    def pass_on_all(self) -> None:
        """Send what there is; a job left in the background may write for ever."""
        for _ in range(_MOST_READS):
            if not self.is_open or self.kind == IN or not self.pass_on():
                return

    def close(self) -> None:
        """Give the descriptors back."""
        if self.theirs >= 0:
            self.hand_over()
        if self.is_open:
            self.is_open = False
            with suppress(KeyError):
                self._selector.unregister(self._ours)
            os.close(self._ours)
            self._unwritten.clear()

    def _feed(self) -> None:
        if not self.is_open:
            return
        try:
            while self._unwritten:
                del self._unwritten[: os.write(self._ours, self._unwritten[:CHUNK])]
        except BlockingIOError:
            pass
        except OSError:  # nobody reads it
            self._unwritten.clear()
            if self.kind == IN:
                self._ending = True
        if self._ending and self.kind == IN and not self._unwritten:
            self.close()
        else:
            self._watch()

    def _watch(self) -> None:
        reads = self.kind != IN and not self._paused
        events = selectors.EVENT_READ if reads else 0
        events |= selectors.EVENT_WRITE if self._unwritten else 0
        watched = self._ours in self._selector.get_map()
        if events and watched:
            self._selector.modify(self._ours, events, self.on_ready)
        elif events:
            self._selector.register(self._ours, events, self.on_ready)
        elif watched:
            self._selector.unregister(self._ours)
