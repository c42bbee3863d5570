"""Mappings and the sessions that keep them alive."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.components.napt.ports import Endpoint
from testbed.components.packet.checksum import difference
from testbed.components.packet.ipv4 import address_text
from testbed.components.packet.transport import ICMP, PROTOCOL_NAMES

MappingKey = tuple[int, ...]
"""(protocol, inside address, inside port) and, unless mapping is endpoint independent, the remote's
address and port: what a new flow must agree in to share the mapping."""


class Session:
    """One remote endpoint a mapping talks to.

    ``idle`` is its present idle time and ``expires`` when it ends if nothing more is seen;
    ``scheduled`` is when the table will look at it, at or before ``expires``.  ``facts`` is what is
    known of a TCP connection (see :mod:`testbed.components.napt.tcp`).
    """

    __slots__ = ("expires", "facts", "idle", "mapping", "remote", "scheduled")

    def __init__(self, mapping: Mapping, remote: tuple[int, int]) -> None:
        self.mapping = mapping
        self.remote = remote
        self.facts = 0
        self.idle = 0.0
        self.expires = 0.0
        self.scheduled = float("inf")


class Mapping:
    """An inside endpoint and the outside endpoint that stands for it.

    A ``static`` mapping was set up by hand and never ends.  The two ``*_delta`` are what
    ``checksum.adjust`` needs when an outbound packet is rewritten; inbound they are subtracted.
    """

    __slots__ = (
        "address_delta",
        "inside",
        "key",
        "outside",
        "peers",
        "protocol",
        "sessions",
        "static",
        "transport_delta",
    )

    def __init__(
        self, protocol: int, inside: Endpoint, outside: Endpoint, key: MappingKey, *, static: bool
    ) -> None:
        self.protocol = protocol
        self.inside = inside
        self.outside = outside
        self.key = key
        self.static = static
        self.sessions: dict[tuple[int, int], Session] = {}
        self.peers: dict[int, int] = {}
        """How many sessions there are with each remote address (address-dependent filtering)."""
        self.address_delta = difference(inside.address, outside.address)
        # ICMP has no pseudo header, so addresses do not count there.
        addresses = 0 if protocol == ICMP else self.address_delta
        self.transport_delta = (addresses + difference(inside.port, outside.port)) % 0xFFFF

    def __str__(self) -> str:
        static = " static" if self.static else ""
        return f"{PROTOCOL_NAMES[self.protocol]} {self.inside} <-> {self.outside}{static}"


@dataclass(frozen=True, slots=True)
class MappingInfo:
    """A mapping as a status page shows it; ``idle_left`` in seconds, ``None`` for static ones."""

    protocol: str
    inside: str
    inside_port: int
    outside: str
    outside_port: int
    static: bool
    sessions: int
    idle_left: float | None

    @classmethod
    def of(cls, mapping: Mapping, now: float) -> MappingInfo:
        """What there is to say about ``mapping`` at ``now``."""
        expires = max((s.expires for s in mapping.sessions.values()), default=now)
        return cls(
            protocol=PROTOCOL_NAMES[mapping.protocol],
            inside=address_text(mapping.inside.address),
            inside_port=mapping.inside.port,
            outside=address_text(mapping.outside.address),
            outside_port=mapping.outside.port,
            static=mapping.static,
            sessions=len(mapping.sessions),
            idle_left=None if mapping.static else max(0.0, expires - now),
        )
