"""Many seeds: so many guests at a time, until all are tried, one fails, or somebody stops it."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from testbed.explore.perturbation import Perturbation
from testbed.explore.shrink import Shrunk, shrink
from testbed.explore.trial import StoppedError, Trial

SEEDS_FILE = "seeds.jsonl"
"""In the search's folder: a line for every seed that was tried, as it was tried."""

Draw = Callable[[int], Perturbation]


@dataclass(slots=True)
class Found:
    """A seed that fails, the least perturbation with which it still does, and that run's folder."""

    trial: Trial
    shrunk: Shrunk | None = None
    least: Trial | None = None


@dataclass(slots=True)
class Result:
    """What a search came to.  ``interrupted`` when somebody stopped it."""

    tried: int = 0
    found: list[Found] = field(default_factory=list)
    interrupted: bool = False


class Runs(Protocol):
    """What runs a seed (see :class:`testbed.explore.trial.Tries`)."""

    def run(self, seed: int, perturbation: Perturbation, folder: Path) -> Trial:
        """Try a seed; the run's files go into the folder."""

    def stop(self) -> None:
        """End what runs, and begin nothing."""


class Search:
    """A search over seeds.

    Args:
        tries: runs a seed.
        draw: gives a seed its perturbation.
        folder: where the runs of failing seeds are kept; those of the others are removed.
        jobs: guests at a time.
    """

    def __init__(self, tries: Runs, draw: Draw, folder: Path, jobs: int) -> None:
        self._tries, self._draw, self._folder, self._jobs = tries, draw, folder, jobs
        self._lock = threading.Lock()
        self._ending = False

    def trials(self, seeds: Iterable[int]) -> Generator[Trial, None, None]:
        """Try these seeds; each as it is done.  When the caller goes away, every guest ends."""
        left = iter(seeds)
        news: SimpleQueue[Trial | BaseException | None] = SimpleQueue()

        def work() -> None:
            try:
                while not self._ending:
                    with self._lock:
                        seed = next(left, None)
                    if seed is None:
                        return
                    news.put(self._tries.run(seed, self._draw(seed), self._of(seed)))
            except StoppedError:
                return
            except BaseException as error:  # noqa: BLE001  # raised where somebody reads the news
                news.put(error)
            finally:
                news.put(None)

        workers = [threading.Thread(target=work) for _ in range(self._jobs)]
        for worker in workers:
            worker.start()
        done = False
        try:
            running = len(workers)
            while running:
                one = news.get()
                if one is None:
                    running -= 1
                elif isinstance(one, BaseException):
                    raise one
                else:
                    self._keep(one)
                    yield one
            done = True
        finally:
            self._ending = True
            if not done:
                self._tries.stop()
            for worker in workers:
                worker.join()

    def _of(self, seed: int) -> Path:
        return self._folder / f"seed-{seed}"

    def _keep(self, trial: Trial) -> None:
        """Write down what became of it; only a failing run's files are kept."""
        with (self._folder / SEEDS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(trial.to_json()) + "\n")
        if not trial.failed:
            shutil.rmtree(trial.folder, ignore_errors=True)


def make_least(
    tries: Runs, trial: Trial, *, limit: int, say: Callable[[str], None]
) -> tuple[Shrunk, Trial]:
    """Shrink a failing seed's perturbation; what failed must fail again.

    The run with the least perturbation is kept in a folder beside the seed's own.
    """
    wanted = {one.scenario for one in trial.failures}
    best = trial
    kept = trial.folder.with_name(f"{trial.folder.name}-least")
    number = 0

    def fails(perturbation: Perturbation) -> bool:
        nonlocal best, number
        number += 1
        folder = kept.with_name(f"{kept.name}-{number}")
        try:
            tried = tries.run(trial.seed, perturbation, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        again = not wanted.isdisjoint(one.scenario for one in tried.failures)
        if again:
            if best is not trial:
                shutil.rmtree(best.folder, ignore_errors=True)
            best = tried
        else:
            shutil.rmtree(folder, ignore_errors=True)
        say(f"run {number}: {len(perturbation.parts)} parts, {'fails' if again else 'passes'}")
        return again

    shrunk = shrink(trial.perturbation, fails, limit=limit)
    if best is trial:
        return shrunk, trial
    best.folder.rename(kept)
    return shrunk, Trial(
        best.seed, best.perturbation, kept, best.failures, best.history, best.seconds
    )
