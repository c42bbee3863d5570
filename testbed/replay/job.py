"""The job of a run that repeats: a ``testbed`` command on a kept copy of its sources."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import testbed
from testbed.guest.job import RUN_FOLDER, Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.launch import layout_can_be_fixed
from testbed.guest.machine import Machine
from testbed.replay.history import History
from testbed.replay.recipe import REAL, VIRTUAL, Recipe
from testbed.replay.sources import Sources, Trees, take
from testbed.replay.view import (
    ENVIRONMENT,
    folder_inside,
    make_view,
    outside_names,
    word_inside,
)
from testbed.runs import FOLDER_VARIABLE

PERTURBATION_FILE = "perturbation.json"
"""In the run folder, if the run has one (see :mod:`testbed.explore`)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A ``testbed`` command, ready to run in a guest.

    ``words`` and ``folder`` are as they are inside; ``names`` are pairs of a folder as it is called
    inside, and as a reader outside knows it; ``origin`` is the folder that it is started in.
    """

    words: tuple[str, ...]
    module: str
    folder: str
    sources: Sources
    names: tuple[tuple[str, str], ...]
    origin: str

    @property
    def job(self) -> Job:
        """For the guest."""
        return make_job(self.words, self.module, self.folder, self.sources)

    def recipe(
        self,
        machine: Machine,
        kernel: GuestKernel,
        perturbation: dict[str, Any] | None = None,
    ) -> Recipe:
        """What a run of it in this machine is made of."""
        clock, jitter = machine.clock, machine.jitter
        return Recipe(
            words=self.words,
            module=self.module,
            folder=self.folder,
            kernel=kernel.key,
            release=kernel.manifest.release,
            clock=REAL if clock is None else VIRTUAL,
            start=None if clock is None else clock.start.isoformat(),
            seed=machine.seed,
            memory_mb=machine.memory_mb,
            testbed=testbed.__version__,
            sources=self.sources.digest,
            python=platform.python_version(),
            fixed_layout=layout_can_be_fixed(),
            origin=self.origin,
            jitter=None if jitter is None else (jitter.seed, jitter.max_ns, jitter.per_mille),
            perturbation=perturbation,
        )


def prepare(
    words: Iterable[str], *, module: str = "testbed", origin: Path | None = None
) -> Prepared:
    """``testbed WORDS``, started in a folder (this one), on a copy of the sources as they are now.

    Raises:
        ReplayError: the copy cannot be made.
    """
    words, folder = tuple(words), origin or Path.cwd()
    trees = Trees.of(folder, words)
    sources = take(trees)
    return Prepared(
        tuple(word_inside(word, trees, folder) for word in words),
        module,
        folder_inside(folder, trees, sources),
        sources,
        outside_names(trees),
        str(folder),
    )


def make_job(words: tuple[str, ...], module: str, folder: str, sources: Sources) -> Job:
    """The job of a command whose words and folder are as they are inside."""
    view = make_view(sources)
    return Job(
        (view.python, "-m", module, *words),
        {**ENVIRONMENT, FOLDER_VARIABLE: RUN_FOLDER},
        folder=folder,
        mounts=view.mounts,
        code=view.code,
    )


def lay(
    words: Iterable[str], run_folder: Path, machine: Machine, kernel: GuestKernel
) -> tuple[Job, tuple[tuple[str, str], ...]]:
    """Everything before the boot: the job, with its recipe in the run folder; and its names.

    When the guest has ended, :func:`seal` the folder.
    """
    prepared = prepare(words)
    begin(prepared.recipe(machine, kernel), run_folder)
    return prepared.job, prepared.names


def begin(recipe: Recipe, run_folder: Path) -> None:
    """Write down in the run folder what the run that begins is made of."""
    run_folder.mkdir(parents=True, exist_ok=True)
    recipe.write(run_folder)
    if recipe.perturbation is not None:
        text = json.dumps(recipe.perturbation, indent=2) + "\n"
        (run_folder / PERTURBATION_FILE).write_text(text, encoding="utf-8")


def seal(run_folder: Path) -> History:
    """The run has ended: its hash, which is also added to its recipe."""
    history = History.of(run_folder)
    replace(Recipe.read(run_folder), history=history.hash).write(run_folder)
    return history
