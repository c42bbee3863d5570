"""What one input to a core leads to, gathered on the way: packets to send, events, drops."""

from __future__ import annotations

from testbed.components.mape.domain import Refusal
from testbed.components.mape.reasons import Reason
from testbed.components.mape.rules import MapRule
from testbed.components.napt.drops import DropLog
from testbed.components.packet.fragment_tracker import Discarded, FragmentFate
from testbed.components.packet.outcome import NOTHING, Outcome
from testbed.events import Event

_REASON_OF_FATE = {
    FragmentFate.TIMEOUT: Reason.FRAGMENT_TIMEOUT,
    FragmentFate.OVERFLOW: Reason.FRAGMENT_OVERFLOW,
    FragmentFate.OVERLAP: Reason.FRAGMENT_OVERLAP,
    FragmentFate.MALFORMED: Reason.MALFORMED,
}


class Work:
    """The making of one :class:`Outcome`; every drop is counted in the component's log."""

    __slots__ = ("_log", "events", "packets")

    def __init__(self, log: DropLog) -> None:
        self._log = log
        self.packets: list[bytes] = []
        self.events: list[Event] = []

    def drop(
        self,
        reason: Reason,
        packet: bytes,
        place: str,
        *,
        rule: MapRule | None = None,
        detail: str | None = None,
    ) -> None:
        """Drop a packet: count it and tell of it."""
        text = None if rule is None else str(rule)
        self.events.append(self._log.drop(reason, packet, place, rule=text, detail=detail))

    def refuse(
        self, refusal: Refusal, packet: bytes, place: str, *, about: str | None = None
    ) -> None:
        """Drop a packet because the tables said so; ``about`` adds what was inside it."""
        detail = "; ".join(text for text in (about, refusal.detail) if text) or None
        self.drop(refusal.reason, packet, place, rule=refusal.rule, detail=detail)

    def give_up(self, discarded: list[Discarded], place: str) -> None:
        """Drop fragments that waited in vain."""
        for fragment in discarded:
            self.drop(_REASON_OF_FATE[fragment.fate], fragment.packet, place)

    def outcome(self) -> Outcome:
        """The result as the caller of the core gets it."""
        if not self.packets and not self.events:
            return NOTHING
        return Outcome(tuple(self.packets), tuple(self.events))


def drops_by_name(log: DropLog) -> dict[str, int]:
    """A component's drops as counters named ``drop.REASON``."""
    return {f"drop.{name}": number for name, number in sorted(log.counts.items())}
