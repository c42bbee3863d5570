"""Drops, counted by reason and reported as events."""

from __future__ import annotations

from collections import Counter

from testbed.components.mape.reasons import Reason
from testbed.components.mape.rules import MapRule
from testbed.components.packet.fragment_tracker import FragmentFate
from testbed.components.packet.summary import summarize
from testbed.events import Drop

REASON_OF_FATE = {
    FragmentFate.TIMEOUT: Reason.FRAGMENT_TIMEOUT,
    FragmentFate.OVERFLOW: Reason.FRAGMENT_OVERFLOW,
    FragmentFate.OVERLAP: Reason.FRAGMENT_OVERLAP,
    FragmentFate.MALFORMED: Reason.MALFORMED,
}
"""The drop reason for what the fragment memory gives up."""


class DropLog:
    """Counts every drop of one component and makes the event that tells of it."""

    def __init__(self, component: str) -> None:
        self._component = component
        self.counts: Counter[Reason] = Counter()

    def drop(
        self,
        reason: Reason,
        packet: bytes,
        place: str,
        *,
        rule: MapRule | None = None,
        detail: str | None = None,
    ) -> Drop:
        """Count a drop and describe it; ``place`` says where in the component it happened."""
        self.counts[reason] += 1
        return Drop(
            component=self._component,
            reason=reason.value,
            place=place,
            packet=summarize(packet),
            rule=None if rule is None else str(rule),
            clause=reason.clause,
            detail=detail,
        )

    def by_name(self) -> dict[str, int]:
        """The counts as ``drop.REASON``, in the order of the enum."""
        return {f"drop.{r.value}": self.counts[r] for r in Reason if self.counts[r]}
