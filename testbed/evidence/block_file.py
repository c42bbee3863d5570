"""Where a capture's blocks go: a file, or a pipe somebody reads; whole blocks or none."""

from __future__ import annotations

import errno
import os
import select
import stat
import struct

from testbed.errors import TestbedError
from testbed.evidence.pcapng import ENHANCED_PACKET

# A pipe that poll() calls writable takes this much without blocking (pipe(7), PIPE_BUF).
_PIPE_PORTION = 4096
_PIPE_TRIM = 1024 * 1024
_HELD_LIMIT = 16 * 1024 * 1024
_HINTS = {
    errno.ENOSPC: "make room on the disk; what was captured so far can be read",
    errno.EDQUOT: "the disk quota is used up; what was captured so far can be read",
    errno.EFBIG: "the file is as large as it may get; what was captured so far can be read",
}


class CaptureFileError(TestbedError):
    """The capture could not be written any further."""


class ReaderGoneError(CaptureFileError):
    """Nobody reads the stream any more (a Wireshark that was closed)."""


class BlockFile:
    """Takes blocks and writes them out.

    A regular file is written at once and never ends within a block: if the disk is full the file is
    cut back to its last whole block.  A pipe is written as its reader reads, without ever blocking.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._taken = 0  # packets taken in
        self._waiting = bytearray()  # begins with a block
        self._done = 0  # bytes of it that are written out
        self._poll = select.poll()
        if not self.is_regular:
            self._poll.register(descriptor, select.POLLOUT)

    def fileno(self) -> int:
        """The descriptor, to wait on: :meth:`flush` when it is writable."""
        return self._descriptor

    @property
    def waiting(self) -> int:
        """Bytes taken in but not written out."""
        return len(self._waiting) - self._done

    @property
    def is_full(self) -> bool:
        """True while so much waits for a slow reader that no more should be taken in."""
        return self.waiting > _HELD_LIMIT

    @property
    def packets(self) -> int:
        """Packet blocks written out in full."""
        _, packets = self._beyond()
        return self._taken - packets

    def add(self, blocks: bytes, packets: int = 0) -> None:
        """Take in whole blocks, so many of them packets; :meth:`flush` writes them."""
        self._waiting += blocks
        self._taken += packets

    def flush(self, timeout_s: float = 0.0) -> bool:
        """Write out: to a file everything, to a pipe what it takes within the time.

        Returns:
            True when nothing waits any more.

        Raises:
            ReaderGoneError: the other end of the pipe is closed.
            CaptureFileError: the disk is full, or another error of the system.
        """
        try:
            # Every view must be released before the buffer can shrink.
            with memoryview(self._waiting) as view:
                while self._done < len(view):
                    end = len(view)
                    if not self.is_regular:
                        if not self._poll.poll(timeout_s * 1000):
                            break
                        end = min(end, self._done + _PIPE_PORTION)
                    with view[self._done : end] as portion:
                        self._done += os.write(self._descriptor, portion)
        except BlockingIOError:
            pass  # the reader's side made the shared pipe non-blocking
        except OSError as error:
            raise self._failure(error) from error
        if self._done == len(self._waiting):
            self._waiting.clear()
            self._done = 0
        elif self._done > _PIPE_TRIM:
            whole, _ = self._beyond()
            del self._waiting[:whole]
            self._done -= whole
        return not self._waiting

    def _beyond(self) -> tuple[int, int]:
        """Where the first block begins that is not written in full; packets from there on."""
        at = 0
        packets = 0
        end: int | None = None
        while at < len(self._waiting):
            kind, size = struct.unpack_from("=II", self._waiting, at)
            if end is None and at + size > self._done:
                end = at
            packets += end is not None and kind == ENHANCED_PACKET
            at += size
        return at if end is None else end, packets

    def _failure(self, error: OSError) -> CaptureFileError:
        if error.errno == errno.EPIPE:
            return ReaderGoneError("nobody reads the capture stream any more")
        if self.is_regular:
            whole, _ = self._beyond()
            end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            os.ftruncate(self._descriptor, end - (self._done - whole))
        return CaptureFileError(
            f"the capture could not be written: {error.strerror}",
            hint=_HINTS.get(error.errno or 0),
        )
