"""A lab that is only a clock and a list of events to come: hours pass by counting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from testbed.clock import LabClock
from testbed.events import Note, Record
from testbed.moments import Duration, Moment, as_moment, from_ns, to_ns

START = datetime(2017, 7, 15, 9, 55, 33, tzinfo=UTC)
START_NS = to_ns(START)


@dataclass(frozen=True)
class Coming:
    happens_ns: int
    logged_ns: int
    record: Record


def note(seconds: float, text: str = "x", *, later: float = 0.0, node: str | None = None) -> Coming:
    """A note so many seconds after the start, that is in the log ``later`` seconds later."""
    at_ns = START_NS + round(seconds * 1e9)
    return Coming(at_ns, at_ns + round(later * 1e9), Record(at_ns, "test", Note(text), node=node))


@dataclass
class SimulatedClock:
    """Stands still unless somebody waits."""

    time_ns: int = START_NS

    def now_ns(self) -> int:
        return self.time_ns

    def moment(self, when: Moment) -> datetime:
        return as_moment(when, from_ns(self.time_ns), START)

    def allow(self, duration: Duration) -> None:
        """A virtual clock allows everything."""


@dataclass
class RealClock(SimulatedClock):
    """One that says it is real."""

    judge: LabClock = field(default_factory=LabClock)

    def allow(self, duration: Duration) -> None:
        self.judge.allow(duration)


@dataclass
class SimulatedLab:
    """Its events come at their times; ``waits`` is how often somebody was woken."""

    events: Sequence[Coming]
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    waits: int = 0

    @contextmanager
    def feed(self) -> Iterator[SimulatedFeed]:
        yield SimulatedFeed(self)


@dataclass
class SimulatedFeed:
    """As testbed.lab_events.EventFeed."""

    lab: SimulatedLab
    given: set[int] = field(default_factory=set)

    def _new(self, ready: Sequence[Coming]) -> list[Record]:
        new = [one for one in ready if id(one) not in self.given]
        self.given |= {id(one) for one in new}
        return [one.record for one in sorted(new, key=lambda one: one.logged_ns)]

    def take(self) -> list[Record]:
        now = self.lab.clock.time_ns
        return self._new([one for one in self.lab.events if one.logged_ns <= now])

    def take_all(self) -> list[Record]:
        now = self.lab.clock.time_ns
        return self._new([one for one in self.lab.events if one.happens_ns <= now])

    def wait(self, left_ns: int) -> None:
        assert left_ns > 0
        self.lab.waits += 1
        clock = self.lab.clock
        times = (one.logged_ns for one in self.lab.events if one.logged_ns > clock.time_ns)
        clock.time_ns = min(clock.time_ns + left_ns, min(times, default=2**63))
