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
from testbed.errors import TestbedError
from testbed.guest.boot import run_in_guest
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
    """One run: wall seconds from its beginning on, and the CPU seconds of all it started.

    ``booted`` is when the guest starts the command, ``up`` when the lab carries its traffic,
    ``over`` when the hours have passed, ``ended`` when the guest is off.
    """

    hours: float
    booted: float
    up: float
    over: float
    ended: float
    cpu: float
    done: dict[str, Any] = field(default_factory=dict)
    wakeups: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def seconds_per_day(self) -> float:
        """Wall seconds for a virtual day, boot and bringing up apart."""
        return (self.over - self.up) * 24 / self.hours


class Lines:
    """The guest's messages, with when each came."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._rest = b""
        self.errors = b""
        self.came: list[tuple[float, dict[str, Any]]] = []

    def __call__(self, kind: Kind, data: bytes) -> None:
        if kind is not Kind.OUTPUT:
            self.errors += data
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        now = time.monotonic() - self._began
        self.came += [(now, json.loads(line)) for line in lines if line.startswith(b"{")]

    def at(self, name: str) -> tuple[float, Any]:
        """When the message with this key came, and its value.

        Raises:
            VirtualRunError: it did not.
        """
        for seconds, message in self.came:
            if name in message:
                return seconds, message[name]
        trouble = self.errors.decode(errors="replace")[-2000:]
        raise VirtualRunError(f"the lab in the guest never said {name!r}: {trouble}")


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
        before, lines = _cpu_s(), Lines()
        machine = Machine(clock=VirtualClock(), seed=_SEED)
        result = run_in_guest(kernel, job, folder, machine=machine, output=lines)
        cpu = _cpu_s() - before
    finally:
        shutil.rmtree(folder)
    _, done = lines.at("done")
    up, _ = lines.at("up")
    over, _ = lines.at("over")
    counts: dict[str, dict[str, int]] = next(
        (said["wakeups"] for _, said in lines.came if "wakeups" in said), {}
    )
    if result.status != 0:
        raise VirtualRunError(f"ended with {result.status}: {lines.errors.decode()[-2000:]}")
    return Run(hours, result.started_s, up, over, result.wall_s, cpu, done, counts)


def make_job_of(words: Sequence[str]) -> Job:
    """The measured program, on a compiled copy of the sources as ``testbed test`` runs them."""
    root = Path(testbed.__file__).resolve().parents[1]
    sources = take(Trees(root, None, ("bench", "topologies")))
    return make_job(tuple(words), _MODULE, f"{INSIDE}/{CODE}", sources)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
