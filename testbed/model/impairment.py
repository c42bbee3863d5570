"""How bad a link is: what RFC 2544 and netem measure and make."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Impairment:
    """Impairment of one direction of a link.

    ``rate`` bit/s; ``delay`` and ``jitter`` seconds (one way); ``loss``, ``reorder``, ``duplicate``
    and ``corrupt`` are fractions 0..1; ``queue`` is the queue limit in packets.
    """

    rate: int | None = None
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    queue: int | None = None

    @property
    def needs_netem(self) -> bool:
        """True when more than a rate limit is asked for."""
        return any((self.delay, self.jitter, self.loss, self.reorder, self.duplicate, self.corrupt))
