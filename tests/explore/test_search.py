"""The search itself, with runs that are made up: what is tried, what is kept, how it ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from testbed.cli.explore import seeds_of
from testbed.explore.perturbation import LateStart, Perturbation
from testbed.explore.search import SEEDS_FILE, Search, make_least
from testbed.explore.trial import ExploreError, Failure, StoppedError, Trial


class MadeUp:
    """Runs whose outcome is a function of seed and perturbation."""

    def __init__(self, fails: Callable[[int, Perturbation], bool]) -> None:
        self._fails = fails
        self._lock = threading.Lock()
        self.tried: list[int] = []
        self.running = self.most = 0
        self.stopped = threading.Event()
        self.hang_at: int | None = None

    def run(self, seed: int, perturbation: Perturbation, folder: Path) -> Trial:
        with self._lock:
            self.tried.append(seed)
            self.running += 1
            self.most = max(self.most, self.running)
        folder.mkdir(parents=True)
        if seed == self.hang_at:
            assert self.stopped.wait(30)
            raise StoppedError
        with self._lock:
            self.running -= 1
        failures = (Failure("test_x", "why"),) if self._fails(seed, perturbation) else ()
        return Trial(seed, perturbation, folder, failures, "00", 0.1)

    def stop(self) -> None:
        self.stopped.set()


def _late(seed: int) -> Perturbation:
    return Perturbation((LateStart("a/x", seed + 1), LateStart("b/y", 8)))


def test_every_seed_is_tried_once_and_what_fails_is_kept(tmp_path: Path) -> None:
    runs = MadeUp(lambda seed, _: seed % 10 == 3)
    trials = list(Search(runs, _late, tmp_path, 3).trials(range(40)))
    assert sorted(runs.tried) == list(range(40))
    assert sorted(trial.seed for trial in trials) == list(range(40))
    assert runs.most <= 3
    kept = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert kept == ["seed-13", "seed-23", "seed-3", "seed-33"]
    lines = [json.loads(line) for line in (tmp_path / SEEDS_FILE).read_text().splitlines()]
    assert sorted(line["seed"] for line in lines if line["failures"]) == [3, 13, 23, 33]
    assert Perturbation.from_json(lines[0]["perturbation"]) == _late(lines[0]["seed"])
    assert not runs.stopped.is_set()


def test_who_has_enough_stops_it(tmp_path: Path) -> None:
    """Also a run that would go on for ever."""
    before = threading.active_count()
    runs = MadeUp(lambda seed, _: seed == 1)
    runs.hang_at = 0
    trials = Search(runs, _late, tmp_path, 2).trials(range(1000))
    assert next(trial for trial in trials if trial.failed).seed == 1
    trials.close()
    assert runs.stopped.is_set()
    assert len(runs.tried) < 1000
    assert threading.active_count() == before, "the workers have ended"


def test_what_cannot_be_judged_ends_the_search(tmp_path: Path) -> None:
    def fails(seed: int, _: Perturbation) -> bool:
        if seed == 5:
            raise ExploreError("the lab cannot be judged")
        return False

    runs = MadeUp(fails)
    with pytest.raises(ExploreError):
        list(Search(runs, _late, tmp_path, 2).trials(range(1000)))
    assert runs.stopped.is_set()


def test_the_least_run_is_kept_and_no_other(tmp_path: Path) -> None:
    """It fails when x starts at least 100 us later; y does not matter."""

    def fails(_: int, one: Perturbation) -> bool:
        late = [part for part in one.parts if isinstance(part, LateStart)]
        return any(part.service == "a/x" and part.late_us >= 100 for part in late)

    runs = MadeUp(fails)
    (trial,) = Search(runs, _late, tmp_path, 1).trials([777])
    said: list[str] = []
    shrunk, least = make_least(runs, trial, limit=40, say=said.append)
    assert shrunk.complete
    assert least.perturbation == shrunk.least == Perturbation((LateStart("a/x", 194),))
    assert least.folder == tmp_path / "seed-777-least"
    kept = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert kept == ["seed-777", "seed-777-least"]
    assert len(said) == shrunk.runs


def test_another_failure_is_not_the_same_one(tmp_path: Path) -> None:
    """A smaller perturbation that makes something else fail does not count."""
    runs = MadeUp(lambda *_: True)
    (trial,) = Search(runs, _late, tmp_path, 1).trials([7])
    other = Trial(7, trial.perturbation, trial.folder, (Failure("test_y", ""),), "00", 0.1)
    shrunk, least = make_least(runs, other, limit=40, say=lambda _: None)
    assert shrunk.least == trial.perturbation
    assert least == other


@pytest.mark.parametrize(
    ("text", "seeds"), [("0..999", range(1000)), ("7", range(7, 8)), (" 3..3 ", range(3, 4))]
)
def test_seeds_as_they_are_written(text: str, seeds: range) -> None:
    assert seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "5..3", "0-9", "-1..3", "0..18446744073709551616"])
def test_what_is_no_range_of_seeds(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        seeds_of(text)
