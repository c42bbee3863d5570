"""The internet as this ISP sees it: its transit providers, and a network with a server in it."""

from __future__ import annotations

from testbed.model import Builder, Ready, Service
from testbed.peers.frr.router import Bgp, BgpNeighbor, FrrRouter
from testbed.peers.frr.service import frr_files, frr_services
from topologies.dual_stack_isp.addresses import (
    CONTENT_AS,
    CONTENT_V4,
    CONTENT_V6,
    OUTSIDE_V4,
    OUTSIDE_V6,
    WWW,
    WWW_V6,
    ends_v4,
    ends_v6,
    plain,
)
from topologies.dual_stack_isp.core import Isp, Upstream, link_upstream, names_of

CONTENT = "content"
_FIRST_FAR_LINK = 64
_ROUTER_ID = 32
_PAGE = "It works over both.\n"


def add_internet(lab: Builder, isp: Isp) -> None:
    """Add every upstream of the ISP, all linked to the network of the server ``www``, too."""
    names = names_of(isp) | _far_names(isp)
    for router in outside_routers(isp):
        what = "the server's network" if router.name == CONTENT else "transit"
        asn = router.bgp.asn if router.bgp else "?"
        lab.router(
            router.name,
            note=f"AS {asn}, {what}",
            routes=[f"{CONTENT_V6} blackhole"] if router.name == CONTENT else [],
            services=frr_services(router, names),
            files=frr_files(router),
        )
    lab.host(
        "www",
        routes=[f"default via {CONTENT_V4[1]}", f"default via {CONTENT_V6[(0x80 << 80) + 1]}"],
        services=[
            Service(
                "web",
                (
                    "python3",
                    "-m",
                    "http.server",
                    "80",
                    "--bind",
                    "::",
                    "--directory",
                    "{run}/pages",
                ),
                files=(("pages/index.html", _PAGE),),
                ready=Ready("tcp", "80"),
            )
        ],
        note="web server",
    )
    for number, upstream in enumerate(isp.upstreams):
        link_upstream(lab, isp, upstream)
        (near_v4, far_v4), (near_v6, far_v6) = _far_ends(number)
        lab.link(
            f"{upstream.name}-{CONTENT}",
            f"{upstream.name}:{CONTENT} {near_v4} {near_v6}",
            f"{CONTENT}:{upstream.name} {far_v4} {far_v6}",
        )
    lab.link(
        "servers",
        f"{CONTENT}:servers {CONTENT_V4[1]}/{CONTENT_V4.prefixlen} 3fff:c00:80::1/64",
        f"www:eth0 {WWW}/{CONTENT_V4.prefixlen} {WWW_V6}/64",
    )


def outside_routers(isp: Isp) -> tuple[FrrRouter, ...]:
    """The routers of the other ASes as they will be configured."""
    transits = (_transit(isp, upstream, at) for at, upstream in enumerate(isp.upstreams))
    return (*transits, _content(isp))


def _transit(isp: Isp, upstream: Upstream, number: int) -> FrrRouter:
    timers = isp.timers
    neighbors = [
        BgpNeighbor(plain(ours), isp.asn, upstream.border, bfd=upstream.bfd)
        for ours, _ in isp.upstream_ends(upstream)
    ]
    neighbors += [BgpNeighbor(plain(far), CONTENT_AS, CONTENT) for _, far in _far_ends(number)]
    bgp = Bgp(
        upstream.asn,
        tuple(neighbors),
        keepalive_s=timers.keepalive_s,
        hold_s=timers.hold_s,
        connect_s=timers.connect_s,
    )
    return FrrRouter(upstream.name, str(OUTSIDE_V4[_ROUTER_ID + number]), bgp=bgp)


def _content(isp: Isp) -> FrrRouter:
    """The server's network prefers the same upstream as the ISP: one path both ways."""
    networks = (str(CONTENT_V4), str(CONTENT_V6))
    neighbors = tuple(
        BgpNeighbor(
            plain(near),
            upstream.asn,
            upstream.name,
            preference=upstream.preference,
            announce=networks,
        )
        for number, upstream in enumerate(isp.upstreams)
        for near, _ in _far_ends(number)
    )
    timers = isp.timers
    bgp = Bgp(
        CONTENT_AS,
        neighbors,
        networks,
        keepalive_s=timers.keepalive_s,
        hold_s=timers.hold_s,
        connect_s=timers.connect_s,
    )
    return FrrRouter(CONTENT, str(CONTENT_V4[1]), bgp=bgp)


def _far_ends(number: int) -> tuple[tuple[str, str], tuple[str, str]]:
    """The link of an upstream to the server's network: IPv4 and IPv6, the upstream's end first."""
    return ends_v4(OUTSIDE_V4, _FIRST_FAR_LINK, number), ends_v6(OUTSIDE_V6, 0x100 + number)


def _far_names(isp: Isp) -> dict[str, str]:
    names: dict[str, str] = {}
    for number, upstream in enumerate(isp.upstreams):
        for near, far in _far_ends(number):
            names |= {plain(near): upstream.name, plain(far): CONTENT}
    return names
