"""Traffic across a failure, and everything that is known of it afterwards."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from testbed.events import Probes, Record
from testbed.evidence.event_words import in_words
from testbed.lab import Lab
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.dual_stack_isp import account
from topologies.dual_stack_isp.account import FAMILIES, Outage, Way, seconds
from topologies.dual_stack_isp.addresses import WWW, WWW_V6
from topologies.dual_stack_isp.picture import draw
from topologies.dual_stack_isp.wire import (
    ECHOES,
    ROUTING,
    Cables,
    Family,
    Row,
    Trip,
    read_rows,
    read_trips,
)

_PATIENCE_S = 30.0
_REPORTED = 60


@dataclass
class Journey:
    """Traffic from pc to www while something happened; complete when its block has ended."""

    path: Path
    every_s: float
    marks: list[tuple[str, int]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    trips: list[Trip] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def outages(self, family: Family) -> list[Outage]:
        """What was lost."""
        return account.outages(self.trips, family)

    def ways(self, family: Family) -> list[Way]:
        """The paths that were taken."""
        return account.ways(self.trips, family)

    def mark_ns(self, name: str) -> int:
        """When something was done that was noted under this name."""
        return dict(self.marks)[name]

    def lost_adjacencies(self, since_ns: int) -> list[Record]:
        """Neighbours that went, from a moment on."""
        return account.adjacencies_lost(self.records, since_ns)


@contextmanager
def journey(
    lab: ScenarioLab,
    evidence: Evidence,
    file: str,
    *,
    every_s: float = 0.05,
    listen_s: float = 0.0,
) -> Iterator[tuple[Journey, Callable[[str], None]]]:
    """Have pc ping www over both families; with it comes a function that notes a moment.

    The capture begins ``listen_s`` before that.  What came of it is kept as evidence.
    """
    cables = Cables.of(lab.topology)
    with lab.capture(
        *cables.captured(), file=file, expression=f"({ECHOES}) or {ROUTING}"
    ) as capture:
        kept = Journey(capture.path, every_s)

        def note(name: str) -> None:
            kept.marks.append((name, lab.clock.now_ns()))

        lab.sleep(listen_s)
        commands = [
            lab.start("pc", ["ping", "-q", "-n", "-i", f"{every_s:g}", address])
            for address in (WWW, WWW_V6)
        ]
        note("begin")
        try:
            yield kept, note
        finally:
            for command in commands:
                command.send_signal(signal.SIGINT)
            for command in commands:
                command.wait(_PATIENCE_S)
            note("end")
    kept.rows = read_rows(capture.path)
    kept.trips = read_trips(kept.rows, cables, "pc")
    kept.records = lab.events()
    _tell(lab, kept)
    _keep(evidence, kept)


def _tell(lab: Lab, kept: Journey) -> None:
    """The streams as events of the lab: sent, answered, when those without an answer were sent."""
    for family in FAMILIES:
        trips = account.of_family(kept.trips, family)
        lost = tuple(trip.sent_ns for trip in trips if trip.answered_ns is None)
        event = Probes(
            f"ping pc to www, {family}",
            kept.mark_ns("begin"),
            len(trips),
            len(trips) - len(lost),
            lost[:_REPORTED],
        )
        lab.emit(event, "pc", kept.mark_ns("end"))


def _keep(evidence: Evidence, kept: Journey) -> None:
    zero_ns = kept.marks[1][1] if len(kept.marks) > 2 else kept.mark_ns("begin")
    name = kept.path.stem if len(kept.marks) <= 2 else kept.marks[1][0]
    evidence.drawing(name, draw(name, kept.trips, kept.records, kept.marks))
    evidence.file("The pings, OSPF, BGP and BFD, on every cable", kept.path)
    evidence.table(
        "What was done",
        ("when", "what"),
        [(seconds(moment, zero_ns), name) for name, moment in kept.marks],
    )
    evidence.table(
        "The ways the packets took",
        ("family", "from", "to", "packets", "there", "back"),
        [
            (
                way.family,
                seconds(way.first_ns, zero_ns),
                seconds(way.last_ns, zero_ns),
                way.trips,
                " ".join(way.there),
                " ".join(way.back),
            )
            for family in FAMILIES
            for way in kept.ways(family)
        ],
    )
    evidence.table(
        "What was lost",
        ("family", "first sent", "last sent", "packets", "came as far as"),
        [
            (
                outage.family,
                seconds(outage.first_lost_ns, zero_ns),
                seconds(outage.last_lost_ns, zero_ns),
                outage.lost,
                ", ".join(outage.died),
            )
            for family in FAMILIES
            for outage in kept.outages(family)
        ],
    )
    until_ns = kept.mark_ns("end")
    records = list(account.told(kept.records, kept.mark_ns("begin"), until_ns))
    evidence.table(
        "What the routers told",
        ("when", "router", "what"),
        [
            (seconds(record.time_ns, zero_ns), record.node, in_words(record.event)[0])
            for record in records
        ],
    )
