"""An account of a failure: what was lost, which way packets took before, during, after.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from testbed.events import AdjacencyDown, AdjacencyUp, Record, RouteChanged
from topologies.dual_stack_isp.wire import Family, Nodes, Trip

FAMILIES: tuple[Family, ...] = ("IPv4", "IPv6")


@dataclass(frozen=True, slots=True)
class Outage:
    """Echo requests without an answer, one after the other.

    ``last_good_ns`` is when the last answered one before them was sent, ``first_good_ns`` the first
    after them: the outage began and ended between these and the lost ones.  None: there was none.
    ``died`` are the nodes that a request, or its reply, reached last.
    """

    family: Family
    lost: int
    first_lost_ns: int
    last_lost_ns: int
    last_good_ns: int | None
    first_good_ns: int | None
    died: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """Answered requests that took the same path there and the same path back, in a row."""

    family: Family
    there: Nodes
    back: Nodes
    first_ns: int
    last_ns: int
    trips: int


def of_family(trips: Iterable[Trip], family: Family) -> list[Trip]:
    """Those of one family, in the order of sending."""
    return [trip for trip in trips if trip.family == family]


def outages(trips: Sequence[Trip], family: Family) -> list[Outage]:
    """Every row of unanswered requests."""
    found: list[Outage] = []
    good: int | None = None
    for answered, group in groupby(of_family(trips, family), _is_answered):
        several = list(group)
        if answered:
            good = several[-1].sent_ns
            if found and found[-1].first_good_ns is None:
                found[-1] = _ended(found[-1], several[0].sent_ns)
            continue
        died = {(trip.back or trip.there)[-1] for trip in several}
        found.append(
            Outage(
                family,
                len(several),
                several[0].sent_ns,
                several[-1].sent_ns,
                good,
                None,
                tuple(sorted(died)),
            )
        )
    return found


def _is_answered(trip: Trip) -> bool:
    return trip.answered_ns is not None


def _ended(outage: Outage, first_good_ns: int) -> Outage:
    return Outage(
        outage.family,
        outage.lost,
        outage.first_lost_ns,
        outage.last_lost_ns,
        outage.last_good_ns,
        first_good_ns,
        outage.died,
    )


def ways(trips: Sequence[Trip], family: Family) -> list[Way]:
    """The paths that were taken, one after the other."""
    answered = [trip for trip in of_family(trips, family) if _is_answered(trip)]
    found = []
    for (there, back), group in groupby(answered, lambda trip: (trip.there, trip.back)):
        several = list(group)
        found.append(
            Way(family, there, back, several[0].sent_ns, several[-1].sent_ns, len(several))
        )
    return found


def adjacencies_lost(records: Iterable[Record], since_ns: int) -> list[Record]:
    """What routers told of neighbours that went, from a moment on."""
    return [
        record
        for record in records
        if isinstance(record.event, AdjacencyDown) and record.time_ns >= since_ns
    ]


def told(records: Iterable[Record], since_ns: int, until_ns: int) -> Iterator[Record]:
    """Everything that routers told in a window, in the order of time."""
    kinds = AdjacencyDown | AdjacencyUp | RouteChanged
    chosen = [
        record
        for record in records
        if isinstance(record.event, kinds) and since_ns <= record.time_ns <= until_ns
    ]
    yield from sorted(chosen, key=lambda record: record.time_ns)


def seconds(time_ns: int, since_ns: int) -> str:
    """A time counted from another: ``+39.97 s``."""
    return f"{(time_ns - since_ns) / 1e9:+.3f} s"
