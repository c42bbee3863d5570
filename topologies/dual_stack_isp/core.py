"""The ISP's core, to be built into any lab: routers, links, who speaks what with whom.

    isp = Isp(upstreams=(Upstream("transit-a", 64501, "br1", preference=200),))
    lab = Builder("my-isp")
    add_isp(lab, isp)
    add_customer(lab, isp, Customer("home", "pe1", ...))

Pure data until :func:`add_isp` puts it into a builder; :func:`isp_routers` shows what every router
will be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Literal

from testbed.model import Builder
from testbed.peers.frr.router import Bfd, Bgp, BgpNeighbor, FrrRouter, OspfInterface
from testbed.peers.frr.service import frr_files, frr_services
from topologies.dual_stack_isp.addresses import (
    CUSTOMERS_V4,
    CUSTOMERS_V6,
    INSIDE_V4,
    INSIDE_V6,
    ISP_AS,
    OUTSIDE_V4,
    OUTSIDE_V6,
    ends_v4,
    ends_v6,
    plain,
)

Change = Callable[[FrrRouter], FrrRouter]
"""What a scenario makes of a router before it is configured."""

Origin = Literal["reflectors", "borders"]

_FIRST_LINK = 64
_NO_REDIRECTS = {"net.ipv4.conf.all.send_redirects": 0}


@dataclass(frozen=True, slots=True)
class Timers:
    """How soon a neighbour that says nothing is given up; seconds.

    The defaults are those of RFC 2328 appendix C.3 and RFC 4271 section 10 as FRR has them, but for
    ``connect_s``: after how long BGP tries again to connect (FRR: 120 s).
    """

    hello_s: int = 10
    dead_s: int = 40
    keepalive_s: int = 60
    hold_s: int = 180
    connect_s: int = 10


USUAL = Timers()
QUICK = Timers(hello_s=1, dead_s=4, keepalive_s=3, hold_s=9, connect_s=2)
"""For labs in real time: everything ten to twenty times sooner."""


@dataclass(frozen=True, slots=True)
class CoreLink:
    """A cable between two core routers; ``cost`` in both directions."""

    left: str
    right: str
    cost: int = 10
    bfd: Bfd | None = None

    @property
    def name(self) -> str:
        """As the lab calls it; at each end the interface has the other router's name."""
        return f"{self.left}-{self.right}"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A neighbouring AS at a border router; routes of the highest ``preference`` are used."""

    name: str
    asn: int
    border: str
    preference: int = 100
    bfd: Bfd | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer's router at a provider edge router, and the prefixes that are routed to it.

    ``wan_v4`` and ``wan_v6`` are the link's two addresses, the ISP's end first.
    """

    name: str
    edge: str
    wan_v4: tuple[str, str]
    wan_v6: tuple[str, str]
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Isp:
    """An ISP: core routers in OSPF area 0, all of them in BGP, the reflectors reflecting routes.

    What it announces comes from static routes to nowhere at its ``origin``: the reflectors, so that
    a border router announces it only while it is in touch with them; or the borders themselves.
    """

    asn: int = ISP_AS
    edges: tuple[str, ...] = ("pe1", "pe2")
    reflectors: tuple[str, ...] = ("p1", "p2")
    borders: tuple[str, ...] = ("br1", "br2")
    links: tuple[CoreLink, ...] = (
        CoreLink("pe1", "p1"),
        CoreLink("pe1", "p2"),
        CoreLink("pe2", "p1"),
        CoreLink("pe2", "p2"),
        CoreLink("p1", "p2"),
        CoreLink("p1", "br1"),
        CoreLink("p2", "br2"),
        CoreLink("br1", "br2"),
    )
    upstreams: tuple[Upstream, ...] = ()
    customers: tuple[Customer, ...] = ()
    announced: tuple[str, ...] = (str(CUSTOMERS_V4), str(CUSTOMERS_V6))
    origin: Origin = "reflectors"
    timers: Timers = USUAL
    changes: Mapping[str, Change] = field(default_factory=dict)

    @property
    def routers(self) -> tuple[str, ...]:
        """All core routers."""
        return (*self.edges, *self.reflectors, *self.borders)

    def loopbacks(self, router: str) -> tuple[str, str]:
        """A core router's own addresses, IPv4 (also its router ID) and IPv6."""
        number = self.routers.index(router) + 1
        return str(INSIDE_V4[number]), str(INSIDE_V6[number])

    def upstream_ends(self, upstream: Upstream) -> tuple[tuple[str, str], tuple[str, str]]:
        """The addresses of the link to an upstream: IPv4 and IPv6, the ISP's end first."""
        number = self.upstreams.index(upstream)
        return ends_v4(OUTSIDE_V4, 0, number), ends_v6(OUTSIDE_V6, number + 1)


def link_ends(isp: Isp, link: CoreLink) -> tuple[tuple[str, str], tuple[str, str]]:
    """The addresses of a core link: IPv4 and IPv6, the left end first."""
    number = isp.links.index(link)
    return ends_v4(INSIDE_V4, _FIRST_LINK, number), ends_v6(INSIDE_V6, number + 1)


