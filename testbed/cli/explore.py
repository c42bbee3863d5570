"""``testbed explore``: a lab over many seeds, until one fails."""

from __future__ import annotations

import os
import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.cli.arguments import LABS, Json, Topology
from testbed.cli.left_out import topology_of
from testbed.cli.output import (
    INTERRUPTED,
    Progress,
    bad,
    bold,
    count,
    duration,
    faint,
    good,
    say,
    say_json,
    tell,
)

if TYPE_CHECKING:
    from testbed.explore.search import Found, Result, Search
    from testbed.explore.trial import Trial, Tries

_SAY_EVERY_S = 5.0


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("explore", rich_help_panel=LABS)(explore)


def seeds_of(text: str) -> range:
    """``0..999`` or one number; a usage error for anything else."""
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no range of seeds: 0..999", param_hint="--seeds")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if last < first or last >= 1 << 64:
        raise typer.BadParameter(
            f"{text!r} has no seeds: from low to high, below 2^64", param_hint="--seeds"
        )
    return range(first, last + 1)


def explore(
    name: Topology,
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="A..B", help="The seeds to try.")
    ] = "0..99",
    select: Annotated[
        str, typer.Option("-k", "--select", help="Only scenarios whose name matches (pytest -k).")
    ] = "",
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Guests at a time.  [default: one per CPU]"),
    ] = None,
    collect: Annotated[
        bool, typer.Option("--collect/--stop", help="Try all seeds, or stop at the first failure.")
    ] = False,
    shrink: Annotated[
        int,
        typer.Option(
            "--shrink", min=0, metavar="RUNS", help="How many runs a smaller failure may take."
        ),
    ] = 40,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Where run folders go (default: runs/).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Try a lab's invariants over many seeds, each with small perturbations of its own.

    Invariants are the lab's scenarios marked `invariant`, or all of its scenarios if none is. Every
    seed runs in a guest with a virtual clock. What fails is made as small as possible and can be
    replayed to the byte. Exit 0 when nothing failed, 1 when something did.
    """
    wanted = seeds_of(seeds)
    if runs is not None:
        from testbed.runs import VARIABLE

        os.environ[VARIABLE] = str(runs)
    search, tries, folder = _begin(name, select, jobs)
    result = _search(search, tries, wanted, collect=collect, shrink=shrink)
    again = _Again(name, select)
    _write(folder, result, wanted, again)
    if as_json:
        say_json(_json(result, wanted, folder, again))
    else:
        _tell_result(result, folder, again)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(1 if result.found else 0)


def _begin(name: str, select: str, jobs: int | None) -> tuple[Search, Tries, Path]:
    from testbed.explore.draw import draw
    from testbed.explore.ranges import ranges_of
    from testbed.explore.search import Search
    from testbed.explore.trial import Tries
    from testbed.guest.kernel_build import ensure_kernel
    from testbed.guest.slots import cpus
    from testbed.model.discover import find_file
    from testbed.replay.job import prepare
    from testbed.runs import new_run_folder

    topology, file = topology_of(name, "netns"), find_file(name)
    ranges = ranges_of(topology, file)
    folder_or_name = str(file.parent) if Path(name).exists() else name
    words = ["test", "--kernel", "host", "--part", folder_or_name]
    words += [f"--select={select}"] if select else []
    kernel = ensure_kernel(tell)
    count_of_jobs = jobs or cpus()
    tries = Tries(prepare(words), kernel, tell, count_of_jobs)
    folder = new_run_folder("explore")
    return (
        Search(tries, lambda seed: draw(seed, topology, ranges), folder, count_of_jobs),
        tries,
        folder,
    )


def _search(search: Search, tries: Tries, seeds: range, *, collect: bool, shrink: int) -> Result:
    from testbed.explore.search import Found, Result, make_least
    from testbed.explore.trial import StoppedError

    result = Result()
    try:
        with Progress("explore") as progress:
            pace = _Pace(len(seeds), progress)
            trials = search.trials(seeds)
            try:
                for trial in trials:
                    result.tried += 1
                    if trial.failed:
                        result.found.append(Found(trial))
                    pace.tell(result)
                    if trial.failed and not collect:
                        break
            finally:
                trials.close()
        for found in result.found if shrink else ():
            tell(faint(f"seed {found.trial.seed} fails; looking for the least that makes it fail"))
            fresh = tries.fresh()
            try:
                found.shrunk, found.least = make_least(fresh, found.trial, limit=shrink, say=tell)
            except StoppedError:
                break
    except KeyboardInterrupt:
        result.interrupted = True
    return result


class _Pace:
    """How far it is: done, failing, seeds per minute, time left."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress = total, progress
        self._began = self._told = time.monotonic()

    def tell(self, result: Result) -> None:
        """Tell it, but not too often."""
        now = time.monotonic()
        if now - self._told < _SAY_EVERY_S and result.tried < self._total:
            return
        self._told = now
        per_minute = result.tried / (now - self._began) * 60
        left = (self._total - result.tried) / per_minute * 60
        self._progress(
            f"{result.tried} of {self._total} seeds, {len(result.found)} failing, "
            f"{per_minute:.0f} a minute, {duration(left)} left"
        )


