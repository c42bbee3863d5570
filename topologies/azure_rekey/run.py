"""The tunnel left to itself for hours, with traffic across it, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from testbed.events import ChildSaEstablished, Record
from testbed.evidence.sa import History, sa_history
from testbed.model import Topology
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.azure_rekey import checks
from topologies.azure_rekey.traffic import PING, Stream, Traffic, probes
from topologies.azure_rekey.wire import Wire, read_wire

BringUp = Callable[[Topology], ScenarioLab]
_LAST_ANSWERS = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that a run of the tunnel left."""

    history: History
    streams: tuple[Stream, ...]
    wire: Wire
    capture: Path


def run(lab: ScenarioLab, hours: float, evidence: Evidence) -> Outcome:
    """Have the tunnel up with traffic for so many hours of the lab's clock."""
    with lab.capture("rtx:wan", "azure:wan", "pc:eth0", "vm:eth0", file="tunnel.pcapng") as capture:
        lab.wait_for(_is_up, "the tunnel to be up at both ends")
        began_ns = lab.clock.now_ns()
        traffic = Traffic(lab)
        lab.clock.sleep(timedelta(hours=hours))
        streams = traffic.end()
        lab.clock.sleep(_LAST_ANSWERS)
    ended_ns = lab.clock.now_ns()
    lost = {PING: checks.unanswered_pings(capture.path)}
    for stream in streams:
        for time_ns, event in probes(stream, lost.get(stream.name, ()), began_ns, ended_ns):
            lab.emit(event, "pc", time_ns)
    history = sa_history(lab.events())
    evidence.file("Both ends of the tunnel, inside and outside", capture.path)
    return Outcome(history, streams, read_wire(capture.path), capture.path)


def require_sound(outcome: Outcome) -> None:
    """Fail unless nothing was lost and what the daemons told is what was on the wire."""
    for stream in outcome.streams:
        assert stream.sent == len(stream.answered) > 0, f"{stream.name}: some were not answered"
    assert checks.lost_on_the_way(outcome.wire) == []
    assert checks.lost_inside(outcome.capture) == []
    assert checks.sent_again(outcome.capture) == []
    assert checks.largest_segments(outcome.capture) == checks.EXPECTED_MSS
    assert list(outcome.history.disagreements()) == [], "the two ends tell different stories"
    assert list(checks.esp_outside_lives(outcome.wire, outcome.history)) == []
    told, seen = checks.rekeys_told(outcome.history), checks.rekeys_on_the_wire(outcome.wire)
    assert checks.agree(told, seen), f"told: {told}\non the wire: {seen}"
    spis = {
        (getattr(sa.spis, "initiator", ""), getattr(sa.spis, "responder", ""))
        for sa in outcome.history.of_sort("IKE")
    }
    assert checks.ike_spis_on_the_wire(outcome.wire) == spis


def _is_up(records: list[Record]) -> bool:
    told = {record.node for record in records if isinstance(record.event, ChildSaEstablished)}
    return told >= {"rtx", "azure"}
