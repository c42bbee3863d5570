"""From a list of records to what each end told of each SA.

Events may be missing, repeated or out of order.  Of repeated events the earliest counts; the first
that names a value gives it, and one that names another is kept as a contradiction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from testbed.events import (
    ChildSaDeleted,
    ChildSaEstablished,
    ChildSaRekeyFailed,
    ChildSaRekeyStarted,
    ChildSaReplaced,
    IkeSaDeleted,
    IkeSaEstablished,
    IkeSaRekeyFailed,
    IkeSaRekeyStarted,
    IkeSaReplaced,
    Record,
    SaEvent,
)
from testbed.evidence.sa.history import Rekey, Sort, Spis, View

Key = tuple[str, Spis]
"""The end that speaks, and the SA as it sees it."""


@dataclass(slots=True)
class _Draft:
    """A view in the making; ``facts`` holds what the first event that knew it said."""

    node: str
    peer: str
    spis: Spis
    seen_ns: int
    facts: dict[str, Any] = field(default_factory=dict)
    rekeys: list[Rekey] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)

    def tell(self, **facts: Any) -> None:
        for name, value in facts.items():
            if value is None:
                continue
            known = self.facts.setdefault(name, value)
            if known != value and name not in _TIMES:
                self.contradictions.append(
                    f"{self.node} told two things: {_WORDS.get(name, name)} {known}, then {value}"
                )

    def view(self) -> View:
        return View(
            self.node,
            self.peer,
            self.spis,
            self.seen_ns,
            rekeys=_attempts(self.rekeys),
            contradictions=tuple(dict.fromkeys(self.contradictions)),
            **self.facts,
        )


_TIMES = ("born_ns", "replaced_ns", "gone_ns")
_WORDS = {
    "born_by": "established by",
    "replaced_by": "replaced by",
    "successor": "its successor is",
    "gone_by": "deleted by",
    "why": "it went because",
    "exchange": "made in",
    "rekey_s": "it will be rekeyed after",
    "life_s": "its life is",
}


def views_of(records: Iterable[Record]) -> tuple[tuple[Sort, View], ...]:
    """What every end told of every SA, in the order in which the SAs were first named."""
    drafts: dict[Key, _Draft] = {}
    for record in sorted(records, key=_order):
        if isinstance(record.event, SaEvent):
            _take(drafts, record, record.event)
    return tuple((_sort_of(draft.spis), draft.view()) for draft in drafts.values())


def _order(record: Record) -> tuple[int, bool]:
    """By time; a failed attempt after the beginning of it."""
    return record.time_ns, isinstance(record.event, IkeSaRekeyFailed | ChildSaRekeyFailed)


def teller_of(record: Record) -> str:
    """The name of the end that told this."""
    return record.node or record.service or record.origin


def _sort_of(spis: Spis) -> Sort:
    return "IKE" if hasattr(spis, "initiator") else "CHILD"


def _take(drafts: dict[Key, _Draft], record: Record, event: SaEvent) -> None:
    node, now = teller_of(record), record.time_ns

    def of(spis: Spis) -> _Draft:
        return drafts.setdefault((node, spis), _Draft(node, event.peer, spis, now))

    match event:
        case IkeSaEstablished() | ChildSaEstablished():
            by = _who(event.by, node, event.peer)
            of(event.spis).tell(
                born_ns=now,
                born_by=by,
                exchange=event.exchange,
                rekey_s=event.rekey_s,
                life_s=event.life_s,
            )
            if event.old is not None:
                of(event.old).tell(replaced_ns=now, replaced_by=by, successor=event.spis)
        case IkeSaReplaced() | ChildSaReplaced():
            by = _who(event.by, node, event.peer)
            of(event.old).tell(replaced_ns=now, replaced_by=by, successor=event.new)
            of(event.new)
        case IkeSaDeleted() | ChildSaDeleted():
            by = _who(event.by, node, event.peer)
            of(event.spis).tell(gone_ns=now, gone_by=by, why=event.why)
        case IkeSaRekeyStarted() | ChildSaRekeyStarted():
            by = _who(event.by, node, event.peer)
            of(event.spis).rekeys.append(Rekey(now, by))
        case IkeSaRekeyFailed() | ChildSaRekeyFailed():
            by = _who(event.by, node, event.peer)
            answer = event.notify or "without a reason told"
            of(event.spis).rekeys.append(Rekey(now, by, answer))
        case _:  # a kind of SA event that says nothing of an SA's life
            pass


def _who(by: str | None, node: str, peer: str) -> str | None:
    return {"local": node, "peer": peer}.get(by or "")


def _attempts(told: Iterable[Rekey]) -> tuple[Rekey, ...]:
    """Attempts to rekey: a failure belongs to the last attempt that began before it."""
    attempts: list[Rekey] = []
    for one in dict.fromkeys(told):
        if one.failed is None or not attempts or attempts[-1].failed is not None:
            attempts.append(one)
        else:
            begun = attempts[-1]
            attempts[-1] = Rekey(begun.time_ns, begun.by or one.by, one.failed)
    return tuple(attempts)