@dataclass(frozen=True, slots=True)
class _Again:
    """The command that tries a seed again."""

    lab: str
    select: str

    def of(self, seed: int) -> str:
        words = ["testbed", "explore", self.lab, "--seeds", f"{seed}..{seed}", "--shrink", "0"]
        return shlex.join([*words, "-k", self.select] if self.select else words)


def _replay(found: Found) -> str | None:
    """The command that does its run again; None if that broke off, for then nothing can."""
    trial = found.least or found.trial
    return None if trial.history is None else shlex.join(["testbed", "replay", str(trial.folder)])


def _tell_result(result: Result, folder: Path, again: _Again) -> None:
    if result.interrupted:
        tell("interrupted")
    if not result.found:
        say(f"{good('nothing failed')}: {count(result.tried, 'seed')}")
        return
    for found in result.found:
        _tell_found(found, again)
    say(f"{count(result.tried, 'seed')} tried, {len(result.found)} failing; {folder}")


def _tell_found(found: Found, again: _Again) -> None:
    trial: Trial = found.least or found.trial
    say(f"{bad('seed')} {bold(str(trial.seed))} {bad('fails')}")
    for failure in trial.failures:
        first = failure.why.strip().partition("\n")[0]
        say(f"  {failure.scenario.rpartition('::')[2]}: {first}")
    if found.shrunk is not None:
        before, after = len(found.trial.perturbation.parts), len(trial.perturbation.parts)
        how = "" if found.shrunk.complete else ", as far as the runs went"
        runs = count(found.shrunk.runs, "run")
        say(f"  perturbation: {before} parts, {after} after {runs}{how}")
    for line in trial.perturbation.lines():
        say(f"    {line}")
    replay = _replay(found)
    if replay is not None:
        say(f"  replay it:  {replay}")
    else:
        say(f"  the run broke off, so it cannot be replayed: {trial.folder}")
        say(f"  try it again:  {again.of(trial.seed)}")


def _write(folder: Path, result: Result, seeds: range, again: _Again) -> None:
    import json

    text = json.dumps(_json(result, seeds, folder, again), indent=2) + "\n"
    (folder / "explore.json").write_text(text, encoding="utf-8")


def _json(result: Result, seeds: range, folder: Path, again: _Again) -> dict[str, Any]:
    return {
        "seeds": [seeds[0], seeds[-1]],
        "tried": result.tried,
        "interrupted": result.interrupted,
        "folder": str(folder),
        "found": [
            {
                **(found.least or found.trial).to_json(),
                "drawn": found.trial.perturbation.to_json(),
                "shrinking_runs": None if found.shrunk is None else found.shrunk.runs,
                "replay": _replay(found),
                "again": again.of(found.trial.seed),
            }
            for found in result.found
        ],
    }
