"""What a running guest's kernel tells the host about itself, in a file that both have mapped.

The kernel writes it at each step of its clock, each change of the running task and each return
from a system call (``progress=``, our patch 0007), so it needs nobody's cooperation inside.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from testbed.guest.errors import GuestError

PROGRESS = "progress"
"""The file's name in the control folder."""

PAGE = struct.Struct("=QQQQQq16s64s")
"""``struct um_progress``: layout, clock, its steps, changes of task, system calls, pid, command,
host name."""

_SIZE = 4096
_LAYOUT = 1
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Task:
    """A process (or thread) of the guest: its number and name there, and the host name that it
    sees, which in a lab is its node's."""

    pid: int
    command: str
    node: str

    def __str__(self) -> str:
        place = f" on {self.node}" if self.node else ""
        return f"{self.command} (process {self.pid}{place})"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a guest has come.

    ``clock_ns`` is its virtual clock in nanoseconds since 1970, 0 if its time is real;
    ``clock_steps``, ``switches`` and ``system_calls`` count since it came up; ``task`` was given
    the CPU last.
    """

    clock_ns: int
    clock_steps: int
    switches: int
    system_calls: int
    task: Task

    @property
    def moment(self) -> datetime | None:
        """What the virtual clock shows; None if time is real."""
        return _1970 + timedelta(microseconds=self.clock_ns // 1000) if self.clock_ns else None

    @property
    def counts(self) -> tuple[int, int, int]:
        """Of these at least one grows as long as the guest gets anywhere."""
        return self.clock_steps, self.switches, self.system_calls


class ProgressFile:
    """The file, as the host sees it."""

    def __init__(self, control: Path) -> None:
        self.path = control / PROGRESS

    def lay(self) -> None:
        """Make it anew, empty, of the size that the kernel maps."""
        self.path.unlink(missing_ok=True)
        with self.path.open("xb") as file:
            file.truncate(_SIZE)

    def read(self) -> Progress | None:
        """What the kernel wrote; None if it has not begun, or if the guest is gone.

        Raises:
            GuestError: it is a kernel that this program does not know.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(PAGE.size)
        except FileNotFoundError:
            return None
        if len(data) < PAGE.size:
            return None
        layout, clock_ns, steps, switches, calls, pid, command, node = PAGE.unpack(data)
        if not layout:
            return None
        if layout != _LAYOUT:
            raise GuestError(
                f"the guest's kernel tells its progress in layout {layout}, not {_LAYOUT}",
                where=str(self.path),
                hint="build the kernel of this checkout: testbed kernel build",
            )
        return Progress(clock_ns, steps, switches, calls, Task(pid, _text(command), _text(node)))


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")
