"""The guest kernel's own output, and its management console."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import BinaryIO

from testbed.guest.errors import GuestError, HostTroubleError

UML_FOLDER = "uml"
"""In the control folder: where the kernel keeps its pid and the socket of its console."""

_SOCKET = f"{UML_FOLDER}/guest/mconsole"
_REQUEST = struct.Struct("=III512s")
_MAGIC, _VERSION = 0xCAFEBABE, 2
_LAST_LINES = 5


class Console:
    """The file that the kernel's messages go to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> BinaryIO:
        """Open it anew for a guest.  The guest holds a lock on it for as long as it lives.

        Raises:
            GuestError: another guest has it.
            HostTroubleError: the folder cannot be made, or not be written to.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("ab")
        except OSError as error:
            raise HostTroubleError(
                f"cannot write to the run folder: {error.strerror}", where=str(self.path.parent)
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise GuestError(
                "another guest uses this run folder",
                where=str(self.path.parent.parent),
                hint="give every guest a run folder of its own",
            ) from error
        file.truncate(0)
        return file

    def text(self) -> str:
        """All that the kernel has said; empty if the file is gone."""
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def note(self, text: str) -> None:
        """Add a line of our own, for those who read the file later."""
        with contextlib.suppress(OSError), self.path.open("a", encoding="utf-8") as file:
            file.write(f"testbed: {text}\n")

    def last_words(self) -> str:
        """The last lines, one below the other and indented; empty if there are none."""
        lines = [line for line in self.text().splitlines() if line.strip()]
        return "".join(f"\n  {line}" for line in lines[-_LAST_LINES:])


def press_ctrl_alt_del(control: Path) -> bool:
    """Tell a guest's kernel by its management console; false if it could not be told.

    That is so when it has ended, and when it has not yet heard what it was told before.
    """
    request = _REQUEST.pack(_MAGIC, _VERSION, 3, b"cad")
    with contextlib.suppress(OSError):
        folder = os.open(control, os.O_PATH | os.O_CLOEXEC)  # its path may be too long for a socket
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.sendto(request, f"/proc/self/fd/{folder}/{_SOCKET}")
        finally:
            os.close(folder)
        return True
    return False
