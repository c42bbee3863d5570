"""A run as a story: the events of all its labs in order of time, repetitions drawn together."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import merge as merge_sorted

from testbed.events import (
    CaptureStarted,
    CaptureStopped,
    CommandEnded,
    CommandStarted,
    Drop,
    Event,
    FaultApplied,
    LabDown,
    LabUp,
    MappingCreated,
    MappingExpired,
    Note,
    PortsExhausted,
    Provisioned,
    Record,
    ServiceExited,
    ServiceReady,
    ServiceStarted,
    Verdict,
)
from testbed.evidence.report.drops import place_of

PLAIN = "plain"
GOOD = "good"
BAD = "bad"
WARN = "warn"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the story; ``count`` events of the same kind and place up to ``until_ns``."""

    time_ns: int
    until_ns: int
    where: str
    kind: str
    text: str
    tone: str = PLAIN
    count: int = 1


def merge_records(streams: Iterable[Iterable[Record]]) -> tuple[Record, ...]:
    """The records of several labs in order of time; equal times keep the order of the streams."""
    ordered = (sorted(stream, key=lambda record: record.time_ns) for stream in streams)
    return tuple(merge_sorted(*ordered, key=lambda record: record.time_ns))


def timeline(records: Iterable[Record]) -> tuple[Entry, ...]:
    """The records as entries; what repeats without anything in between becomes one entry."""
    return tuple(_gather(_entry(record) for record in records))


def elide(entries: Sequence[Entry], limit: int) -> tuple[tuple[Entry, ...], int]:
    """At most ``limit`` entries and how many were left out: the plain ones in the middle go first.

    Bad news and verdicts are kept as long as there is room for them.
    """
    if len(entries) <= limit:
        return tuple(entries), 0
    weight = {BAD: 0, GOOD: 1, WARN: 2, PLAIN: 3}
    size = len(entries)
    ranked = sorted(
        range(size),
        key=lambda index: (weight[entries[index].tone], min(index, size - 1 - index)),
    )
    kept = sorted(ranked[:limit])
    return tuple(entries[index] for index in kept), size - limit


def timeline_text(entries: Iterable[Entry], start_ns: int | None = None) -> str:
    """The story as text, a line per entry: seconds since the start, where, what."""
    entries = list(entries)
    if not entries:
        return ""
    start = entries[0].time_ns if start_ns is None else start_ns
    width = max(len(entry.where) for entry in entries)
    return "".join(
        f"{seconds_since(entry.time_ns, start):>+12.6f} s  {entry.where:<{width}}  "
        f"{times(entry)}{entry.text}\n"
        for entry in entries
    )


def seconds_since(time_ns: int, start_ns: int) -> float:
    """Seconds from one time to another."""
    return (time_ns - start_ns) / 1e9


def times(entry: Entry) -> str:
    """``"12 × "`` for a repeated entry, nothing for a single one."""
    return f"{entry.count} × " if entry.count > 1 else ""


def _entry(record: Record) -> Entry:
    text, tone = _words(record.event)
    where = place_of(record)
    return Entry(record.time_ns, record.time_ns, where, record.event.kind, text, tone)


def _gather(entries: Iterable[Entry]) -> Iterator[Entry]:
    held: Entry | None = None
    for entry in entries:
        if held is not None and _repeats(held, entry):
            held = replace(held, until_ns=entry.time_ns, count=held.count + 1)
            continue
        if held is not None:
            yield held
        held = entry
    if held is not None:
        yield held


_REPEATABLE = frozenset(cls.kind for cls in (Drop, MappingCreated, MappingExpired, PortsExhausted))


def _repeats(one: Entry, two: Entry) -> bool:
    if (one.kind, one.where, one.tone) != (two.kind, two.where, two.tone):
        return False
    return one.kind in _REPEATABLE and _stem(one.text) == _stem(two.text)


def _stem(text: str) -> str:
    """What a repeated entry has in common: everything up to the first colon."""
    return text.partition(": ")[0]


def _words(event: Event) -> tuple[str, str]:
    teller = _TELLERS.get(type(event))
    return teller(event) if teller is not None else (event.kind, PLAIN)


_Told = tuple[str, str]
_TELLERS: dict[type[Event], Callable[..., _Told]] = {}


