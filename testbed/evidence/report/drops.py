"""Drops by reason: what was dropped, why, how often and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from testbed.events import Drop, Record
from testbed.evidence.report.data import DropExample, DropGroup

EXAMPLES = 5


def place_of(record: Record) -> str:
    """``node/service``, ``node`` or what said so."""
    if record.node is None:
        return record.service or record.origin
    return record.node if record.service is None else f"{record.node}/{record.service}"


def group_drops(
    records: Iterable[Record], meanings: Mapping[str, str], examples: int = EXAMPLES
) -> tuple[DropGroup, ...]:
    """The drops among the records, most frequent reason first.

    ``meanings`` says in a sentence what each reason means; the first drops of a reason are its
    examples.
    """
    groups: dict[tuple[str, str], list[tuple[Record, Drop]]] = {}
    for record in records:
        if isinstance(record.event, Drop):
            key = (record.event.component, record.event.reason)
            groups.setdefault(key, []).append((record, record.event))
    made = [
        DropGroup(
            component=component,
            reason=reason,
            meaning=meanings.get(reason, ""),
            clause=next((drop.clause for _, drop in drops if drop.clause), ""),
            count=len(drops),
            places=tuple(
                Counter(f"{place_of(record)}, {drop.place}" for record, drop in drops).most_common()
            ),
            examples=tuple(_example(record, drop) for record, drop in drops[:examples]),
        )
        for (component, reason), drops in groups.items()
    ]
    return tuple(sorted(made, key=lambda group: (-group.count, group.component, group.reason)))


def _example(record: Record, drop: Drop) -> DropExample:
    return DropExample(
        time_ns=record.time_ns,
        where=place_of(record),
        place=drop.place,
        packet="" if drop.packet is None else str(drop.packet),
        rule=drop.rule or "",
        detail=drop.detail or "",
    )
