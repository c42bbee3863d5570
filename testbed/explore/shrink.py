"""The least perturbation that still makes a lab fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from testbed.explore.perturbation import Perturbation


@dataclass(frozen=True, slots=True)
class Shrunk:
    """``least`` still fails; ``runs`` were needed; ``complete`` when nothing smaller was left to
    try, and not merely no run."""

    least: Perturbation
    runs: int
    complete: bool


class _NoMoreRunsError(Exception):
    pass


class _Judge:
    """Counts runs, and remembers what was tried: runs are dear and repeat to the byte."""

    def __init__(self, fails: Callable[[Perturbation], bool], limit: int) -> None:
        self._fails, self._limit = fails, limit
        self._known: dict[Perturbation, bool] = {}
        self.runs = 0

    def __call__(self, one: Perturbation) -> bool:
        if one not in self._known:
            if self.runs >= self._limit:
                raise _NoMoreRunsError
            self.runs += 1
            self._known[one] = self._fails(one)
        return self._known[one]


def shrink(
    failing: Perturbation, fails: Callable[[Perturbation], bool], *, limit: int = 40
) -> Shrunk:
    """Make a perturbation smaller while the lab still fails.

    First parts are removed, many at once and then one by one; then magnitudes are halved; and again
    until nothing of it works.

    Args:
        failing: one that makes the lab fail.
        fails: does this one?  Asked at most ``limit`` times, never twice for the same.
        limit: how many runs that may take.
    """
    judge = _Judge(fails, limit)
    least = failing
    try:
        while True:
            before = least
            for smaller in (_fewer, _halved):
                for found in smaller(least, judge):
                    least = found
            if least == before:
                return Shrunk(least, judge.runs, complete=True)
    except _NoMoreRunsError:
        return Shrunk(least, judge.runs, complete=False)


def _fewer(one: Perturbation, judge: _Judge) -> Iterator[Perturbation]:
    """Without some of its parts: pieces of half the parts, of a quarter, ... of one."""
    if one.parts and judge(Perturbation()):
        yield Perturbation()
        return
    size = (len(one.parts) + 1) // 2
    while size and one.parts:
        start = 0
        while start < len(one.parts):
            left = Perturbation(one.parts[:start] + one.parts[start + size :])
            if left.parts and judge(left):
                one = left
                yield one
            else:
                start += size
        size //= 2


def _halved(one: Perturbation, judge: _Judge) -> Iterator[Perturbation]:
    """With a magnitude halved, as often as that works."""
    for number in range(len(one.parts)):
        while True:
            part = one.parts[number].halved()
            if part.is_nothing or part == one.parts[number]:
                break
            parts = (*one.parts[:number], part, *one.parts[number + 1 :])
            if not judge(Perturbation(parts)):
                break
            one = Perturbation(parts)
            yield one
