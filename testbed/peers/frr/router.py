"""A router as data: what it speaks on which interface, and with whom."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network

from testbed.errors import TestbedError


class RouterConfigError(TestbedError):
    """The description of a router cannot be."""


@dataclass(frozen=True, slots=True)
class Bfd:
    """Bidirectional forwarding detection (RFC 5880): a packet every so often, so many may miss.

    A neighbour is given up after ``multiplier`` times ``interval_ms``.  ``shut`` keeps it
    administratively down (section 6.8.16) until somebody says ``no shutdown``
    (:func:`testbed.peers.frr.config.start_bfd`).
    """

    interval_ms: int = 300
    multiplier: int = 3
    shut: bool = False

    def __post_init__(self) -> None:
        # What bfdd takes; also the largest that any of its fields can hold.
        if not 10 <= self.interval_ms <= 60_000 or not 2 <= self.multiplier <= 255:
            raise RouterConfigError(
                f"BFD every {self.interval_ms} ms, {self.multiplier} times",
                hint="an interval of 10 to 60000 ms, and 2 to 255 of them",
            )

    @property
    def detection_s(self) -> float:
        """After how long without a packet the neighbour is given up."""
        return self.interval_ms * self.multiplier / 1000


@dataclass(frozen=True, slots=True)
class OspfInterface:
    """An interface that belongs to area 0 of OSPFv2 and OSPFv3.

    A point-to-point network (RFC 2328 section 9.1): no designated router is waited for.
    ``passive``: told of, but nobody is spoken to there.  Intervals in seconds; those of both ends
    must be the same.
    """

    name: str
    cost: int = 10
    hello_s: int = 10
    dead_s: int = 40
    passive: bool = False
    bfd: Bfd | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.cost <= 65_535:
            raise RouterConfigError(
                f"a cost of {self.cost}", where=self.name, hint="1 to 65535 (RFC 2328 appendix C.3)"
            )
        if not 0 < self.hello_s < self.dead_s <= 65_535:
            raise RouterConfigError(
                f"a Hello every {self.hello_s} s, and dead after {self.dead_s} s without one",
                where=self.name,
                hint="make dead_s a multiple of hello_s, four times as a rule",
            )


@dataclass(frozen=True, slots=True)
class BgpNeighbor:
    """A session with another router, for the family of the address it is held with.

    ``preference`` is the LOCAL_PREF that what it tells gets (RFC 4271 section 5.1.5).  ``announce``
    are the only prefixes that it is told of; None: whatever BGP would tell it.  ``source`` is the
    interface whose address the session is held from.  ``client``: we reflect routes to it
    (RFC 4456).  ``next_hop_self``: routes of other ASes are told with us as their next hop.
    """

    address: str
    remote_as: int
    name: str = ""
    source: str | None = None
    client: bool = False
    next_hop_self: bool = False
    preference: int | None = None
    announce: tuple[str, ...] | None = None
    bfd: Bfd | None = None

    def __post_init__(self) -> None:
        if not 0 < self.remote_as < 2**32:
            raise RouterConfigError(f"no AS has the number {self.remote_as}", where=self.address)
        _check(ip_address, self.address)
        for prefix in self.announce or ():
            _check(ip_network, prefix)

    @property
    def version(self) -> int:
        """4 or 6."""
        return ip_address(self.address).version


@dataclass(frozen=True, slots=True)
class Bgp:
    """What a router speaks of BGP.

    ``networks`` are the prefixes it originates, once they are in its own table.  ``hold_s`` is
    offered to the other end, the smaller of the two offers holds (RFC 4271 section 4.2).
    """

    asn: int
    neighbors: tuple[BgpNeighbor, ...]
    networks: tuple[str, ...] = ()
    keepalive_s: int = 60
    hold_s: int = 180
    connect_s: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.asn < 2**32:
            raise RouterConfigError(f"no AS has the number {self.asn}")
        if not 0 < self.keepalive_s < self.hold_s:
            raise RouterConfigError(
                f"a KEEPALIVE every {self.keepalive_s} s does not fit a hold time of "
                f"{self.hold_s} s",
                hint="a third of it is usual (RFC 4271 section 10)",
            )
        for prefix in self.networks:
            _check(ip_network, prefix)


@dataclass(frozen=True, slots=True)
class FrrRouter:
    """A router: its ID, the addresses of its loopback interface, its protocols.

    ``ospf`` empty: it speaks neither OSPFv2 nor OSPFv3; its loopback is told of without being
    listed.
    """

    name: str
    router_id: str
    loopback: tuple[str, ...] = ()
    ospf: tuple[OspfInterface, ...] = ()
    bgp: Bgp | None = None

    def __post_init__(self) -> None:
        _check(IPv4Address, self.router_id)
        for address in self.loopback:
            _check(ip_interface, address)

    @property
    def uses_bfd(self) -> bool:
        """Does any neighbour get BFD?"""
        sessions = self.bgp.neighbors if self.bgp else ()
        return any(one.bfd for one in self.ospf) or any(one.bfd for one in sessions)

    @property
    def daemons(self) -> tuple[str, ...]:
        """The daemons that play it, zebra first."""
        return (
            "zebra",
            *(("bfdd",) if self.uses_bfd else ()),
            *(("ospfd", "ospf6d") if self.ospf else ()),
            *(("bgpd",) if self.bgp else ()),
        )


def _check(kind: object, text: str) -> None:
    assert callable(kind)
    try:
        kind(text)
    except ValueError as error:
        raise RouterConfigError(str(error), where="FRR router") from error
