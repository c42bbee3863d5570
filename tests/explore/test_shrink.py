"""Shrinking: what comes out still fails, is no bigger, and nothing of it can go."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from testbed.explore.perturbation import LateStart, Perturbation
from testbed.explore.shrink import shrink

_SIZES = st.dictionaries(st.integers(0, 7), st.integers(1, 10**6), min_size=1)


def _parts(sizes: dict[int, int]) -> Perturbation:
    return Perturbation(tuple(LateStart(f"n/{name}", size) for name, size in sizes.items()))


def _sizes(one: Perturbation) -> dict[int, int]:
    late = [part for part in one.parts if isinstance(part, LateStart)]
    return {int(part.service[2:]): part.late_us for part in late}


@given(_SIZES, st.data())
def test_only_what_is_needed_is_left(sizes: dict[int, int], data: st.DataObject) -> None:
    """A lab that fails when certain services are at least so late."""
    chosen = data.draw(st.sets(st.sampled_from(sorted(sizes))))
    needed = {name: data.draw(st.integers(1, sizes[name])) for name in chosen}
    asked: list[Perturbation] = []

    def fails(one: Perturbation) -> bool:
        asked.append(one)
        found = _sizes(one)
        return all(found.get(name, 0) >= least for name, least in needed.items())

    shrunk = shrink(_parts(sizes), fails, limit=10_000)
    found = _sizes(shrunk.least)
    assert shrunk.complete
    assert found.keys() == needed.keys()
    for name, size in found.items():
        assert needed[name] <= size <= sizes[name]
        assert size // 2 < needed[name]
    assert shrunk.runs == len(asked) == len(set(asked))


@given(_SIZES, st.integers(0, 12), st.randoms(use_true_random=False))
def test_whatever_the_lab_does(sizes: dict[int, int], limit: int, dice: object) -> None:
    """Also one that fails for no reason to be seen: always within the limit, and always failing."""
    answers: dict[Perturbation, bool] = {_parts(sizes): True}

    def fails(one: Perturbation) -> bool:
        answers[one] = dice.random() < 0.5  # type: ignore[attr-defined]  # a random.Random
        return answers[one]

    shrunk = shrink(_parts(sizes), fails, limit=limit)
    assert answers[shrunk.least]
    assert shrunk.runs <= limit
    assert len(shrunk.least.parts) <= len(sizes)


def test_a_lab_that_fails_by_itself_takes_one_run() -> None:
    shrunk = shrink(_parts({1: 5, 2: 6}), lambda _: True)
    assert (shrunk.least, shrunk.runs, shrunk.complete) == (Perturbation(), 1, True)


def test_the_first_that_failed_is_not_run_again() -> None:
    one = _parts({1: 1})
    shrunk = shrink(one, lambda tried: tried == one)
    assert (shrunk.least, shrunk.complete) == (one, True)
    assert replace(shrunk, runs=0).least == one
