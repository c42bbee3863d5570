"""What the host has to give for a guest to start: a control folder, memory, a fixed layout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from testbed.guest.console import UML_FOLDER
from testbed.guest.errors import HostTroubleError
from testbed.guest.machine import Machine, command_line
from testbed.guest.progress import PROGRESS, ProgressFile

_MEMORY_FOLDERS = (Path("/dev/shm"), Path("/tmp"))
_SPARE_MB = 64


_OWN_CODE = Path(__file__).resolve().parents[2]
_LINKS = ("python", "inside.py", "code")


def lay_control_folder(control: Path, code: str | None = None) -> None:
    """Make the folder in which the guest's kernel runs, with links to what it starts first.

    ``code`` is the folder with the package that the guest's first program is a part of: ours by
    default.  By the link to it that program has the same path in every guest.
    """
    clear_control_folder(control)
    control.mkdir(parents=True, exist_ok=True)
    (control / "python").symlink_to(os.path.realpath(sys.executable))
    (control / "inside.py").symlink_to("code/testbed/guest/inside.py")
    (control / "code").symlink_to(code or _OWN_CODE)
    ProgressFile(control).lay()


def clear_control_folder(control: Path) -> None:
    """Remove all of it but the kernel's own output."""
    for name in (*_LINKS, PROGRESS):
        (control / name).unlink(missing_ok=True)
    shutil.rmtree(control / UML_FOLDER, ignore_errors=True)


def memory_folder(megabytes: int) -> str:
    """A folder with room for the guest's memory, which is an unlinked file there.

    Programs run from that memory, so the file system must allow it (Docker's /dev/shm does not).

    Raises:
        HostTroubleError: there is none.
    """
    rooms = []
    for folder in _MEMORY_FOLDERS:
        about = os.statvfs(folder)
        room = about.f_bavail * about.f_frsize >> 20
        if about.f_flag & os.ST_NOEXEC:
            rooms.append(f"{folder} is mounted noexec")
        elif room < megabytes + _SPARE_MB:
            rooms.append(f"{folder} has {room} MB")
        else:
            return str(folder)
    raise HostTroubleError(
        f"there is no room for a guest's {megabytes} MB of memory: {', '.join(rooms)}",
        hint="give the guest less memory, or make room",
    )


def arguments(binary: Path, machine: Machine) -> list[str]:
    """What to execute: the kernel, which ends with us and leaves no core file."""
    fixed = ["setarch", "--addr-no-randomize"] if layout_can_be_fixed() else []
    # First of all that it ends with us, so that there is hardly a moment in which it would not.
    words = ["setpriv", "--pdeathsig=KILL", "prlimit", "--core=0", *fixed]
    return [*words, str(binary.resolve()), *command_line(machine)]


@cache
def layout_can_be_fixed() -> bool:
    """May the kernel's process lie at the same addresses every time?  Some containers forbid it.

    Where it may not, the size of the guest's memory varies by what the host's kernel draws.
    """
    answer = subprocess.run(
        ["setarch", "--addr-no-randomize", "true"], capture_output=True, check=False
    )
    return answer.returncode == 0
