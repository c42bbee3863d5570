"""The very same ``testbed test``, inside a guest kernel."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import testbed
from testbed.errors import TestbedError
from testbed.guest.boot import pass_through, run_in_guest
from testbed.guest.job import RUN_FOLDER, Job
from testbed.guest.kernel_build import ensure_kernel
from testbed.guest.link import Kind
from testbed.guest.machine import Machine, VirtualClock
from testbed.runs import FOLDER_VARIABLE, VARIABLE, new_run_folder

HOST = "host"
GUEST = "guest"
REAL = "real"
VIRTUAL = "virtual"
_USUAL_SEED = 1


def check_choice(kernel: str, clock: str, seed: int | None, keep: bool) -> None:
    """Refuse what cannot be.

    Raises:
        TestbedError: an unknown kernel or clock, or one that does not go with the rest.
    """
    if kernel not in (HOST, GUEST):
        raise TestbedError(f"no kernel is called {kernel!r}", hint=f"{HOST} or {GUEST}")
    if clock not in (REAL, VIRTUAL):
        raise TestbedError(f"no clock is called {clock!r}", hint=f"{REAL} or {VIRTUAL}")
    if kernel == HOST and (clock == VIRTUAL or seed is not None):
        raise TestbedError(
            "a virtual clock and a seed need the guest kernel: the host's time is its own",
            hint="add --kernel guest",
        )
    if kernel == GUEST and keep:
        raise TestbedError(
            "a lab in a guest ends with it, so it cannot be kept",
            hint="leave out --keep, or use the host's kernel",
        )


def judge_in_guest(
    arguments: list[str],
    *,
    clock: str,
    seed: int | None,
    runs: Path | None,
    say: Callable[[str], None],
) -> int:
    """Run ``testbed test`` with these arguments in a guest; returns its exit status.

    Output passes through as it comes, with the paths that the run folder has outside.

    Raises:
        TestbedError: the guest kernel cannot be built or booted, or ended by itself.
    """
    if runs is not None:
        os.environ[VARIABLE] = str(runs)
    kernel = ensure_kernel(say)
    folder = new_run_folder("test")
    if clock == VIRTUAL:
        machine = Machine(clock=VirtualClock(), seed=_USUAL_SEED if seed is None else seed)
    else:
        machine = Machine(seed=seed)
    told = f"seed {machine.seed}" if machine.seed is not None else "the host's randomness"
    say(f"guest kernel {kernel.manifest.release}, {clock} clock, {told}")
    package = Path(testbed.__file__).parent.parent
    job = Job(
        (sys.executable, "-B", "-m", "testbed", "test", *arguments),
        {"PYTHONPATH": str(package), FOLDER_VARIABLE: RUN_FOLDER},
        folder=str(Path.cwd()),
    )
    output = _OutsidePaths(folder)
    result = run_in_guest(kernel, job, folder, machine=machine, output=output)
    output.flush()
    return result.status


class _OutsidePaths:
    """Passes output through by lines, with the run folder's path as it is outside the guest."""

    def __init__(self, folder: Path) -> None:
        self._inside, self._outside = RUN_FOLDER.encode(), str(folder).encode()
        self._rest: dict[Kind, bytes] = {}

    def __call__(self, kind: Kind, data: bytes) -> None:
        whole, newline, self._rest[kind] = (self._rest.get(kind, b"") + data).rpartition(b"\n")
        self._pass(kind, whole + newline)

    def flush(self) -> None:
        """Pass on what came without a line's end."""
        for kind, data in self._rest.items():
            self._pass(kind, data)
        self._rest.clear()

    def _pass(self, kind: Kind, data: bytes) -> None:
        if data:
            pass_through(kind, data.replace(self._inside + b"/", self._outside + b"/"))
