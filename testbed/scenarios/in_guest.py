"""The very same ``testbed`` command, inside a guest kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from testbed.guest.boot import GuestResult, Output, pass_through, run_in_guest
from testbed.guest.kernel_build import ensure_kernel
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.machine import Machine
from testbed.guest.slots import Slots
from testbed.replay.job import lay, seal
from testbed.scenarios.inside_paths import TranslatedOutput, Translator


def run_testbed_in_guest(
    words: Sequence[str],
    folder: Path,
    *,
    machine: Machine,
    kernel: GuestKernel | None = None,
    output: Output = pass_through,
    jobs: int | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> GuestResult:
    """Run ``testbed WORDS`` in a guest and wait for its end.

    Output is passed on as it comes, by lines, with the paths that files of the run folder have
    outside.  The first Ctrl-C goes to the command inside (in the main thread).

    Args:
        words: for example ``["test", "pair", "--kernel", "host"]``.
        folder: the run folder: all that the guest can write to, and where its files are found.
        machine: clock, seed and memory.
        kernel: built first, if it is not there, when none is given.
        output: what to do with the command's output; by default it becomes our own.
        jobs: how many guests may run on this machine at a time; one per CPU by default.
        say: told of progress, in words.

    Inside, a run's folder is the guest's run folder, and ``--kernel host`` is the guest's kernel.
    Code and topologies are those of a copy made now (see :mod:`testbed.replay`).

    Raises:
        GuestError: the guest kernel cannot be built or booted, or ended by itself.
    """
    booted = kernel or ensure_kernel(say)
    job, names = lay(words, folder, machine, booted)
    translated = TranslatedOutput(Translator(folder, names), output)

    def waiting() -> None:
        say("waiting: as many guests as there are CPUs run on this machine already")

    with Slots(jobs).one(waiting):
        result = run_in_guest(booted, job, folder, machine=machine, output=translated)
    translated.flush()
    seal(folder)
    return result
