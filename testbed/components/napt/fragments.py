"""Fragments through a NAPT: the first one decides for all (RFC 4787 REQ-14).

Only the first fragment has ports.  Its answer - the addresses and the identification its datagram
gets - is kept for the others; those that come before it wait, within bounds.
"""

from __future__ import annotations

from typing import NamedTuple

from testbed.components.napt.drops import DropLog
from testbed.components.napt.reasons import DropReason
from testbed.components.packet.fragment_tracker import Discarded, FragmentFate, FragmentTracker
from testbed.components.packet.ipv4 import IPv4Header
from testbed.components.packet.transport import (
    ICMP,
    ICMP_HEADER,
    TCP,
    TCP_HEADER,
    UDP,
    UDP_HEADER,
)
from testbed.events import Event

PLACE = "napt fragments"

_LEAST_FIRST = {TCP: TCP_HEADER, UDP: UDP_HEADER, ICMP: ICMP_HEADER}

_REASONS = {
    FragmentFate.TIMEOUT: DropReason.FRAGMENT_TIMEOUT,
    FragmentFate.OVERFLOW: DropReason.FRAGMENT_OVERFLOW,
}


class FragmentKey(NamedTuple):
    """What the fragments of a datagram have in common, and which way they go."""

    outbound: bool
    source: int
    destination: int
    protocol: int
    identification: int

    @classmethod
    def of(cls, header: IPv4Header, *, outbound: bool) -> FragmentKey:
        """The key of the datagram that a fragment with this header belongs to."""
        return cls(
            outbound, header.source, header.destination, header.protocol, header.identification
        )


class FragmentAnswer(NamedTuple):
    """What the first fragment decided; ``port`` and ``to_inside`` as in ``engine.Way``."""

    refused: bool
    source: int = 0
    destination: int = 0
    identification: int | None = None
    to_inside: bool = False
    port: int = 0


REFUSED = FragmentAnswer(refused=True)


def unfit(header: IPv4Header) -> DropReason | None:
    """Why this fragment cannot be translated, whatever the others say."""
    least = _LEAST_FIRST.get(header.protocol)
    if least is None:
        return DropReason.PORTLESS_PROTOCOL
    offset = header.fragment_offset
    if offset == 0 and header.total_length - header.header_length < least:
        return DropReason.FRAGMENT_TINY
    if header.protocol == TCP and 0 < offset < TCP_HEADER:
        return DropReason.FRAGMENT_TINY
    return None


class FragmentPath:
    """The memory for fragments, with its drops counted."""

    def __init__(self, timeout: float, drops: DropLog) -> None:
        self._tracker: FragmentTracker[FragmentAnswer] = FragmentTracker(timeout=timeout)
        self._drops = drops

    @property
    def waiting(self) -> int:
        """Fragments that wait for their first."""
        return self._tracker.waiting

    def first(
        self, key: FragmentKey, answer: FragmentAnswer, now: float
    ) -> tuple[list[bytes], list[Event]]:
        """The first fragment has been decided: the fragments that waited for it, and drops."""
        waited, discarded = self._tracker.learn(key, answer, now)
        return waited, self._dropped(discarded)

    def answer_for(self, key: FragmentKey, now: float) -> FragmentAnswer | None:
        """What a later fragment is to do; ``None``: wait."""
        return self._tracker.lookup(key, now)

    def wait(self, key: FragmentKey, packet: bytes, now: float) -> list[Event]:
        """Let a fragment wait for its first; returns the drops this costs, perhaps of itself."""
        return self._dropped(self._tracker.hold(key, packet, now))

    def expire(self, now: float) -> list[Event]:
        """Give up fragments that waited too long."""
        return self._dropped(self._tracker.expire(now))

    def next_timer(self) -> float | None:
        """When ``expire`` has something to do."""
        return self._tracker.next_timer()

    def _dropped(self, discarded: list[Discarded]) -> list[Event]:
        return [self._drops.drop(_REASONS[d.fate], d.packet, PLACE) for d in discarded]
