"""Remembering what the first fragment of a datagram said, for the fragments without ports.

A NAPT or a BR needs a transport port that only the first fragment carries.  Reassembly would need
room for whole datagrams; keeping the first fragment's answer needs a few words (RFC 6146 sec. 3.4,
RFC 7597 sec. 8.3.2).  Fragments that come before the first one wait in a bounded queue.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


class FragmentFate(enum.Enum):
    """Why a waiting fragment was given up."""

    TIMEOUT = "timeout"
    """The rest did not come in time."""
    OVERFLOW = "overflow"
    """The bounded memory for fragments was full."""
    OVERLAP = "overlap"
    """Fragments of the datagram overlap, so all of it is discarded (RFC 5722)."""
    MALFORMED = "malformed"
    """Sizes or offsets cannot belong to any datagram."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """A fragment that will not go on, and why."""

    packet: bytes
    fate: FragmentFate


@dataclass(slots=True)
class _Datagram(Generic[T]):
    deadline: float
    answer: T | None = None
    waiting: list[bytes] = field(default_factory=list)


class FragmentTracker(Generic[T]):
    """Answers by datagram: whatever the owner decided at the first fragment.

    ``key`` identifies a datagram: source, destination, protocol and identification.

    Args:
        timeout: seconds a datagram is remembered after its first seen fragment.  RFC 6146 sec. 3.4
            asks for at least 2 s; hosts keep fragments for 15 to 120 s.
        most_datagrams: datagrams remembered at once; the oldest is forgotten for a new one.
        most_waiting: fragments waiting for their first, per datagram.
        most_waiting_bytes: bytes of waiting fragments in all.
    """

    def __init__(
        self,
        *,
        timeout: float = 30.0,
        most_datagrams: int = 1024,
        most_waiting: int = 64,
        most_waiting_bytes: int = 1 << 20,
    ) -> None:
        self._timeout = timeout
        self._most_datagrams = most_datagrams
        self._most_waiting = most_waiting
        self._most_waiting_bytes = most_waiting_bytes
        self._datagrams: OrderedDict[Hashable, _Datagram[T]] = OrderedDict()
        self._waiting_bytes = 0

    @property
    def waiting(self) -> int:
        """Fragments that wait for their first."""
        return sum(len(datagram.waiting) for datagram in self._datagrams.values())

    def learn(self, key: Hashable, answer: T, now: float) -> tuple[list[bytes], list[Discarded]]:
        """The first fragment came: keep its answer.

        Returns the fragments that waited for it, in the order they came, and what had to be given
        up to make room.  A second first fragment replaces the answer: the identification is reused.
        """
        discarded = self.expire(now)
        datagram = self._datagrams.pop(key, None)
        waited: list[bytes] = []
        if datagram is not None:
            waited = datagram.waiting
            self._waiting_bytes -= sum(map(len, waited))
        self._datagrams[key] = _Datagram(now + self._timeout, answer)
        return waited, discarded + self._make_room()

    def lookup(self, key: Hashable, now: float) -> T | None:
        """The answer for a later fragment, or ``None`` when the first one has not been seen."""
        datagram = self._datagrams.get(key)
        if datagram is None or datagram.deadline <= now:
            return None
        return datagram.answer

    def hold(self, key: Hashable, packet: bytes, now: float) -> list[Discarded]:
        """Let a fragment wait for its first; returns what was given up, perhaps this one."""
        discarded = self.expire(now)
        datagram = self._datagrams.get(key)
        if datagram is None:
            datagram = self._datagrams[key] = _Datagram(now + self._timeout)
            discarded += self._make_room()
        if (
            len(datagram.waiting) >= self._most_waiting
            or self._waiting_bytes + len(packet) > self._most_waiting_bytes
        ):
            discarded.append(Discarded(packet, FragmentFate.OVERFLOW))
            return discarded
        datagram.waiting.append(packet)
        self._waiting_bytes += len(packet)
        return discarded

    def expire(self, now: float) -> list[Discarded]:
        """Forget datagrams whose time is over; returns the fragments that waited in vain."""
        discarded: list[Discarded] = []
        while self._datagrams:
            key = next(iter(self._datagrams))
            if self._datagrams[key].deadline > now:
                break
            discarded += self._forget(key, FragmentFate.TIMEOUT)
        return discarded

    def next_timer(self) -> float | None:
        """When ``expire`` next has something to do: datagrams are in order of their deadlines."""
        for datagram in self._datagrams.values():
            return datagram.deadline
        return None

    def _make_room(self) -> list[Discarded]:
        discarded: list[Discarded] = []
        while len(self._datagrams) > self._most_datagrams:
            discarded += self._forget(next(iter(self._datagrams)), FragmentFate.OVERFLOW)
        return discarded

    def _forget(self, key: Hashable, fate: FragmentFate) -> list[Discarded]:
        datagram = self._datagrams.pop(key)
        self._waiting_bytes -= sum(map(len, datagram.waiting))
        return [Discarded(packet, fate) for packet in datagram.waiting]
