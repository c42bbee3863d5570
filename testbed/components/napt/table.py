"""The mappings of a NAPT, found from either side, and the timer that ends their sessions."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator

from testbed.components.napt.mapping import Mapping, MappingKey, Session


class Table:
    """Mappings by inside key and by outside endpoint; sessions by when they end.

    Timers are lazy: a packet only moves ``session.expires``, and the heap entry, which may be too
    early, is put back when it comes up.  So traffic costs no heap operation.
    """

    def __init__(self, subscriber_shift: int = 0) -> None:
        self.by_inside: dict[MappingKey, Mapping] = {}
        self.by_outside: dict[tuple[int, int, int], Mapping] = {}
        self.per_subscriber: Counter[tuple[int, int]] = Counter()
        """Dynamic mappings by (protocol, subscriber)."""
        self._shift = subscriber_shift
        self.heap: list[tuple[float, int, Session]] = []
        """(when, serial, session): unless ``heap[0][0] <= now``, ``expire`` has nothing to do."""
        self._serial = 0

    def __len__(self) -> int:
        return len(self.by_outside)

    def __iter__(self) -> Iterator[Mapping]:
        return iter(self.by_outside.values())

    def add(self, mapping: Mapping) -> None:
        """Take in a mapping whose outside endpoint nobody else has."""
        outside = (mapping.protocol, *mapping.outside)
        assert outside not in self.by_outside, f"{mapping} would overload a port"
        self.by_outside[outside] = mapping
        self.by_inside[mapping.key] = mapping
        if not mapping.static:
            self.per_subscriber[self._quota_key(mapping)] += 1

    def remove(self, mapping: Mapping) -> None:
        """Forget a mapping and its sessions."""
        del self.by_outside[(mapping.protocol, *mapping.outside)]
        if self.by_inside.get(mapping.key) is mapping:
            del self.by_inside[mapping.key]
        for session in mapping.sessions.values():
            session.scheduled = -1.0  # its heap entries mean nothing any more
        mapping.sessions.clear()
        mapping.peers.clear()
        if not mapping.static:
            key = self._quota_key(mapping)
            self.per_subscriber[key] -= 1
            if not self.per_subscriber[key]:
                del self.per_subscriber[key]

    def _quota_key(self, mapping: Mapping) -> tuple[int, int]:
        return mapping.protocol, mapping.inside.address >> self._shift

    def open_session(self, mapping: Mapping, remote: tuple[int, int]) -> Session:
        """A new session of ``mapping``; the caller sets its idle time and calls ``schedule``."""
        session = Session(mapping, remote)
        mapping.sessions[remote] = session
        mapping.peers[remote[0]] = mapping.peers.get(remote[0], 0) + 1
        return session

    def schedule(self, session: Session) -> None:
        """Make sure that the session is looked at by the time it expires."""
        if session.expires < session.scheduled:
            session.scheduled = session.expires
            self._serial += 1
            heapq.heappush(self.heap, (session.expires, self._serial, session))

    def next_timer(self) -> float | None:
        """When ``expire`` should be called next; never later than the first session to end."""
        while self.heap and self.heap[0][2].scheduled != self.heap[0][0]:
            heapq.heappop(self.heap)
        return self.heap[0][0] if self.heap else None

    def expire(self, now: float) -> list[tuple[Mapping, Session]]:
        """End the sessions whose time is over; returns the last session of each ended mapping.

        The mappings are out of the table; their ports are the caller's to release.
        """
        ended: list[tuple[Mapping, Session]] = []
        while self.heap and self.heap[0][0] <= now:
            when, _, session = heapq.heappop(self.heap)
            if session.scheduled != when:
                continue  # closed, or an earlier entry has taken this one's place
            session.scheduled = float("inf")
            if session.expires > now:
                self.schedule(session)
                continue
            mapping = session.mapping
            self._close(session)
            if not mapping.sessions and not mapping.static:
                self.remove(mapping)
                ended.append((mapping, session))
        return ended

    def _close(self, session: Session) -> None:
        mapping, address = session.mapping, session.remote[0]
        session.scheduled = -1.0
        del mapping.sessions[session.remote]
        mapping.peers[address] -= 1
        if not mapping.peers[address]:
            del mapping.peers[address]
