"""Probes sent through the SAs: what was answered and what was lost, over time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from testbed.events import Probes, Record
from testbed.evidence.sa.views import teller_of


@dataclass(frozen=True, slots=True)
class Report:
    """Probes sent from ``since_ns`` to ``until_ns``; ``lost_ns`` are sending times of lost ones."""

    since_ns: int
    until_ns: int
    sent: int
    answered: int
    lost_ns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """All that one sender told of one stream of probes, in order of time."""

    node: str
    name: str
    reports: tuple[Report, ...]

    @property
    def sent(self) -> int:
        """Probes sent altogether."""
        return sum(report.sent for report in self.reports)

    @property
    def lost(self) -> int:
        """Probes without an answer."""
        return self.sent - sum(report.answered for report in self.reports)

    @property
    def lost_ns(self) -> tuple[int, ...]:
        """When the lost ones were sent, as far as it was told."""
        return tuple(sorted(time for report in self.reports for time in report.lost_ns))


@dataclass(frozen=True, slots=True)
class Bin:
    """Probes in a stretch of time; parts of a probe where a report reaches over several bins."""

    answered: float = 0.0
    lost: float = 0.0


def streams_of(records: Iterable[Record]) -> tuple[Stream, ...]:
    """The streams of probes among the records; a repeated report counts once."""
    told: dict[tuple[str, str], set[Report]] = defaultdict(set)
    for record in sorted(records, key=lambda record: record.time_ns):
        event = record.event
        if isinstance(event, Probes):
            until = max(record.time_ns, event.since_ns)
            told[teller_of(record), event.name].add(
                Report(event.since_ns, until, event.sent, event.answered, event.lost_ns)
            )
    return tuple(
        Stream(node, name, tuple(sorted(reports, key=lambda one: (one.since_ns, one.until_ns))))
        for (node, name), reports in told.items()
    )


def bins_of(stream: Stream, start_ns: int, width_ns: int, count: int) -> tuple[Bin, ...]:
    """The stream in ``count`` bins of ``width_ns`` from ``start_ns`` on.

    Losses whose time is known are in their bin; everything else is spread over the time of its
    report, as if probes had been sent evenly.  What lies outside of the bins is in none.
    """
    answered, lost = [0.0] * count, [0.0] * count
    for report in stream.reports:
        timed = Counter((time - start_ns) // width_ns for time in report.lost_ns)
        untimed = max(report.sent - report.answered - len(report.lost_ns), 0)
        # Where a probe was lost, one less was answered; the answered ones are spread over the rest.
        hidden = sum(
            min(gone, report.sent * _share(report, start_ns + index * width_ns, width_ns))
            for index, gone in timed.items()
        )
        rest = report.sent - hidden
        for index, share in _shares(report, start_ns, width_ns, count):
            part = max(report.sent * share - timed[index], 0.0) / rest if rest > 1e-9 else share
            answered[index] += report.answered * part
            lost[index] += untimed * share
        for index, gone in timed.items():
            if 0 <= index < count:
                lost[index] += gone
    return tuple(Bin(a, b) for a, b in zip(answered, lost, strict=True))


def _shares(
    report: Report, start_ns: int, width_ns: int, count: int
) -> Iterable[tuple[int, float]]:
    """The bins that a report reaches into, and which part of its time is in each."""
    first = (report.since_ns - start_ns) // width_ns
    last = max(first, (report.until_ns - 1 - start_ns) // width_ns)
    for index in range(max(first, 0), min(last, count - 1) + 1):
        yield index, _share(report, start_ns + index * width_ns, width_ns)


def _share(report: Report, begin_ns: int, width_ns: int) -> float:
    """Which part of a report's time is in one bin; a report of one moment is in one bin only."""
    length = report.until_ns - report.since_ns
    if length == 0:
        return float(begin_ns <= report.since_ns < begin_ns + width_ns)
    low, high = max(report.since_ns, begin_ns), min(report.until_ns, begin_ns + width_ns)
    return max(high - low, 0) / length
