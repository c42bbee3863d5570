"""A log of a YAMAHA RTX as events, so that a real router's SAs can be drawn and compared as ours.

The log tells no SPIs, no starter and no reason.  The SPIs made here are counters; starter and
reason stay unknown.  That a new SA replaces the youngest of its sort is not in the log either: it
holds for one tunnel to one peer, which is what is read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from testbed.errors import TestbedError
from testbed.events import (
    ChildSaDeleted,
    ChildSaEstablished,
    ChildSaRekeyStarted,
    EspSpis,
    Event,
    IkeSaDeleted,
    IkeSaEstablished,
    IkeSaRekeyStarted,
    IkeSpis,
    Record,
    esp_spi,
    ike_spi,
)
from testbed.evidence.sa.history import Sort
from testbed.evidence.sa.rtx_log import Numbers

_LINE = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d): (.*)")
_SA = re.compile(
    r"\[IKE2\] SA:(\d+)/(IKE|CHLD_SEND|CHLD_RECV) (temporarily assigned|established|deleted)"
)
_COMPONENT = "rtx"
_COLUMN_WORDS = {
    "assigned": "temporarily assigned",
    "established": "established",
    "deleted": "deleted",
}
_COLUMNS = ("log", "sa", "send", "receive", *_COLUMN_WORDS)


@dataclass(slots=True)
class _Reader:
    node: str
    peer: str
    records: list[Record] = field(default_factory=list)
    ike: dict[int, IkeSpis] = field(default_factory=dict)
    child: dict[int, EspSpis] = field(default_factory=dict)
    youngest_ike: IkeSpis | None = None
    youngest_child: EspSpis | None = None
    made: int = 0

    def take(self, time_ns: int, number: int, half: str, what: str) -> None:
        told = self._ike(number, what) if half == "IKE" else self._child(number, what)
        self.records += [
            Record(time_ns, "service", event, self.node, "log") for event in told if event
        ]

    def _ike(self, number: int, what: str) -> Iterable[Event | None]:
        if what == "temporarily assigned":
            self.made += 1
            self.ike[number] = IkeSpis(ike_spi(self.made), ike_spi(self.made))
            if self.youngest_ike is not None:
                yield IkeSaRekeyStarted(_COMPONENT, self.peer, self.youngest_ike)
        elif what == "established":
            spis, old = self.ike[number], self.youngest_ike
            yield IkeSaEstablished(_COMPONENT, self.peer, spis, old=old)
            self.youngest_ike = spis
        else:
            yield IkeSaDeleted(_COMPONENT, self.peer, self.ike.pop(number))

    def _child(self, number: int, what: str) -> Iterable[Event | None]:
        """Of the sending half; the receiving one says the same again."""
        if what == "temporarily assigned":
            self.made += 1
            self.child[number] = EspSpis(esp_spi(2 * self.made), esp_spi(2 * self.made + 1))
            if self.youngest_child is not None:
                yield ChildSaRekeyStarted(_COMPONENT, self.peer, self.youngest_child)
        elif what == "established":
            spis, old = self.child[number], self.youngest_child
            yield ChildSaEstablished(_COMPONENT, self.peer, spis, old=old)
            self.youngest_child = spis
        else:
            yield ChildSaDeleted(_COMPONENT, self.peer, self.child.pop(number))


def read_rtx_log(text: str, node: str = "rtx", peer: str = "azure") -> tuple[Record, ...]:
    """The events behind the ``[IKE2] SA:`` lines of a log, whose times are taken as UTC.

    Other lines of the log, and ``:`` for lines left out, are passed over.

    Raises:
        TestbedError: a line tells of an SA whose number was never assigned, or cannot be read.
    """
    reader = _Reader(node, peer)
    for count, line in enumerate(text.splitlines(), start=1):
        found = _LINE.fullmatch(line.strip())
        if found is None or not found[2].startswith("[IKE2] SA:"):
            continue
        told = _SA.fullmatch(found[2])
        if told is None:
            raise TestbedError(
                f"not a line about an SA as they are known: {found[2]!r}",
                where=f"RTX log, line {count}",
                hint="known are: SA:<n>/IKE, /CHLD_SEND and /CHLD_RECV, each temporarily assigned, "
                "established or deleted",
            )
        if told[2] == "CHLD_RECV":
            continue
        try:
            reader.take(_time_ns(found[1]), int(told[1]), told[2], told[3])
        except KeyError:
            raise TestbedError(
                f"SA:{told[1]} was not assigned before",
                where=f"RTX log, line {count}",
                hint="begin with the line in which it was temporarily assigned",
            ) from None
    return tuple(reader.records)


def read_rtx_table(text: str, log: str) -> tuple[tuple[Record, ...], Numbers]:
    """The events of one log from a table of its SAs (CSV), and the router's numbers of them.

    The columns: ``log``, ``sa`` (``IKE``, ``CHILD``), ``send`` and ``receive`` (its numbers; an
    IKE_SA has one), and when it was ``assigned``, ``established`` and ``deleted`` (UTC; empty: not
    before the log ended).  Rows are in the order of birth within their sort.

    Raises:
        TestbedError: a column is missing, a field cannot be read, or the log is not in the table.
    """
    table = csv.DictReader(io.StringIO(text))
    missing = [name for name in _COLUMNS if name not in (table.fieldnames or ())]
    if missing:
        raise TestbedError(
            f"the table of SAs has no column {missing[0]!r}",
            hint=f"it needs the columns {', '.join(_COLUMNS)}",
        )
    told: list[tuple[int, bool, bool, int, str, str]] = []
    numbers: dict[tuple[Sort, int], tuple[int, ...]] = {}
    count: dict[Sort, int] = {"IKE": 0, "CHILD": 0}
    for row in table:
        if row["log"] != log:
            continue
        if row["sa"] not in count:
            raise TestbedError(
                f"{row['sa']!r} is no sort of SA",
                where=f"table of SAs, line {table.line_num}",
                hint="IKE or CHILD",
            )
        sort: Sort = "IKE" if row["sa"] == "IKE" else "CHILD"
        count[sort] += 1
        half = "IKE" if sort == "IKE" else "CHLD_SEND"
        try:
            both = tuple(int(row[name]) for name in ("send", "receive") if row[name])
            told += [
                (_table_ns(row[column]), what == "deleted", sort != "IKE", both[0], half, what)
                for column, what in _COLUMN_WORDS.items()
                if row[column]
            ]
        except (ValueError, IndexError):
            raise TestbedError(
                "a number or a time cannot be read",
                where=f"table of SAs, line {table.line_num}",
                hint="numbers are whole, times as in 2017-07-15 09:55:33",
            ) from None
        numbers[sort, count[sort]] = both
    if not told:
        raise TestbedError(f"the table of SAs has nothing of log {log!r}")
    reader = _Reader("rtx", "azure")
    for time_ns, *_, number, half, what in sorted(told, key=_table_order):
        reader.take(time_ns, number, half, what)
    return tuple(reader.records), numbers


def _table_order(told: tuple[int, bool, bool, int, str, str]) -> tuple[int, bool, bool, int]:
    """By time; in the same second what is deleted last, and each SA assigned, then established."""
    time_ns, deleted, child, *_, what = told
    return time_ns, deleted, child, list(_COLUMN_WORDS.values()).index(what)


def _table_ns(text: str) -> int:
    moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9


def _time_ns(text: str) -> int:
    moment = datetime.strptime(text, "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9