def isp_routers(isp: Isp) -> dict[str, FrrRouter]:
    """Every core router as it will be configured."""
    made = {name: _router(isp, name) for name in isp.routers}
    return {name: isp.changes.get(name, _as_it_is)(router) for name, router in made.items()}


def _as_it_is(router: FrrRouter) -> FrrRouter:
    return router


def _router(isp: Isp, name: str) -> FrrRouter:
    v4, v6 = isp.loopbacks(name)
    timers = isp.timers
    ospf = tuple(
        OspfInterface(other, link.cost, timers.hello_s, timers.dead_s, bfd=link.bfd)
        for link in isp.links
        for mine, other in ((link.left, link.right), (link.right, link.left))
        if mine == name
    )
    networks = tuple(prefix for one in isp.customers if one.edge == name for prefix in one.prefixes)
    if _originates(isp, name):
        networks += isp.announced
    bgp = Bgp(
        isp.asn,
        (*_internal(isp, name), *_external(isp, name)),
        networks,
        keepalive_s=timers.keepalive_s,
        hold_s=timers.hold_s,
        connect_s=timers.connect_s,
    )
    return FrrRouter(name, v4, (f"{v4}/32", f"{v6}/128"), ospf, bgp)


def _originates(isp: Isp, name: str) -> bool:
    return name in (isp.reflectors if isp.origin == "reflectors" else isp.borders)


def _internal(isp: Isp, name: str) -> Iterator[BgpNeighbor]:
    """A reflector speaks with everybody, the others with the reflectors (RFC 4456)."""
    reflects = name in isp.reflectors
    for other in isp.routers:
        if other != name and (reflects or other in isp.reflectors):
            for address in isp.loopbacks(other):
                yield BgpNeighbor(
                    address,
                    isp.asn,
                    other,
                    source="lo",
                    client=reflects and other not in isp.reflectors,
                    next_hop_self=not reflects,
                )


def _external(isp: Isp, name: str) -> Iterator[BgpNeighbor]:
    for upstream in isp.upstreams:
        if upstream.border == name:
            for _, theirs in isp.upstream_ends(upstream):
                yield BgpNeighbor(
                    plain(theirs),
                    upstream.asn,
                    upstream.name,
                    preference=upstream.preference,
                    announce=isp.announced,
                    bfd=upstream.bfd,
                )


def names_of(isp: Isp) -> dict[str, str]:
    """Node names by router ID and by every address with which a router may be known to others."""
    names = {address: name for name in isp.routers for address in isp.loopbacks(name)}
    for link in isp.links:
        for left, right in link_ends(isp, link):
            names |= {plain(left): link.left, plain(right): link.right}
    for upstream in isp.upstreams:
        for ours, theirs in isp.upstream_ends(upstream):
            names |= {plain(ours): upstream.border, plain(theirs): upstream.name}
    return names


def add_isp(lab: Builder, isp: Isp) -> None:
    """Add the core's routers and the links between them; not what they are linked to outside."""
    names = names_of(isp)
    notes = {
        **dict.fromkeys(isp.edges, "provider edge"),
        **dict.fromkeys(isp.reflectors, "core, route reflector"),
        **dict.fromkeys(isp.borders, "border"),
    }
    for name, router in isp_routers(isp).items():
        lab.router(
            name,
            note=f"{notes[name]}, {router.router_id}",
            routes=_static_routes(isp, name),
            services=frr_services(router, names),
            files=frr_files(router),
            sysctls=_NO_REDIRECTS,
        )
    for link in isp.links:
        ends = link_ends(isp, link)
        lab.link(
            link.name,
            f"{link.left}:{link.right} {ends[0][0]} {ends[1][0]}",
            f"{link.right}:{link.left} {ends[0][1]} {ends[1][1]}",
        )


def _static_routes(isp: Isp, name: str) -> Iterator[str]:
    """Customers' prefixes at their edge; what the ISP announces leads nowhere where it begins."""
    for customer in isp.customers:
        if customer.edge == name:
            for prefix in customer.prefixes:
                ends = customer.wan_v4 if ip_network(prefix).version == 4 else customer.wan_v6
                yield f"{prefix} via {plain(ends[1])}"
    if _originates(isp, name):
        yield from (f"{prefix} blackhole" for prefix in isp.announced)


def link_customer(lab: Builder, customer: Customer, interface: str = "wan") -> None:
    """Join the customer's router, a node of the customer's name, to its edge router."""
    (edge_v4, own_v4), (edge_v6, own_v6) = customer.wan_v4, customer.wan_v6
    lab.link(
        f"{customer.name}-line",
        f"{customer.edge}:{customer.name} {edge_v4} {edge_v6}",
        f"{customer.name}:{interface} {own_v4} {own_v6}",
    )


def link_upstream(lab: Builder, isp: Isp, upstream: Upstream) -> None:
    """Join a border router to its upstream, a node of the upstream's name."""
    (ours_v4, theirs_v4), (ours_v6, theirs_v6) = isp.upstream_ends(upstream)
    lab.link(
        f"{upstream.border}-{upstream.name}",
        f"{upstream.border}:{upstream.name} {ours_v4} {ours_v6}",
        f"{upstream.name}:{upstream.border} {theirs_v4} {theirs_v6}",
    )
