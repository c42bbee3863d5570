"""The channels between columns: which vertical track each cable takes.

A net comes from the low side (the column before) at height ``start`` and leaves at height ``end``
on the high side - or on the low side again, for a cable between items of one column.  Its one
vertical piece runs in a track.  Tracks are ordered so that few cables cross and none lies on
another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.evidence.graph.scene import Bend, Port

TOUCHING = 4.0  # heights nearer than this look like one line, px
_NEVER = 1000


@dataclass(eq=False, slots=True)
class Net:
    """One piece of cable in a channel; ``track`` counts from the low side, None when straight."""

    low: Port
    high: Port
    start: float
    end: float
    returns: bool
    track: int | None = None

    @property
    def straight(self) -> bool:
        """True when it needs no track."""
        return not self.returns and self.start == self.end

    @property
    def top(self) -> float:
        """Upper end of the vertical piece."""
        return min(self.start, self.end)

    @property
    def bottom(self) -> float:
        """Lower end of the vertical piece."""
        return max(self.start, self.end)


def straighten(low: Port, high: Port, returns: bool) -> None:
    """Take a small step out of a cable by moving its ends within their rows."""
    gap = high.y - low.y
    if returns or gap == 0 or abs(gap) > 6:
        return
    movable = [port for port in (low, high) if not isinstance(port.item, Bend)]
    if not movable or abs(gap) / len(movable) > 3:
        return
    level = (low.y + high.y) / 2 if len(movable) == 2 else (low.y if high in movable else high.y)
    for port in movable:
        port.offset = level - port.item.y


def assign_tracks(nets: Sequence[Net]) -> int:
    """Give every net that is not straight its track; returns the number of tracks."""
    order = sorted((net for net in nets if not net.straight), key=_natural)
    for _ in range(len(order)):
        swapped = False
        for index in range(len(order) - 1):
            one, two = order[index], order[index + 1]
            if _cost(two, one) < _cost(one, two):
                order[index], order[index + 1] = two, one
                swapped = True
        if not swapped:
            break
    count = 0
    for index, net in enumerate(order):
        near = [
            other.track
            for other in order[:index]
            if other.track is not None
            and other.top - TOUCHING * 2 < net.bottom
            and net.top < other.bottom + TOUCHING * 2
        ]
        net.track = max(near, default=-1) + 1
        count = max(count, net.track + 1)
    return count


def _natural(net: Net) -> float:
    # Among cables that go down the lowest should turn first, among those that go up the highest.
    return -net.start if net.end > net.start else net.start


def _cost(first: Net, second: Net) -> int:
    """Crossings between two nets when the first has the track nearer to the low side."""
    cost = 0
    for level in _low_levels(second):
        cost += first.top < level < first.bottom
    for level in _high_levels(first):
        cost += second.top < level < second.bottom
    for high in _high_levels(first):
        cost += sum(abs(high - low) < TOUCHING for low in _low_levels(second)) * _NEVER
    return cost


def _low_levels(net: Net) -> tuple[float, ...]:
    return (net.start, net.end) if net.returns else (net.start,)


def _high_levels(net: Net) -> tuple[float, ...]:
    return () if net.returns else (net.end,)
