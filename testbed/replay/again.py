"""Doing a run again, and comparing what happens with what happened."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import testbed
from testbed.guest.boot import Output, run_in_guest
from testbed.guest.kernel_cache import GuestKernel, cache_folder
from testbed.guest.kernel_cache import look_up as look_up_kernel
from testbed.guest.launch import layout_can_be_fixed
from testbed.guest.slots import Slots
from testbed.replay import sources as kept
from testbed.replay.difference import Difference, first_difference
from testbed.replay.errors import ReplayError
from testbed.replay.history import History
from testbed.replay.job import begin, make_job, prepare, seal
from testbed.replay.recipe import REAL, Recipe
from testbed.replay.sources import Sources, Trees
from testbed.replay.view import outside_names

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run, or one guest's part of it, that was done again.

    ``folder`` is that of the new run and ``status`` its command's exit code.  ``before`` is the
    hash that the run had when it ended, ``after`` the new one's.  ``difference`` is the first thing
    that is not the same; None when nothing is, or when the run's own files are not there any more.
    """

    recipe: Recipe
    original: Path
    folder: Path
    status: int
    before: str
    after: History
    difference: Difference | None

    @property
    def same(self) -> bool:
        """Is it the same to the byte?"""
        return self.before == self.after.hash


def check(original: Path) -> Recipe:
    """The recipe of a run that can be done again.

    Raises:
        ReplayError: it cannot; says why.
    """
    recipe = Recipe.read(original)
    if recipe.clock == REAL:
        raise ReplayError(
            "this run was in real time, which nobody can repeat",
            where=str(original),
            hint="run it with --clock virtual",
        )
    if recipe.seed is None:
        raise ReplayError("this run had the host's randomness, not a seed", where=str(original))
    if recipe.history is None:
        raise ReplayError(
            "this run did not come to its end, so there is nothing to compare with",
            where=str(original),
        )
    return recipe


def find_kernel(recipe: Recipe, original: Path) -> GuestKernel:
    """The guest kernel that a run had.

    Raises:
        ReplayError: it is not on this machine.
    """
    kernel = look_up_kernel(recipe.kernel, cache_folder())
    if kernel is None:
        raise ReplayError(
            f"the guest kernel of this run ({recipe.kernel}, Linux {recipe.release}) is not here",
            where=str(original),
            hint=f"copy it to {cache_folder() / recipe.kernel}, or go to the revision of testbed "
            "that made it and build it there: testbed kernel build",
        )
    return kernel


def names_of(original: Path) -> tuple[tuple[str, str], ...]:
    """Pairs: a folder as the run's guest calls it, and as it is called here."""
    origin = Path(Recipe.read(original).origin)
    return outside_names(Trees.of(origin)) if origin.is_dir() else ()


def replay(
    original: Path, folder: Path, *, output: Output, say: Say, present: bool = False
) -> Replayed:
    """Do a run, or one guest's part of it, again.

    Args:
        original: a folder with a recipe in it.
        folder: where the new run's files go.
        output: takes what the command writes.
        say: told, in words, what is not as it was.
        present: use the sources as they are now, not those of the run.

    Raises:
        ReplayError: it cannot be repeated.
        GuestError: the guest does not come up, or ends before its command.
    """
    recipe = check(original)
    kernel = find_kernel(recipe, original)
    sources = _sources(recipe, present, say)
    for text in _differences(recipe):
        say(text)
    new = replace(recipe, sources=sources.digest, history=None, testbed=testbed.__version__)
    begin(new, folder)
    job = make_job(recipe.words, recipe.module, recipe.folder, sources)
    with Slots().one(lambda: say("waiting: guests run on every CPU of this machine already")):
        result = run_in_guest(kernel, job, folder, machine=recipe.machine, output=output)
    after = seal(folder)
    assert recipe.history is not None
    difference = None
    if after.hash != recipe.history:
        if History.of(original).hash == recipe.history:
            difference = first_difference(original, folder)
        else:
            say("the run's own captures and events were changed or removed: only its hash is left")
    return Replayed(recipe, original, folder, result.status, recipe.history, after, difference)


def _sources(recipe: Recipe, present: bool, say: Say) -> Sources:
    now = _present(recipe)
    if now is not None and now.digest == recipe.sources:
        return now
    old = None if present else kept.look_up(recipe.sources)
    if old is not None:
        say(f"the sources have changed since: replaying the kept copy of the run's, {old.digest}")
        return old
    if now is None:
        raise ReplayError(
            "the sources of this run are gone: neither a copy was kept nor is their folder there",
            where=recipe.origin,
        )
    why = "" if present else ", and no copy of them was kept"
    say(f"the sources have changed since{why}: trying with the present ones, {now.digest}")
    return now


def _present(recipe: Recipe) -> Sources | None:
    """The sources as they are now, where they were."""
    origin = Path(recipe.origin)
    return prepare(recipe.words, origin=origin).sources if origin.is_dir() else None


def _differences(recipe: Recipe) -> list[str]:
    """What else is not as it was."""
    pairs = (
        ("testbed", recipe.testbed, testbed.__version__),
        ("Python", recipe.python, platform.python_version()),
    )
    found = [f"{name} was {then}, and is {now} here" for name, then, now in pairs if then != now]
    if recipe.fixed_layout != layout_can_be_fixed():
        found.append("the guest's process lay at fixed addresses on one machine only")
    return found
