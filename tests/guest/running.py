"""Running commands in a guest, for tests."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from testbed.guest.boot import GuestResult, run_in_guest
from testbed.guest.job import Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.link import Kind
from testbed.guest.machine import Machine


@dataclass
class Said:
    """What a guest's command wrote."""

    data: dict[Kind, bytes] = field(default_factory=lambda: defaultdict(bytes))

    def __call__(self, kind: Kind, data: bytes) -> None:
        self.data[kind] += data


@dataclass
class Ran:
    """A command that has ended."""

    result: GuestResult
    data: dict[Kind, bytes]

    @property
    def output(self) -> str:
        return self.data[Kind.OUTPUT].decode()

    @property
    def errors(self) -> str:
        return self.data[Kind.ERRORS].decode()


def run(kernel: GuestKernel, folder: Path, what: Job | str, machine: Machine | None = None) -> Ran:
    """Run a job, or a script of the shell."""
    job = Job(("bash", "-c", what)) if isinstance(what, str) else what
    said = Said()
    result = run_in_guest(kernel, job, folder, machine=machine, output=said)
    return Ran(result, said.data)


def processes_of_session(leader: int) -> list[int]:
    """The processes in the session of a process (the guest's kernel leads one of its own)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[3]) == leader and words[0] != "Z":
            found.append(int(stat.parent.name))
    return found
