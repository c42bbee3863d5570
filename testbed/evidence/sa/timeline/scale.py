"""Time as a place on the paper, and where the axis has its ticks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
STEPS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 2 * _HOUR, 3 * _HOUR, 4 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY),
)
"""Distances between ticks that people like to read."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick: its time, how long after zero it is in words, and the clock at that time."""

    time_ns: int
    after: str
    clock: str


@dataclass(frozen=True, slots=True)
class Scale:
    """From ``start_ns`` at ``left`` to ``end_ns`` at ``right``; ``zero_ns`` is 0 on the axis."""

    start_ns: int
    end_ns: int
    zero_ns: int
    left: float
    right: float

    def x(self, time_ns: int) -> float:
        """The place of a time; times outside are put at the edge."""
        inside = min(max(time_ns, self.start_ns), self.end_ns)
        share = (inside - self.start_ns) / max(self.end_ns - self.start_ns, 1)
        return self.left + share * (self.right - self.left)

    def step_s(self, room: float) -> int:
        """The smallest liked distance that is at least ``room`` px wide."""
        per_px = (self.end_ns - self.start_ns) / 1e9 / (self.right - self.left)
        fitting = (step for step in STEPS_S if step >= room * per_px)
        return next(fitting, STEPS_S[-1] * max(1, round(room * per_px / STEPS_S[-1] + 0.5)))

    def ticks(self, room: float) -> tuple[Tick, ...]:
        """Ticks at least ``room`` px apart, at whole multiples of the step after zero."""
        step = self.step_s(room) * 10**9
        first = -((self.zero_ns - self.start_ns) // step)
        times = range(self.zero_ns + first * step, self.end_ns + 1, step)
        ticks = []
        day = None
        for time in times:
            moment = datetime.fromtimestamp(time // 10**9, UTC)
            clock = moment.strftime("%H:%M:%S" if step < _MINUTE * 10**9 else "%H:%M")
            if moment.date() != day:
                day = moment.date()
                clock = f"{moment.day} {moment.strftime('%b')} {clock}"
            ticks.append(Tick(time, after(time - self.zero_ns, step), clock))
        return tuple(ticks)


def after(delta_ns: int, step_ns: int) -> str:
    """``0``, ``6 h``, ``1 h 30 min``, ``45 s``: as fine as the step needs."""
    if delta_ns == 0:
        return "0"
    sign, seconds = ("−" if delta_ns < 0 else ""), abs(delta_ns) // 10**9
    hours, minutes, seconds = seconds // _HOUR, seconds // _MINUTE % 60, seconds % _MINUTE
    parts = [f"{hours} h" if hours else ""]
    if step_ns < _HOUR * 10**9:
        parts.append(f"{minutes} min" if minutes else "")
    if step_ns < _MINUTE * 10**9:
        parts.append(f"{seconds} s" if seconds else "")
    return sign + " ".join(part for part in parts if part)
