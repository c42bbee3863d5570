"""Runs of a lab in a guest with a virtual clock, timed from outside."""

from __future__ import annotations

import json
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import testbed
from bench.virtual.cpu import session_cpu_s
from testbed.errors import TestbedError
from testbed.guest.boot import Guest
from testbed.guest.job import Job
from testbed.guest.kernel_build import ensure_kernel
from testbed.guest.link import Kind
from testbed.guest.machine import Machine, VirtualClock
from testbed.replay.job import make_job
from testbed.replay.sources import CODE, INSIDE, Trees, take

_MODULE = "bench.virtual.inside"
_SEED = 1


class VirtualRunError(TestbedError):
    """The lab in the guest did not do what was to be measured."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: wall seconds from its beginning on, and CPU seconds of all it started.

    ``booted`` is when the guest starts the command, ``up`` when the lab carries its traffic,
    ``over`` when the hours have passed, ``ended`` when the guest is off.  ``cpu`` is that of the
    whole run, ``cpu_hours`` that of the hours alone.
    """

    hours: float
    booted: float
    up: float
    over: float
    ended: float
    cpu: float
    cpu_hours: float
    done: dict[str, Any] = field(default_factory=dict)
    wakeups: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def seconds_per_day(self) -> float:
        """Wall seconds for a virtual day, boot and bringing up apart."""
        return (self.over - self.up) * 24 / self.hours

    @property
    def cpu_per_day(self) -> float:
        """CPU seconds for a virtual day, the same way."""
        return self.cpu_hours * 24 / self.hours


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the lab: when it came, and the CPU time of the machine by then."""

    seconds: float
    cpu: float
    message: dict[str, Any]


class Lines:
    """The machine's messages; ``leader`` is the process that it is."""

    def __init__(self, began: float, leader: int) -> None:
        self._began, self._leader = began, leader
        self._rest = b""
        self.other = b""
        self.said: list[Said] = []

    def __call__(self, kind: Kind, data: bytes) -> None:
        """Take in what our guest passes on."""
        if kind is not Kind.OUTPUT:
            self.other += data
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.take(line)

    def take(self, line: bytes) -> None:
        """Take in a line."""
        if not line.startswith(b"{"):
            self.other += line + b"\n"
            return
        seconds = time.monotonic() - self._began
        self.said.append(Said(seconds, session_cpu_s(self._leader), json.loads(line)))

    def get(self, name: str) -> Said:
        """The message with this key.

        Raises:
            VirtualRunError: it did not come.
        """
        for one in self.said:
            if name in one.message:
                return one
        trouble = self.other.decode(errors="replace")[-2000:]
        raise VirtualRunError(f"the lab never said {name!r}: {trouble}")


def run(name: str, hours: float, *, wakeups: bool = False) -> Run:
    """Boot a guest, have a lab in it for some hours, and time it.

    Raises:
        VirtualRunError: the lab failed.
        TestbedError: there is no guest kernel, or it did not boot.
    """
    words = (name, str(hours), *(["wakeups"] if wakeups else []))
    kernel = ensure_kernel(lambda _text: None)
    job = make_job_of(words)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        before, began = children_cpu_s(), time.monotonic()
        machine = Machine(clock=VirtualClock(), seed=_SEED)
        with Guest(kernel, job, folder, machine) as guest:
            lines = Lines(began, guest.pid)
            result = guest.wait(lines)
        cpu = children_cpu_s() - before
    finally:
        shutil.rmtree(folder)
    return run_of(lines, hours, result.started_s, result.wall_s, cpu)


def run_of(lines: Lines, hours: float, booted: float, ended: float, cpu: float) -> Run:
    """The figures of a run that has ended.

    Raises:
        VirtualRunError: the lab failed before it had said everything.
    """
    done, up, over = (lines.get(name) for name in ("done", "up", "over"))
    return Run(
        hours,
        booted,
        up.seconds,
        over.seconds,
        ended,
        cpu,
        over.cpu - up.cpu,
        done.message["done"],
        over.message["wakeups"],
    )


def make_job_of(words: Sequence[str]) -> Job:
    """The measured program, on a compiled copy of the sources as ``testbed test`` runs them."""
    root = Path(testbed.__file__).resolve().parents[1]
    sources = take(Trees(root, None, ("bench", "topologies")))
    return make_job(tuple(words), _MODULE, f"{INSIDE}/{CODE}", sources)


def children_cpu_s() -> float:
    """CPU seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
