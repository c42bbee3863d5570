"""How long a failure takes that nobody sees: what the timers say, and what came.

The last message that a router got from its neighbour started the timer for the last time: it is on
the wire.  When the timer then runs out, it gives the neighbour up, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from testbed.errors import TestbedError
from testbed.events import AdjacencyDown, Record
from testbed.events.routing_kinds import Protocol
from testbed.model import Interface, Topology
from testbed.plan.planner import mac_address
from testbed.scenarios.evidence import Evidence
from topologies.dual_stack_isp.account import seconds
from topologies.dual_stack_isp.wire import Cables, Family, Row, last_heard_ns


@dataclass(frozen=True, slots=True)
class Timer:
    """A protocol's timer, which every message of its kind starts anew, and its length."""

    protocol: Protocol
    family: Family
    seconds: float


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A neighbour that was given up: when its timer was to run out, and when it was told."""

    node: str
    neighbor: str
    timer: Timer
    heard_ns: int
    told_ns: int

    @property
    def due_ns(self) -> int:
        """When the timer ran out by what was on the wire."""
        return self.heard_ns + round(self.timer.seconds * 1e9)

    @property
    def late_s(self) -> float:
        """How long after that it was told."""
        return (self.told_ns - self.due_ns) / 1e9


def given_up(
    topology: Topology,
    link: str,
    timers: Iterable[Timer],
    records: Sequence[Record],
    rows: Sequence[Row],
    silent_ns: int,
) -> list[GivenUp]:
    """What became of a cable's two ends after it went silent, for each timer.

    Raises:
        TestbedError: a router did not give its neighbour up.
    """
    found = []
    left, right = topology.link(link).ends
    captured = Cables.of(topology).on(link)
    for timer in timers:
        for here, there in ((left, right), (right, left)):
            mac = mac_address(topology, there)
            heard_ns = last_heard_ns(rows, timer.protocol, timer.family, captured, mac, silent_ns)
            told_ns = _told_ns(records, here, there.node, timer, silent_ns)
            found.append(GivenUp(here.node, there.node, timer, heard_ns, told_ns))
    return found


def _told_ns(
    records: Sequence[Record], here: Interface, neighbor: str, timer: Timer, since_ns: int
) -> int:
    for record in records:
        event = record.event
        if (
            isinstance(event, AdjacencyDown)
            and record.node == here.node
            and record.time_ns >= since_ns
            and event.protocol == timer.protocol
            and (event.neighbor == neighbor or event.interface == here.name)
            # OSPFv3 names its neighbours by IPv4 numbers, too, but has only one family.
            and (timer.protocol.startswith("OSPF") or _family(event.address) == timer.family)
        ):
            return record.time_ns
    what = f"{timer.protocol}, {timer.family}"
    raise TestbedError(f"{here.label} did not give {neighbor} up ({what})")


def _family(address: str) -> Family:
    return "IPv6" if ":" in address else "IPv4"


def keep(evidence: Evidence, rows: Iterable[GivenUp], silent_ns: int) -> None:
    """The comparison as a table; times are counted from when the link went silent."""
    evidence.table(
        "What the timers say, and what came",
        ("router", "neighbour", "protocol", "last heard", "timer", "runs out", "given up"),
        [
            (
                row.node,
                row.neighbor,
                f"{row.timer.protocol}, {row.timer.family}",
                seconds(row.heard_ns, silent_ns),
                f"{row.timer.seconds:g} s",
                seconds(row.due_ns, silent_ns),
                seconds(row.told_ns, silent_ns),
            )
            for row in rows
        ],
    )