def _tells(
    kind: type[Event],
) -> Callable[[Callable[..., _Told]], Callable[..., _Told]]:
    def register(teller: Callable[..., _Told]) -> Callable[..., _Told]:
        _TELLERS[kind] = teller
        return teller

    return register


def _seconds(value: float) -> str:
    return f"{value:.3g} s"


@_tells(LabUp)
def _lab_up(event: LabUp) -> _Told:
    size = f"{event.nodes} nodes, {event.links} links"
    return f"lab of topology {event.topology} is up ({size}) after {_seconds(event.seconds)}", GOOD


@_tells(LabDown)
def _lab_down(event: LabDown) -> _Told:
    asked = event.reason == "asked"
    return f"lab is down, {'as asked' if asked else event.reason}", PLAIN if asked else WARN


@_tells(ServiceStarted)
def _service_started(event: ServiceStarted) -> _Told:
    return f"starts {shlex.join(event.command)} (pid {event.pid})", PLAIN


@_tells(ServiceReady)
def _service_ready(event: ServiceReady) -> _Told:
    return f"ready ({event.condition}) after {_seconds(event.seconds)}", PLAIN


@_tells(ServiceExited)
def _service_exited(event: ServiceExited) -> _Told:
    if event.expected:
        return f"ended with status {event.status}", PLAIN
    return f"ended by itself with status {event.status}", BAD


@_tells(CommandStarted)
def _command_started(event: CommandStarted) -> _Told:
    return f"command {event.number}: {shlex.join(event.command)}", PLAIN


@_tells(CommandEnded)
def _command_ended(event: CommandEnded) -> _Told:
    tone = PLAIN if event.status == 0 else WARN
    return f"command {event.number} ended: status {event.status}, {_seconds(event.seconds)}", tone


@_tells(FaultApplied)
def _fault_applied(event: FaultApplied) -> _Told:
    detail = f" ({event.detail})" if event.detail else ""
    return f"fault {event.fault} on {event.target}{detail}", WARN


@_tells(CaptureStarted)
def _capture_started(event: CaptureStarted) -> _Told:
    return f"capture {event.file} begins on {len(event.interfaces)} interfaces", PLAIN


@_tells(CaptureStopped)
def _capture_stopped(event: CaptureStopped) -> _Told:
    words = f"capture {event.file} ends with {event.packets} packets"
    return (f"{words}, {event.lost} lost", WARN) if event.lost else (words, PLAIN)


@_tells(Drop)
def _drop(event: Drop) -> _Told:
    details = [str(event.packet) if event.packet else "", event.rule or "", event.detail or ""]
    words = "; ".join(detail for detail in details if detail)
    head = f"{event.component} drops ({event.reason}) at {event.place}"
    return f"{head}: {words}" if words else head, WARN


@_tells(MappingCreated)
def _mapping_created(event: MappingCreated) -> _Told:
    return f"{event.component} maps {event.protocol}: {_mapping(event)}", PLAIN


@_tells(MappingExpired)
def _mapping_expired(event: MappingExpired) -> _Told:
    head = f"{event.component} ends a {event.protocol} mapping ({event.reason})"
    return f"{head}: {_mapping(event)}", PLAIN


def _mapping(event: MappingCreated | MappingExpired) -> str:
    return f"{event.inside}:{event.inside_port} to {event.outside}:{event.outside_port}"


@_tells(PortsExhausted)
def _ports_exhausted(event: PortsExhausted) -> _Told:
    head = f"{event.component} has no {event.protocol} port left ({event.in_use} of {event.size})"
    return f"{head}: {event.inside}:{event.inside_port}", WARN


@_tells(Provisioned)
def _provisioned(event: Provisioned) -> _Told:
    return f"{event.component} provisioned: {event.detail}", GOOD


@_tells(Verdict)
def _verdict(event: Verdict) -> _Told:
    tone = {"passed": GOOD, "skipped": WARN}.get(event.outcome, BAD)
    why = f": {event.why.splitlines()[0]}" if event.why.strip() else ""
    return f"{event.scenario} {event.outcome} after {_seconds(event.seconds)}{why}", tone


@_tells(Note)
def _note(event: Note) -> _Told:
    return event.text, PLAIN
