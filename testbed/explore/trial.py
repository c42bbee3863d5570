"""One seed: its perturbed lab in a guest with a virtual clock, and how its invariants fared."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.explore.perturbation import Perturbation
from testbed.guest.boot import Guest
from testbed.guest.errors import GuestError, HostTroubleError
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.link import Kind
from testbed.guest.machine import START, Jitter, Machine, VirtualClock
from testbed.guest.slots import Slots
from testbed.replay.job import Prepared, begin, seal
from testbed.scenarios.part_file import PartReader

GUEST = "the guest"
"""What failed when no scenario did: the guest itself did not come to its end."""

_FAILED = ("failed", "error")
_INTERRUPTED = 130
_PYTEST_FAILED = 1
_ROOM = 1 << 20


class ExploreError(TestbedError):
    """The search cannot go on: no seed would tell anything."""


class StoppedError(Exception):
    """The search was stopped while this seed ran."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An invariant that did not hold: the scenario, and why in its own words."""

    scenario: str
    why: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A seed that was tried.  ``history`` is the hash of what happened (None if it broke off)."""

    seed: int
    perturbation: Perturbation
    folder: Path
    failures: tuple[Failure, ...]
    history: str | None
    seconds: float

    @property
    def failed(self) -> bool:
        """Did an invariant not hold?"""
        return bool(self.failures)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "seed": self.seed,
            "failures": [[one.scenario, one.why] for one in self.failures],
            "history": self.history,
            "seconds": round(self.seconds, 3),
            "perturbation": self.perturbation.to_json(),
        }


def machine_of(seed: int, perturbation: Perturbation) -> Machine:
    """The guest for a seed."""
    part = perturbation.scheduling
    jitter = None if part is None else Jitter(seed, part.most_us * 1000, part.per_mille)
    return Machine(clock=VirtualClock(START), seed=seed, jitter=jitter)


class Tries:
    """Runs seeds, each in a guest of its own; from several threads if need be.

    Args:
        prepared: the command that judges the lab in the guest.
        kernel: what to boot.
        say: told when a guest must wait because too many run on this machine.
    """

    def __init__(
        self, prepared: Prepared, kernel: GuestKernel, say: Callable[[str], None], jobs: int
    ) -> None:
        self._prepared, self._kernel, self._say = prepared, kernel, say
        self._jobs, self._slots = jobs, Slots(jobs)
        self._lock = threading.Lock()
        self._running: set[int] = set()  # descriptors of the guests' kernels' processes
        self._stopped = self._told = False

    def run(self, seed: int, perturbation: Perturbation, folder: Path) -> Trial:
        """Try a seed.

        Raises:
            ExploreError: the command could not judge anything, as would be for every seed; or
                this machine cannot run it (it has no kernel, its disk is full).
            StoppedError: :meth:`stop` was called meanwhile.
        """
        try:
            return self._run(seed, perturbation, folder)
        except (HostTroubleError, OSError) as error:
            if self._stopped:
                raise StoppedError from error
            what, hint = str(error), "it says nothing about the lab: put it right and explore again"
            if isinstance(error, HostTroubleError):
                what, hint = error.what, error.hint or hint
            raise ExploreError(
                f"this machine cannot run seed {seed}: {what}", where=str(folder), hint=hint
            ) from error

    def _run(self, seed: int, perturbation: Perturbation, folder: Path) -> Trial:
        began = time.monotonic()
        machine = machine_of(seed, perturbation)
        begin(self._prepared.recipe(machine, self._kernel, perturbation.to_json()), folder)
        errors: list[bytes] = []
        try:
            status = self._boot(machine, folder, errors)
        except HostTroubleError:
            raise
        except GuestError as error:
            if self._stopped:
                raise StoppedError from error
            _require_room(folder)
            failures = (*_failures(folder), Failure(GUEST, error.what))
            return Trial(seed, perturbation, folder, failures, None, time.monotonic() - began)
        if self._stopped:
            raise StoppedError
        if status == _INTERRUPTED:  # Ctrl-C went to the guest, which has ended in an orderly way
            raise KeyboardInterrupt
        failures = _failures(folder)
        if failures:
            _require_room(folder)
        if status not in (0, _PYTEST_FAILED) or (status and not failures):
            text = b"".join(errors).decode(errors="replace").strip()
            trouble = "\n".join([*_trouble(folder), *text.splitlines()[-20:]])
            raise ExploreError(
                f"the lab cannot be judged (exit {status}):\n{trouble}", where=str(folder)
            )
        history = seal(folder)
        return Trial(seed, perturbation, folder, failures, history.hash, time.monotonic() - began)

    def fresh(self) -> Tries:
        """Another one for the same, which was not stopped."""
        return Tries(self._prepared, self._kernel, self._say, self._jobs)

    def stop(self) -> None:
        """End every guest, and begin none."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, signal.SIGKILL)

    def _boot(self, machine: Machine, folder: Path, errors: list[bytes]) -> int:
        def output(kind: Kind, data: bytes) -> None:
            if kind is Kind.ERRORS:
                errors.append(data)

        with self._slots.one(self._tell_of_waiting, lambda: self._stopped) as there:
            with self._lock:
                if self._stopped or not there:
                    raise StoppedError
                guest = Guest(self._kernel, self._prepared.job, folder, machine)
                try:
                    process = os.pidfd_open(guest.pid)
                except BaseException:
                    guest.kill()
                    raise
                self._running.add(process)
            with guest:
                try:
                    return guest.wait(output).status
                finally:
                    with self._lock:
                        self._running.discard(process)
                        os.close(process)

    def _tell_of_waiting(self) -> None:
        """Once: it may be so for every seed."""
        if not self._told:
            self._told = True
            self._say("others run guests on this machine, too: seeds wait for one per CPU to end")


def _require_room(folder: Path) -> None:
    """What failed on a full disk may have failed for that reason alone."""
    about = os.statvfs(folder)
    if about.f_bavail * about.f_frsize < _ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _failures(folder: Path) -> tuple[Failure, ...]:
    found = [value for kind, value in PartReader(folder).news() if kind == "scenario"]
    return tuple(Failure(one["identity"], one["why"]) for one in found if one["outcome"] in _FAILED)


def _trouble(folder: Path) -> list[str]:
    return [str(value) for kind, value in PartReader(folder).news() if kind == "trouble"]
