"""Expectations over hours, against a slow oracle that looks at the whole history afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from testbed.clock import RealTimeError
from testbed.errors import TestbedError
from testbed.events import CommandEnded, Drop, FaultFailed, Note, Record
from testbed.expect import ExpectationError, always, between, event, eventually, never
from testbed.model.schedule import ScheduleError
from tests.expect.simulated import START_NS, Coming, RealClock, SimulatedLab, note

_TEXTS = st.sampled_from(["good", "bad", "other"])
_SECONDS = st.integers(-5, 15)
_histories = st.lists(st.builds(note, _SECONDS, _TEXTS, later=st.integers(0, 6)), max_size=6)
_windows = st.tuples(st.integers(-6, 12), st.integers(0, 8))


def is_good(record: Record) -> bool:
    return isinstance(record.event, Note) and record.event.text == "good"


def is_not_bad(record: Record) -> bool:
    return isinstance(record.event, Note) and record.event.text != "bad"


def oracle(
    history: Sequence[Coming], start: int, length: int, test: Callable[[Record], bool]
) -> list[Record]:
    """All of the window for which the test holds, seen from the end of time, ordered by time."""
    seconds = [
        (one.record.time_ns - START_NS, number, one.record) for number, one in enumerate(history)
    ]
    inside = [entry for entry in seconds if start * 10**9 <= entry[0] <= (start + length) * 10**9]
    return [record for _, _, record in sorted(inside, key=lambda e: e[:2]) if test(record)]


@given(_histories, _windows, st.integers(1, 3))
@example([note(8, "good", later=5)], (0, 8), 1)  # at the end itself, and late in the log
def test_eventually(history: list[Coming], window: tuple[int, int], count: int) -> None:
    lab, hits = SimulatedLab(history), oracle(history, *window, is_good)
    since = lab.clock.moment("now") + timedelta(seconds=window[0])
    if len(hits) >= count:
        found = eventually(lab, is_good, within=window[1], since=since, count=count)
        assert found in hits
        assert lab.clock.time_ns <= max(START_NS, found.time_ns + 6 * 10**9), "it waited on"
    else:
        with pytest.raises(ExpectationError, match="did not happen"):
            eventually(lab, is_good, within=window[1], since=since, count=count)
        assert lab.clock.time_ns == max(START_NS, START_NS + sum(window) * 10**9 + 1)


@given(_histories, _windows)
def test_always(history: list[Coming], window: tuple[int, int]) -> None:
    lab, all_of_it = SimulatedLab(history), oracle(history, *window, lambda _: True)
    since = lab.clock.moment("now") + timedelta(seconds=window[0])
    if all_of_it and all(is_not_bad(record) for record in all_of_it):
        asked = always(lab, is_not_bad, during=window[1], since=since)
        assert Counter(asked) == Counter(all_of_it)
        assert asked == sorted(asked, key=lambda record: record.time_ns)
    else:
        why = "did not hold" if any(not is_not_bad(one) for one in all_of_it) else "happened never"
        with pytest.raises(ExpectationError, match=why):
            always(lab, is_not_bad, during=window[1], since=since)


@given(_histories, _windows)
def test_never(history: list[Coming], window: tuple[int, int]) -> None:
    lab, hits = SimulatedLab(history), oracle(history, *window, is_good)
    since = lab.clock.moment("now") + timedelta(seconds=window[0])
    if hits:
        with pytest.raises(ExpectationError, match="happened"):
            never(lab, is_good, during=window[1], since=since)
    else:
        never(lab, is_good, during=window[1], since=since)
        assert lab.clock.time_ns > START_NS + sum(window) * 10**9


_COUNTS = st.one_of(st.none(), st.integers(0, 3), st.tuples(st.integers(0, 2), st.integers(2, 3)))


@given(_histories, _windows, _COUNTS)
def test_between(
    history: list[Coming], window: tuple[int, int], count: int | tuple[int, int] | None
) -> None:
    lab, hits = SimulatedLab(history), oracle(history, *window, is_good)
    start = lab.clock.moment("now") + timedelta(seconds=window[0])
    end = start + timedelta(seconds=window[1])
    least, most = (1, 99) if count is None else (count, count) if isinstance(count, int) else count
    if least <= len(hits) <= most:
        assert between(lab, start, end, is_good, count=count) == hits
    else:
        with pytest.raises(ExpectationError, match="instead of"):
            between(lab, start, end, is_good, count=count)


def test_nobody_is_woken_without_a_reason() -> None:
    """A day with three events costs four wakeups: them, and its end."""
    lab = SimulatedLab([note(3600 * hour) for hour in (1, 5, 9)])
    never(lab, Drop, during="24h")
    assert lab.waits == 4


def test_a_mere_duration_counts_from_the_clocks_origin() -> None:
    lab = SimulatedLab([note(3600 * hour, str(hour)) for hour in (1, 2, 3, 4)])
    (found,) = between(lab, "2h", "2h 59min", "note", count=1)
    assert found.event == Note("2")


def test_what_failed_says_what_was_near() -> None:
    lab = SimulatedLab(
        [
            note(10, "dead peer", node="azure"),
            note(20, "hello", node="rtx"),
            note(60.5, "dead peer", node="rtx"),
        ]
    )
    with pytest.raises(ExpectationError) as caught:
        eventually(lab, event("note", node="rtx", text="dead peer"), within="1min")
    assert str(caught.value).splitlines() == [
        "note node='rtx' text='dead peer' did not happen",
        "  from 2017-07-15 09:55:33 to 2017-07-15 09:56:33 (1min)",
        "  nearest to it:",
        "    2017-07-15 09:55:43 (+10s) azure note: dead peer <- node is 'azure', not 'rtx'",
        "    2017-07-15 09:55:53 (+20s) rtx note: hello <- text is 'hello', not 'dead peer'",
    ]
    with pytest.raises(ExpectationError) as caught:
        between(lab, "70s", "80s", event("note", node="rtx", text="dead peer"))
    assert ("2017-07-15 09:56:33.5 (-9s 500ms) rtx note: dead peer <- 9s 500ms too early") in str(
        caught.value
    )


def test_too_often_shows_all_of_them() -> None:
    lab = SimulatedLab([note(second, node="ce") for second in (1, 2, 3)])
    with pytest.raises(ExpectationError) as caught:
        between(lab, "0s", "10s", "note", count=1)
    assert str(caught.value).count("ce note: x") == 2, "the second is one too many"
    assert lab.clock.time_ns == START_NS + 2 * 10**9, "and nobody waits for more"


def test_an_invariant_that_was_never_asked_for_says_nothing() -> None:
    lab = SimulatedLab([note(1)])
    with pytest.raises(ExpectationError, match="command-ended happened never, not at least once"):
        always(lab, lambda record: True, of=CommandEnded, during="1h")


def test_a_fault_that_did_not_come_ends_the_waiting() -> None:
    failed = FaultFailed("cut", "home", "no such link", START_NS + 10**9)
    coming = Coming(START_NS + 10**9, START_NS + 10**9, Record(START_NS + 10**9, "harness", failed))
    lab = SimulatedLab([coming])
    with pytest.raises(ScheduleError, match="cut home, due 2017-07-15 09:55:34: no such link"):
        never(lab, Drop, during="24h")
    assert lab.clock.time_ns == START_NS + 10**9
    assert eventually(SimulatedLab([coming]), FaultFailed, within="1h").event == failed


def test_hours_of_real_time_are_refused_before_they_begin() -> None:
    lab = SimulatedLab([note(1)], clock=RealClock())
    with pytest.raises(RealTimeError, match="wants to wait 1d"):
        never(lab, Drop, during="24h")
    with pytest.raises(RealTimeError):
        between(lab, "0s", "3h", "note")
    assert lab.waits == 0
    assert eventually(lab, "note", within="9min").event == Note("x")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: event("dorp"), "no kind of event is called 'dorp'"),
        (lambda: event("drop", resaon="x"), "an event 'drop' has no 'resaon'"),
        (lambda: between(SimulatedLab([]), "2h", "1h", "note"), "ends before it begins"),
        (lambda: never(SimulatedLab([]), int, during="1h"), "int is no kind of event"),  # type: ignore[arg-type]  # that is what is tested
    ],
)
def test_what_makes_no_sense(make: Callable[[], object], why: str) -> None:
    with pytest.raises(TestbedError, match=why):
        make()


@pytest.mark.parametrize("count", [0, -1])
def test_waiting_for_nothing_is_refused(count: int) -> None:
    with pytest.raises(TestbedError, match=f"happen {count} times is not to wait"):
        eventually(SimulatedLab([]), is_good, within=5, count=count)


@pytest.mark.parametrize("count", [-1, (3, 1), (-2, 4)])
def test_a_count_that_cannot_be_is_refused(count: int | tuple[int, int]) -> None:
    with pytest.raises(TestbedError, match="nothing can happen"):
        between(SimulatedLab([]), "1s", "5s", is_good, count=count)
