"""Waiting for what is expected, woken by events only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from testbed.errors import TestbedError
from testbed.events import FaultFailed, Record
from testbed.expect import failures
from testbed.expect.failures import Window
from testbed.expect.matching import Match, Wanted, as_match
from testbed.lab_schedule import failure as schedule_failure
from testbed.moments import (
    Duration,
    Moment,
    MomentError,
    as_duration,
    from_ns,
    later,
    to_ns,
)

Count = int | tuple[int, int]
"""How often: exactly, or from one number to another."""


class Clock(Protocol):
    """What is asked of a lab's clock (see :class:`testbed.clock.LabClock`)."""

    def now_ns(self) -> int: ...
    def moment(self, when: Moment) -> datetime: ...
    def allow(self, duration: Duration) -> None: ...


class Feed(Protocol):
    """What is asked of a lab's events (see :class:`testbed.lab_events.EventFeed`)."""

    def take(self) -> list[Record]: ...
    def take_all(self) -> list[Record]: ...
    def wait(self, left_ns: int) -> None: ...


class Observed(Protocol):
    """A lab, for all that matters here."""

    @property
    def clock(self) -> Clock: ...
    def feed(self) -> AbstractContextManager[Feed]: ...


def eventually(
    lab: Observed,
    wanted: Wanted,
    *,
    within: Duration,
    since: Moment | None = None,
    count: int = 1,
) -> Record:
    """Wait until something has happened; returns its event (with ``count``, the last of them).

    Args:
        lab: where.
        wanted: what (see :data:`testbed.expect.matching.Wanted`).
        within: how long it may take.
        since: from when on events count; now, unless told.  Who causes something and then waits
            for it takes the time before causing it.
        count: how often.

    Raises:
        ExpectationError: it did not; says what came nearest.
        ScheduleError: a fault of a running schedule could not be put on the lab.
        RealTimeError: it would be waited for for hours of real time.
    """
    if count < 1:
        raise TestbedError(
            f"to wait for something to happen {count} times is not to wait",
            hint="for what must not happen there is never()",
        )
    match, window = as_match(wanted), _window(lab, within, since)
    hits: list[Record] = []

    def enough(new: list[Record]) -> bool:
        hits.extend(record for record in new if record in window and match(record))
        return len(hits) >= count

    seen = _watch(lab, window, match, enough)
    if len(hits) >= count:
        return hits[count - 1]
    often = f" {count} times" if count > 1 else ""
    so_far = f", but {_times(len(hits))}" if hits else ""
    what = f"{match} did not happen{often}{so_far}"
    raise failures.failure(what, window, failures.nearest(match, window, seen), "nearest to it")


def always(
    lab: Observed,
    holds: Callable[[Record], bool],
    *,
    during: Duration,
    of: Wanted | None = None,
    since: Moment | None = None,
    at_least: int = 1,
) -> list[Record]:
    """Wait while a test holds for every event that comes; returns those, in the order of time.

    Args:
        lab: where.
        holds: the test of a record.
        during: how long.
        of: which events it is asked about; all, unless told.
        since: when that begins; now, unless told.
        at_least: how many such events there must be: a test that was never asked says nothing.

    Raises:
        ExpectationError: it did not hold for an event, at once; or there were too few.
        ScheduleError, RealTimeError: as :func:`eventually`.
    """
    about = Match(None) if of is None else as_match(of)
    window = _window(lab, during, since)
    asked: list[Record] = []
    broken: list[Record] = []

    def fails(new: list[Record]) -> bool:
        for record in new:
            if record in window and about(record):
                (asked if holds(record) else broken).append(record)
        return bool(broken)

    seen = _watch(lab, window, about, fails)
    if broken:
        what = f"it did not hold for every {about}, after {_times(len(asked))} when it did"
        lines = [failures.line(record, window) for record in broken]
        raise failures.failure(what, window, lines, "it failed for")
    if len(asked) < at_least:
        what = f"{about} happened {_times(len(asked))}, not at least {_times(at_least)}"
        raise failures.failure(what, window, failures.nearest(about, window, seen), "nearest to it")
    return sorted(asked, key=lambda record: record.time_ns)


