"""A run as a story: the events of all its labs in order of time, repetitions drawn together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import merge as merge_sorted

from testbed.events import Drop, MappingCreated, MappingExpired, PortsExhausted, Record
from testbed.evidence.event_words import BAD, GOOD, PLAIN, WARN, in_words
from testbed.evidence.report.drops import place_of


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
    text, tone = in_words(record.event)
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
