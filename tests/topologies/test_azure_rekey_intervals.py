"""The formula for rekey intervals against a slow, plain simulation and against the seed's logs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.evidence.sa import read_intervals
from testbed.evidence.sa.history import Sort
from testbed.peers.ike import Lifetime
from topologies.azure_rekey import ends
from topologies.azure_rekey.ends import AZURE_2017, RTX_DEFAULT, Lifetimes, Renewal
from topologies.azure_rekey.intervals import predict

_LOGS = (Path(ends.__file__).parent / "rekey_intervals.csv").read_text()
_LIFETIMES = {
    "A": Lifetimes(child=27_000, ike=28_800),
    "B": RTX_DEFAULT,
    "C": Lifetimes(child=129_600, ike=129_600),
}


@st.composite
def renewals(draw: st.DrawFn) -> Lifetime:
    """When an end rekeys, if it does; it never gives an SA up."""
    rekey = draw(st.integers(0, 60))
    return Lifetime(rekey, 0, draw(st.integers(0, max(rekey - 1, 0))))


def _simulate(rtx: Lifetime, azure: Lifetime, chance: random.Random) -> tuple[int, set[str]]:
    """Second by second: how old an SA was when somebody rekeyed it, and who (both at once?)."""
    moments = {
        name: chance.randint(end.rekey_s - end.spread_s, end.rekey_s)
        for name, end in (("rtx", rtx), ("azure", azure))
        if end.rekey_s
    }
    age = 0
    while True:
        age += 1
        first = {name for name, moment in moments.items() if moment == age}
        if first:
            return age, first


@given(renewals(), renewals(), st.randoms(use_true_random=False))
def test_no_simulated_rekey_is_outside_the_prediction(
    rtx: Lifetime, azure: Lifetime, chance: random.Random
) -> None:
    predicted = predict(rtx, azure)
    if predicted.first == "nobody":
        assert rtx.rekey_s == azure.rekey_s == 0
        return
    age, first = _simulate(rtx, azure, chance)
    assert predicted.earliest_s <= age <= predicted.latest_s
    if predicted.first != "either":
        assert first == {predicted.first}


@given(renewals(), renewals())
def test_both_bounds_can_happen_and_either_means_either(rtx: Lifetime, azure: Lifetime) -> None:
    """Every pair of moments the two can draw, not a sample."""
    predicted = predict(rtx, azure)
    ranges = [
        range(end.rekey_s - end.spread_s, end.rekey_s + 1)
        if end.rekey_s
        else range(10**6, 10**6 + 1)
        for end in (rtx, azure)
    ]
    if predicted.first == "nobody":
        return
    pairs = [(one, other) for one in ranges[0] for other in ranges[1]]
    ages = {min(pair) for pair in pairs}
    assert (min(ages), max(ages)) == (predicted.earliest_s, predicted.latest_s)
    firsts = {"rtx" if one < other else "azure" for one, other in pairs if one != other}
    assert (predicted.first == "either") == (len(firsts) != 1 or any(a == b for a, b in pairs))


@given(renewals(), renewals())
def test_the_ends_may_change_places(rtx: Lifetime, azure: Lifetime) -> None:
    there, back = predict(rtx, azure), predict(azure, rtx)
    swapped = {"rtx": "azure", "azure": "rtx"}
    assert back.first == swapped.get(there.first, there.first)
    assert (back.earliest_s, back.latest_s) == (there.earliest_s, there.latest_s)


@pytest.mark.parametrize("log", _LIFETIMES)
def test_every_rekey_in_the_seeds_logs_is_as_predicted(log: str) -> None:
    """By the end that the times point to, within the range that the model allows."""
    rtx_renews: dict[Sort, Renewal] = {"CHILD": ends.RTX_CHILD, "IKE": ends.RTX_IKE}
    azure_renews: dict[Sort, Renewal] = {"CHILD": ends.AZURE_CHILD, "IKE": ends.AZURE_IKE}
    count = 0
    for one in read_intervals(_LOGS, log):
        if one.what != "rekey":
            continue
        count += 1
        lifetimes = [
            lifetime.child if one.sort == "CHILD" else lifetime.ike
            for lifetime in (_LIFETIMES[log], AZURE_2017)
        ]
        predicted = predict(
            rtx_renews[one.sort].of(lifetimes[0]), azure_renews[one.sort].of(lifetimes[1])
        )
        assert predicted.first == one.by, one
        assert predicted.agrees(one.after_s, 0.0), one
    assert count >= 6


def test_it_is_not_the_shorter_lifetime_that_decides() -> None:
    """The RTX with 28800 s comes before Azure with 27000 s."""
    predicted = predict(ends.RTX_CHILD.of(28_800), ends.AZURE_CHILD.of(27_000))
    assert predicted.first == "rtx"
    assert predicted.latest_s < 25_575