def never(
    lab: Observed, unwanted: Wanted, *, during: Duration, since: Moment | None = None
) -> None:
    """Wait while something does not happen.

    Raises:
        ExpectationError: it did; at once.
        ScheduleError, RealTimeError: as :func:`eventually`.
    """
    match, window = as_match(unwanted), _window(lab, during, since)
    hits: list[Record] = []

    def happened(new: list[Record]) -> bool:
        hits.extend(record for record in new if record in window and match(record))
        return bool(hits)

    _watch(lab, window, match, happened)
    if hits:
        lines = [failures.line(record, window) for record in hits]
        raise failures.failure(f"{match} happened", window, lines, "namely")


def between(
    lab: Observed,
    start: Moment,
    end: Moment,
    wanted: Wanted,
    *,
    count: Count | None = None,
) -> list[Record]:
    """Wait until a window of time is over; returns the events in it, in the order of time.

    Args:
        lab: where.
        start: when the window begins: a moment, or a duration since the clock's origin.
        end: when it ends; both ends belong to it.
        wanted: what is to happen in it.
        count: how often: ``2``, or ``(1, 3)`` for one to three times; at least once, unless told.

    Raises:
        ExpectationError: it happened less or more often; too often is told at once.
        MomentError: the end is before the start.
        ScheduleError, RealTimeError: as :func:`eventually`.
    """
    match = as_match(wanted)
    window = Window(*(to_ns(lab.clock.moment(when)) for when in (start, end)))
    if window.end_ns < window.start_ns:
        raise MomentError(f"the window ends before it begins: {window}")
    least, most = _counts(count)
    _allow(lab, window)
    hits: list[Record] = []

    def too_many(new: list[Record]) -> bool:
        hits.extend(record for record in new if record in window and match(record))
        return most is not None and len(hits) > most

    seen = _watch(lab, window, match, too_many)
    hits.sort(key=lambda record: record.time_ns)
    if len(hits) >= least and (most is None or len(hits) <= most):
        return hits
    limits = _limits(least, most)
    what = f"{match} happened {_times(len(hits))} instead of {limits}"
    if len(hits) > least:
        lines = [failures.line(record, window) for record in hits]
        raise failures.failure(what, window, lines, "namely")
    raise failures.failure(what, window, failures.nearest(match, window, seen), "nearest to it")


def _window(lab: Observed, length: Duration, since: Moment | None) -> Window:
    start = from_ns(lab.clock.now_ns()) if since is None else lab.clock.moment(since)
    window = Window(to_ns(start), to_ns(later(start, as_duration(length))))
    _allow(lab, window)
    return window


def _allow(lab: Observed, window: Window) -> None:
    """Refuse at once what would take hours of real time."""
    left_ns = window.end_ns - lab.clock.now_ns()
    lab.clock.allow(timedelta(microseconds=max(0, left_ns // 1000)))


def _watch(
    lab: Observed, window: Window, match: Match, decided: Callable[[list[Record]], bool]
) -> list[Record]:
    """Show ``decided`` the events as they come, until it is or the window is over.

    Returns all that were seen, the lab's earlier ones included.
    """
    with lab.feed() as feed:
        seen: list[Record] = []
        new = feed.take_all()
        while True:
            seen += new
            _complain(new, window, match)
            if decided(new):
                return seen
            left_ns = window.end_ns - lab.clock.now_ns() + 1  # the end belongs to it
            if left_ns <= 0:
                break
            feed.wait(left_ns)
            new = feed.take()
        new = feed.take_all()
        seen += new
        _complain(new, window, match)
        decided(new)
        return seen


def _complain(new: list[Record], window: Window, match: Match) -> None:
    """A scenario whose faults do not come is not the scenario that its author wrote."""
    failed = [
        record.event
        for record in new
        if isinstance(record.event, FaultFailed)
        and record.time_ns >= window.start_ns
        and (match.kind is None or not match(record))
    ]
    if failed:
        raise schedule_failure(failed)


def _counts(count: Count | None) -> tuple[int, int | None]:
    if count is None:
        return 1, None
    least, most = (count, count) if isinstance(count, int) else count
    if least < 0 or (most is not None and most < least):
        raise TestbedError(
            f"nothing can happen {least} to {most} times", hint="count: a number, or (least, most)"
        )
    return least, most


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def _limits(least: int, most: int | None) -> str:
    if most is None:
        return "at least once"
    return _times(most) if least == most else f"{least} to {most} times"
