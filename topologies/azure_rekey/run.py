"""The tunnel left to itself for hours, with traffic across it, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from testbed.events import ChildSaEstablished, Record
from testbed.evidence.sa import History, sa_history
from testbed.model import Topology
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.azure_rekey import checks
from topologies.azure_rekey.traffic import PING, Stream, Traffic, probes
from topologies.azure_rekey.wire import Row, esp_packets, ike_messages, read_rows

BringUp = Callable[[Topology], ScenarioLab]
_LAST_ANSWERS = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that so many hours of the tunnel left.

    ``lost_ns`` is when unanswered pings were sent.
    """

    hours: float
    history: History
    streams: tuple[Stream, ...]
    rows: Sequence[Row]
    lost_ns: Sequence[int]


def run(lab: ScenarioLab, hours: float, evidence: Evidence) -> Outcome:
    """Have the tunnel up with traffic for so many hours of the lab's clock."""
    with lab.capture("rtx:wan", "azure:wan", "pc:eth0", "vm:eth0", file="tunnel.pcapng") as capture:
        lab.wait_for(_is_up, "the tunnel to be up at both ends")
        began_ns = lab.clock.now_ns()
        traffic = Traffic(lab)
        lab.clock.sleep(timedelta(hours=hours))
        streams = traffic.end()
        lab.clock.sleep(_LAST_ANSWERS)
    evidence.file("Both ends of the tunnel, inside and outside", capture.path)
    rows = read_rows(capture.path)
    lost_pings = checks.unanswered_pings(rows)
    ended_ns = lab.clock.now_ns()
    for stream in streams:
        lost = lost_pings if stream.name == PING else stream.lost_ns
        for time_ns, event in probes(stream, lost, began_ns, ended_ns):
            lab.emit(event, "pc", time_ns)
    return Outcome(hours, sa_history(lab.events()), streams, rows, lost_pings)


def require_sound(outcome: Outcome) -> None:
    """Fail unless nothing was lost and what the daemons told is what was on the wire."""
    for stream in outcome.streams:
        wrong = list(checks.interrupted(stream, outcome.hours))
        assert not wrong, "; ".join(wrong)
    rows, history = outcome.rows, outcome.history
    esp, ike = list(esp_packets(rows)), list(ike_messages(rows))
    assert esp, "no ESP was seen at all"
    assert checks.lost_on_the_way(esp) == []
    assert checks.lost_inside(rows) == []
    assert outcome.lost_ns == []
    assert checks.sent_again(rows) == []
    assert checks.unclamped(rows) == []
    assert list(history.disagreements()) == [], "the two ends tell different stories"
    assert list(checks.esp_outside_lives(esp, history)) == []
    assert checks.told_and_seen(ike, history) == []
    assert checks.unknown_ike_spis(ike, history) == []


def _is_up(records: list[Record]) -> bool:
    told = {record.node for record in records if isinstance(record.event, ChildSaEstablished)}
    return told >= {"rtx", "azure"}
