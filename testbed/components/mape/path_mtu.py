"""Path MTUs that a tunnel end learns from packet-too-big messages (RFC 8201, RFC 2473 sec. 6.7).

Bounded in number and in time, so that forged messages cannot fill memory or last: an entry is
forgotten after ten minutes (RFC 8201 section 5.3) and never goes below IPv6's minimum of 1280.
"""

from __future__ import annotations

from collections import OrderedDict

MINIMUM_IPV6_MTU = 1280
FORGET_AFTER = 600.0
"""Seconds after which a larger packet may be tried again (RFC 8201 section 5.3)."""


class PathMtuCache:
    """IPv6 path MTUs in bytes by 16-byte destination, for destinations below the link's own MTU."""

    def __init__(self, link_mtu: int, *, most: int = 4096) -> None:
        self._link_mtu = link_mtu
        self._most = most
        self._entries: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, destination: bytes, now: float) -> int:
        """The path MTU to use towards ``destination``."""
        if not self._entries:
            return self._link_mtu
        entry = self._entries.get(destination)
        if entry is None or entry[1] <= now:
            return self._link_mtu
        return entry[0]

    def learn(self, destination: bytes, mtu: int, now: float) -> bool:
        """Take a packet-too-big message into account; False when it tells nothing new.

        A message never raises a path MTU (RFC 8201 section 4).
        """
        mtu = max(mtu, MINIMUM_IPV6_MTU)
        if mtu >= self.get(destination, now):
            return False
        self._entries.pop(destination, None)
        self._entries[destination] = (mtu, now + FORGET_AFTER)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)
        return True

    def expire(self, now: float) -> None:
        """Forget what is too old; entries are in order of their deadlines."""
        while self._entries:
            destination, (_, deadline) = next(iter(self._entries.items()))
            if deadline > now:
                return
            del self._entries[destination]

    def next_timer(self) -> float | None:
        """When ``expire`` next has something to do."""
        for _, deadline in self._entries.values():
            return deadline
        return None
