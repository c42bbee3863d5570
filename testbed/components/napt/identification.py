"""Which IPv4 identification a packet gets on its way out.

Two NAPTs behind one shared address know nothing of each other, so both could use the same
identification towards the same host, which would mix up their fragments.  RFC 7597 section 8.3.3:
take it from the port set, which is nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import Protocol


class Identifications(Protocol):
    """Hands out identifications for datagrams that are, or may become, fragments."""

    def next(self) -> int: ...


class PortSetIdentifications:
    """Goes round the numbers of a port set, so that each rests as long as can be."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        blocks = tuple(ranges)
        self._numbers: Iterator[int] = cycle(
            number for first, last in blocks for number in range(first, last + 1)
        )

    def next(self) -> int:
        """The next number of the set."""
        return next(self._numbers)
