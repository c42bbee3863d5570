"""A log of a YAMAHA RTX as events, so that a real router's SAs can be drawn and compared as ours.

The log tells no SPIs, no starter and no reason.  The SPIs made here are counters; starter and
reason stay unknown.  That a new SA replaces the youngest of its sort is not in the log either: it
holds for one tunnel to one peer, which is what is read.
"""

from __future__ import annotations

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

_LINE = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d): (.*)")
_SA = re.compile(
    r"\[IKE2\] SA:(\d+)/(IKE|CHLD_SEND|CHLD_RECV) (temporarily assigned|established|deleted)"
)
_COMPONENT = "rtx"


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


def _time_ns(text: str) -> int:
    moment = datetime.strptime(text, "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9
