"""The labels on everything that a lab has in Docker, and whether that lab still lives.

A container's lab lives if the keeper that made it does: the keeper ends with its lab, and the lab
with its keeper.  (The program that brought a lab up may have ended long ago.)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Self

LAB = "testbed.lab"
LAB_ID = "testbed.lab.id"
NODE = "testbed.node"
KEEPER = "testbed.keeper"
RUN_FOLDER = "testbed.run-folder"

PYTHON = "testbed.python"
"""On an image: the interpreter in it that can run our components."""


class Life(Enum):
    """What is known of a process that was noted down earlier."""

    LIVING = "living"
    DEAD = "dead"
    UNKNOWN = "unknown"


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc(5), ``starttime``); None: no such.

    A process that has ended and was not reaped yet counts as none.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


@dataclass(frozen=True, slots=True)
class Stamp:
    """A process, told from every other that has or will have its number.

    ``start`` in clock ticks since boot; ``namespace`` is the inode of the pid namespace in which
    ``pid`` counts; ``boot`` the kernel's boot_id.
    """

    pid: int
    start: int
    namespace: int
    boot: str

    @classmethod
    def of_this_process(cls) -> Self:
        """Our own."""
        start = start_time(os.getpid())
        assert start is not None
        return cls(os.getpid(), start, _pid_namespace(), _boot())

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """A label's value; None if it is none of ours."""
        parts = text.split("/")
        if len(parts) != 4 or not all(part.isascii() and part.isdecimal() for part in parts[:3]):
            return None
        return cls(int(parts[0]), int(parts[1]), int(parts[2]), parts[3])

    def __str__(self) -> str:
        return f"{self.pid}/{self.start}/{self.namespace}/{self.boot}"

    @property
    def life(self) -> Life:
        """Does it live?  Of one in another pid namespace (another container's) nothing is known."""
        if self.boot != _boot():
            return Life.DEAD
        if self.namespace != _pid_namespace():
            return Life.UNKNOWN
        return Life.LIVING if start_time(self.pid) == self.start else Life.DEAD


@dataclass(frozen=True, slots=True)
class LabLabels:
    """One lab's: its name, a number that no other lab has, and where its record is."""

    lab: str
    identity: str
    run_folder: str
    keeper: Stamp

    def of_node(self, node: str) -> dict[str, str]:
        """The labels of a node's container."""
        return {
            LAB: self.lab,
            LAB_ID: self.identity,
            NODE: node,
            KEEPER: str(self.keeper),
            RUN_FOLDER: self.run_folder,
        }
