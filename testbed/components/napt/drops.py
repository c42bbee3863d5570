"""Counting drops and making their events."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from testbed.components.packet.summary import summarize
from testbed.events import Drop


class Reason(Protocol):
    """A member of a component's reason enum: a string with the RFC clause behind it."""

    @property
    def value(self) -> str: ...

    @property
    def clause(self) -> str: ...


class DropLog:
    """The drops of one component: ``counts`` by reason value, and the events."""

    def __init__(self, component: str) -> None:
        self.component = component
        self.counts: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Packets dropped, whatever the reason."""
        return self.counts.total()

    def drop(
        self,
        reason: Reason,
        packet: bytes,
        place: str,
        *,
        rule: str | None = None,
        detail: str | None = None,
    ) -> Drop:
        """Count one dropped packet and return its event."""
        self.counts[reason.value] += 1
        return Drop(
            component=self.component,
            reason=reason.value,
            place=place,
            packet=summarize(packet),
            rule=rule,
            clause=reason.clause,
            detail=detail,
        )
