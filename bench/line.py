"""The network that every contender of the start-up benchmark builds: routers in a line.

``r0 - r1 - ... - r(N-1)``: a cable with a /30 between neighbours, forwarding everywhere, static
routes.  Only numbers and names here, so that every contender builds the same thing; and only the
standard library, since one contender runs in the distribution's own Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# A packet crosses at most 254 routers (TTL is 8 bits), so longer lines are crossed in stages.
STAGE_HOPS = 240


LEFT, RIGHT = "left", "right"
"""A node's interfaces, named after the side of the neighbour."""


class Route(NamedTuple):
    """A static route: IPv4 prefix and gateway."""

    prefix: str
    via: str


class Stage(NamedTuple):
    """A ping that proves a part of the line: from a node, to an address of another."""

    start: int
    end: int
    target: str


def name(node: int) -> str:
    """The node's name."""
    return f"r{node}"


def _cable(cable: int, host: int) -> str:
    value = 4 * cable + host
    return f"10.{128 + (value >> 16)}.{value >> 8 & 255}.{value & 255}"


def left_address(cable: int) -> str:
    """The address at the left end (node ``cable``) of a cable."""
    return _cable(cable, 1)


def right_address(cable: int) -> str:
    """The address at the right end (node ``cable + 1``) of a cable."""
    return _cable(cable, 2)


def prefix(cable: int) -> str:
    """The cable's prefix."""
    return f"{_cable(cable, 0)}/30"


@dataclass(frozen=True)
class Line:
    """A line of ``nodes`` routers (at least 2)."""

    nodes: int

    @property
    def cables(self) -> range:
        """Cable ``j`` joins nodes ``j`` and ``j + 1``."""
        return range(self.nodes - 1)

    @cached_property
    def posts(self) -> tuple[int, ...]:
        """The nodes at which a stage begins or ends: they ping and are pinged."""
        last = self.nodes - 1
        count = -(-last // STAGE_HOPS)
        return tuple(last * number // count for number in range(count + 1))

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The pings that together cross the whole line."""
        return tuple(
            Stage(start, end, right_address(end - 1))
            for start, end in zip(self.posts, self.posts[1:], strict=False)
        )

    def settings(self, node: int) -> dict[str, int]:
        """The node's kernel settings besides forwarding."""
        # An answer must cross a whole stage.
        return {"net.ipv4.ip_default_ttl": 255} if node in self.posts else {}

    def routes(self, node: int) -> tuple[Route, ...]:
        """The node's routes: to the far cables of the stages it is in, left first."""
        found = []
        for start, end, _ in self.stages:
            if start + 1 < node <= end:
                found.append(Route(prefix(start), left_address(node - 1)))
            if start <= node < end - 1:
                found.append(Route(prefix(end - 1), right_address(node)))
        return tuple(found)
