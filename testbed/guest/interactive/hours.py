"""When the clock of a guest moves, and how far: the guest's side.

With a virtual clock that is a choice.  Held, time moves only while somebody's request needs it, and
as fast as can be; running, it moves with the wall clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

FIRST_NS = 10**6
"""After this much time in which nothing happened, it is asked whether time is still needed."""

_LONGEST_NS = 60 * 10**9
_GROWTH = 4
_STEPS = 200
_LONGEST_STEP_NS = 3600 * 10**9
"""So often progress is told of a way, and at least after so much time."""

_WATCHERS_NS = 250 * 10**6
"""So much time passes for those who capture, once nobody else needs any.  (The writer of a capture
keeps packets back for a while, for what components say of them.)"""

_PACE_NS = 20 * 10**6


@dataclass(slots=True)
class Advance:
    """Somebody wants time to pass until then (CLOCK_REALTIME)."""

    began_ns: int
    until_ns: int


class Hours:
    """What is known of wishes for time."""

    def __init__(self, is_virtual: bool) -> None:
        self.is_virtual = is_virtual
        self.up_ns = time.time_ns()
        self.speed: float | None = None
        self._advances: dict[int, Advance] = {}
        self._slice_ns = FIRST_NS
        self._grace_until_ns = 0

    def state(self, needed: bool = False) -> dict[str, Any]:
        """What the clock shows and does; ``needed`` tells that a request needs time."""
        moves = needed or bool(self._advances)
        return {
            "now_ns": time.time_ns(),
            "up_ns": self.up_ns,
            "virtual": self.is_virtual,
            "held": self.is_virtual and self.speed is None and not moves,
            "speed": self.speed,
        }

    def advance(self, visit: int, until_ns: int) -> None:
        """Somebody wants time to pass until then."""
        self._advances[visit] = Advance(time.time_ns(), until_ns)

    def stop(self, visit: int) -> bool:
        """Somebody wants that no more; false if they did not anyway."""
        return self._advances.pop(visit, None) is not None

    def stop_all(self) -> list[int]:
        """Nobody's way goes on: whose did."""
        stopped = list(self._advances)
        self._advances.clear()
        return stopped

    def arrived(self) -> list[int]:
        """Whose moment has come; they want no more."""
        now = time.time_ns()
        found = [visit for visit, one in self._advances.items() if one.until_ns <= now]
        for visit in found:
            del self._advances[visit]
        return found

    @property
    def on_the_way(self) -> Iterable[int]:
        """Who waits for a moment to come."""
        return tuple(self._advances)

    def something_happened(self) -> None:
        """Look again soon whether time is needed."""
        self._slice_ns = FIRST_NS

    def nothing_happened(self) -> None:
        """A whole slice of time passed in silence."""
        self._slice_ns = min(_GROWTH * self._slice_ns, _LONGEST_NS)

    def next_stop_ns(self, needed: bool, watched: bool) -> int | None:
        """How long time may flow now until somebody looks again; None to hold it.

        ``needed`` tells that a request needs time, ``watched`` that somebody looks at packets.
        """
        now = time.time_ns()
        if needed or self._advances:
            self._grace_until_ns = now + _WATCHERS_NS
        limits = [one.until_ns - now for one in self._advances.values()]
        steps = [(one.until_ns - one.began_ns) // _STEPS for one in self._advances.values()]
        if needed:
            limits.append(self._slice_ns)
        elif steps:
            limits.append(max(FIRST_NS, min(_LONGEST_STEP_NS, *steps)))
        elif watched and now < self._grace_until_ns:
            limits.append(self._grace_until_ns - now)
        return max(0, min(limits)) if limits else None

    def pace_ns(self) -> int:
        """How far running time may go before it is compared with the wall clock."""
        return round(_PACE_NS * (self.speed or 1.0))
