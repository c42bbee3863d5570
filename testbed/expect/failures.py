"""What a failed expectation says: the events nearest to what was expected, and when they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from testbed.errors import TestbedError
from testbed.events import Record
from testbed.evidence.event_words import in_words
from testbed.expect.matching import Match
from testbed.moments import format_duration, format_moment, from_ns

_AT_MOST = 5


class ExpectationError(TestbedError, AssertionError):
    """Something did not happen that was expected to, or the other way round."""


@dataclass(frozen=True, slots=True)
class Window:
    """From ``start_ns`` to ``end_ns``, both included (nanoseconds since 1970)."""

    start_ns: int
    end_ns: int

    def __contains__(self, record: Record) -> bool:
        return self.start_ns <= record.time_ns <= self.end_ns

    def distance_ns(self, record: Record) -> int:
        """How far outside an event is."""
        return max(0, self.start_ns - record.time_ns, record.time_ns - self.end_ns)

    def __str__(self) -> str:
        start, end = format_moment(from_ns(self.start_ns)), format_moment(from_ns(self.end_ns))
        return f"from {start} to {end} ({_span(self.end_ns - self.start_ns)})"


def failure(what: str, window: Window, nearest: Sequence[str], heading: str) -> ExpectationError:
    """The error: what failed, when it was looked for, and what there was instead."""
    lines = [what, str(window)]
    if nearest:
        lines += [f"{heading}:", *(f"  {line}" for line in nearest)]
    else:
        lines.append("there are no events near to it")
    return ExpectationError("\n  ".join(lines))


def nearest(match: Match, window: Window, records: Sequence[Record]) -> list[str]:
    """The events that come nearest to what was expected, in the order of time.

    First those that are it but not in time, then others of its kind by how much they differ, then
    the last that happened at all.
    """
    ranked: list[tuple[tuple[int, int], int, Record, str]] = []
    for number, record in enumerate(records):
        distance_ns = window.distance_ns(record)
        if match(record):
            rank = (0, distance_ns)
            note = _too_late(record, window)
        elif match.kind is not None and match.kind == record.event.kind:
            differences = match.differences(record) or ["it fails the test"]
            rank = (len(differences), distance_ns)
            note = "; ".join([*differences, *([_too_late(record, window)] if distance_ns else [])])
        else:
            rank, note = (1000, abs(window.end_ns - record.time_ns)), ""
        ranked.append((rank, number, record, note))
    ranked.sort(key=lambda entry: entry[:2])
    if ranked and ranked[0][0][0] < 1000:
        ranked = [entry for entry in ranked if entry[0][0] < 1000]
    chosen = sorted(ranked[:_AT_MOST], key=lambda entry: (entry[2].time_ns, entry[1]))
    return [line(record, window, note) for _, _, record, note in chosen]


def line(record: Record, window: Window, note: str = "") -> str:
    """An event with its time, how long that is after the window began, and its place."""
    since = record.time_ns - window.start_ns
    sign = "-" if since < 0 else "+"
    place = "/".join(part for part in (record.node, record.service) if part)
    words = f"{record.event.kind}: {' '.join(in_words(record.event)[0].split())}"
    head = f"{format_moment(from_ns(record.time_ns))} ({sign}{_span(abs(since))})"
    return " ".join(part for part in (head, place, words, note and f"<- {note}") if part)


def _too_late(record: Record, window: Window) -> str:
    if record in window:
        return ""
    away = _span(window.distance_ns(record))
    return f"{away} too early" if record.time_ns < window.start_ns else f"{away} too late"


def _span(ns: int) -> str:
    return format_duration(timedelta(microseconds=ns // 1000))
