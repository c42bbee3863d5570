"""Service logs: straight into a file, or through us where secrets must be blotted out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

_CHUNK = 65536
_LONGEST_LINE = 1 << 20


class ServiceLog:
    """Where a service writes.  ``descriptor`` is for the service; close it once it has started."""

    def __init__(self, path: Path, redact: Callable[[str], str] | None) -> None:
        self.path = path
        path.parent.mkdir(exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._redact = redact
        self._rest = b""
        self._pipe: int | None = None
        self.descriptor = self._file
        if redact is not None:
            self._pipe, self.descriptor = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._pipe, False)
            asyncio.get_running_loop().add_reader(self._pipe, self.drain)

    def started(self) -> None:
        """The service has its copy of the descriptor."""
        os.close(self.descriptor)

    def drain(self) -> None:
        """Write out what the service has said so far, whole lines only, without secrets."""
        if self._pipe is None or self._redact is None:
            return
        while True:
            try:
                data = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._write(self._rest)
                asyncio.get_running_loop().remove_reader(self._pipe)
                os.close(self._pipe)
                os.close(self._file)
                self._pipe = None
                return
            # A secret may be cut by a read, but not across a line.
            whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
            if len(self._rest) > _LONGEST_LINE:
                whole, newline, self._rest = whole + newline + self._rest, b"", b""
            self._write(whole + newline)

    def _write(self, data: bytes) -> None:
        if data and self._redact is not None:
            text = self._redact(data.decode(errors="surrogateescape"))
            try:
                os.write(self._file, text.encode(errors="surrogateescape"))
            except OSError:
                return  # a full disk: the journal tells of it
