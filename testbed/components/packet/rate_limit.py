"""A token bucket, for ICMP errors (RFC 1812 sec. 4.3.2.8, RFC 4443 sec. 2.4 (f))."""

from __future__ import annotations


class TokenBucket:
    """Allows ``burst`` at once and ``per_second`` in the long run; time is an argument."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._rate = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._last: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more is allowed at ``now``; a clock that went back counts as standing."""
        if self._last is not None and now > self._last:
            self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate)
        self._last = now if self._last is None else max(self._last, now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
