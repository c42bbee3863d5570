"""Words of the command line that ask for a kernel and a clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from testbed.errors import TestbedError
from testbed.guest.machine import START
from testbed.scenarios.choice import USUAL_SEED, Choice, parse_start


def test_by_default_nothing_is_asked_for() -> None:
    choice = Choice.of()
    assert (choice.kernel, choice.clock) == ("auto", "auto")
    assert choice.guest_because is None
    assert not choice.needs_guest


def test_guests_with_a_virtual_clock_repeat_without_being_asked() -> None:
    machine = Choice.of().machine("virtual")
    assert machine.seed == USUAL_SEED
    assert machine.clock is not None
    assert machine.clock.start == START
    assert Choice.of().machine("real").seed is None


def test_seed_and_start_reach_the_machine() -> None:
    choice = Choice.of("guest", "virtual", seed=9, start="2017-07-16 09:56:52 +09:00")
    machine = choice.machine("virtual")
    assert machine.seed == 9
    assert machine.clock is not None
    assert machine.clock.start == datetime(2017, 7, 16, 0, 56, 52, tzinfo=UTC)
    assert choice.machine("real").seed == 9


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2017-07-16", datetime(2017, 7, 16, tzinfo=UTC)),
        ("2017-07-16 09:56:52", datetime(2017, 7, 16, 9, 56, 52, tzinfo=UTC)),
        ("2017-07-16T09:56:52.25Z", datetime(2017, 7, 16, 9, 56, 52, 250_000, tzinfo=UTC)),
    ],
)
def test_starts(text: str, moment: datetime) -> None:
    assert parse_start(text) == moment


@pytest.mark.parametrize("text", ["nonsense", "", "2017-02-30", "2017-07-16 25:00", "yesterday"])
def test_what_is_no_start(text: str) -> None:
    with pytest.raises(TestbedError) as caught:
        Choice.of(start=text)
    assert repr(text) in caught.value.what
    assert caught.value.where == "--start"
    assert caught.value.hint is not None
    assert "2017-07-16 09:56:52" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"kernel": "hots"}, "no kernel is called 'hots'"),
        ({"clock": "virtaul"}, "no clock is called 'virtaul'"),
        ({"kernel": "host", "clock": "virtual"}, "--clock virtual needs the guest kernel"),
        ({"kernel": "host", "seed": 1}, "--seed needs the guest kernel"),
        ({"kernel": "host", "start": "2020-01-01"}, "--start needs the guest kernel"),
        ({"clock": "real", "start": "2020-01-01"}, "only a virtual clock"),
        ({"kernel": "guest", "keep": True}, "cannot be kept"),
        ({"clock": "virtual", "keep": True}, "cannot be kept"),
        ({"kernel": "guest", "seed": -1}, "is no seed"),
        ({"start": "1969-12-31"}, "before 1970"),
    ],
)
def test_contradictions(words: dict[str, object], match: str) -> None:
    with pytest.raises(TestbedError, match=match) as caught:
        Choice.of(**words)  # type: ignore[arg-type]  # a table of all options
    assert caught.value.hint or caught.value.where


def test_the_nearest_word_is_named() -> None:
    with pytest.raises(TestbedError) as caught:
        Choice.of("gest")
    assert caught.value.hint == 'did you mean "guest"?'
