"""The clock of a lab on the host's kernel: real, exact enough, and short of patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from testbed.clock import LabClock, RealTimeError
from testbed.kernel import clocksource
from testbed.kernel.timer import Timer
from testbed.lab import Lab
from testbed.model import Topology
from testbed.moments import MomentError
from tests.lab.conftest import two_hosts

_SHORT = timedelta(milliseconds=60)


def test_it_says_that_it_is_real_and_shows_the_time() -> None:
    clock = LabClock()
    assert not clock.is_virtual
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=60)
    assert clock.now().tzinfo is UTC


def test_sleeping_is_never_too_short() -> None:
    clock = LabClock()
    began = time.monotonic_ns()
    clock.sleep(_SHORT)
    assert time.monotonic_ns() - began >= 60 * 10**6
    assert clock.elapsed() >= _SHORT


def test_sleeping_until_a_moment_ends_not_before_it() -> None:
    clock = LabClock()
    moment = clock.now() + _SHORT
    clock.sleep_until(moment)
    assert clock.now() >= moment
    clock.sleep_until("+30ms")
    assert clock.now() >= moment + timedelta(milliseconds=30)


def test_a_mere_duration_counts_from_the_origin() -> None:
    clock = LabClock()
    clock.sleep_until("80ms")
    assert clock.elapsed() >= timedelta(milliseconds=80)
    assert clock.moment("3h") == clock.origin + timedelta(hours=3)
    clock.restart()
    assert clock.elapsed() < timedelta(milliseconds=80)


def test_a_moment_that_is_past_is_told() -> None:
    clock = LabClock()
    with pytest.raises(MomentError, match=r"2017-07-16 09:56:52 was .* ago"):
        clock.sleep_until("2017-07-16 09:56:52")
    clock.sleep(_SHORT)
    with pytest.raises(MomentError, match="ago"):
        clock.sleep_until("10ms")


@pytest.mark.parametrize(
    "wait",
    [
        lambda clock: clock.sleep("3h"),
        lambda clock: clock.sleep(10_800),
        lambda clock: clock.sleep_until("3h"),
        lambda clock: clock.sleep_until("+1d"),
        lambda clock: clock.allow("48h"),
    ],
)
def test_hours_are_refused_before_they_begin(wait: Callable[[LabClock], None]) -> None:
    clock = LabClock()
    with pytest.raises(RealTimeError) as caught:
        wait(clock)
    assert clock.elapsed() < timedelta(minutes=1)
    assert "this clock is a real one: it may wait 10min" in caught.value.what
    assert caught.value.hint is not None
    assert "--clock virtual" in caught.value.hint


def test_many_short_waits_are_hours_too() -> None:
    clock = LabClock(patience=timedelta(milliseconds=100))
    clock.sleep("60ms")
    with pytest.raises(RealTimeError, match="wait 60ms after 60ms"):
        clock.sleep("60ms")
    clock.restart()
    clock.sleep("60ms")


def test_a_virtual_clock_has_all_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.clock.time_is_virtual", lambda: True)
    assert LabClock().is_virtual
    LabClock().allow("400 days")


@pytest.mark.parametrize(
    ("text", "virtual"), [("time-travel-clock\n", True), ("tsc\n", False), (None, False)]
)
def test_the_kernel_says_which_clock_it_has(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    virtual: bool,
) -> None:
    path = tmp_path_factory.mktemp("sys") / "current_clocksource"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(clocksource, "_CURRENT", path)
    assert clocksource.time_is_virtual.__wrapped__() is virtual


def test_a_timer_can_be_set_again_stopped_and_is_not_late_for_what_is_past() -> None:
    with Timer() as timer:
        timer.set(0)
        timer.wait()
        timer.set(time.monotonic_ns() + 10**12)
        timer.set(time.monotonic_ns() - 10**6)
        timer.wait()
        timer.clear()  # nothing to take notice of
        timer.stop()


def test_a_labs_clock_counts_from_when_it_came_up(up: Callable[[Topology], Lab]) -> None:
    before = datetime.now(UTC)
    lab = up(two_hosts())
    assert before < lab.clock.origin <= lab.clock.now()
    lab.sleep("20ms")
    lab.sleep_until("50ms")
    again = Lab.connect(lab.name)
    assert again.clock.elapsed() >= timedelta(milliseconds=50)
    assert abs(again.clock.origin - lab.clock.origin) < timedelta(seconds=1)
