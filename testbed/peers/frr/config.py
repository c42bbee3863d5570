"""What FRR's daemons are told, each in a file of its own.  Pure: a router goes in, text comes out.

Written for FRR 8.4, ``frr defaults traditional``, whose timers are those of the RFCs.  The commands
that a person types to look (``vtysh -c "show running-config"``) give the same back.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_interface, ip_network

from testbed.peers.frr.router import Bfd, Bgp, BgpNeighbor, FrrRouter, OspfInterface

TOLD = "/run/frr/told"
"""The FIFO into which every daemon of a router logs, for :mod:`testbed.peers.frr.watch`."""

_AREA = "0.0.0.0"
_LOOPBACK = "lo"


def config_text(router: FrrRouter, daemon: str) -> str:
    """The configuration file of one of :attr:`FrrRouter.daemons`."""
    lines = [
        "frr defaults traditional",
        f"hostname {router.name}",
        "log timestamp precision 6",
        "log stdout informational",
        f"log file {TOLD} debugging",
        *_SECTIONS[daemon](router),
    ]
    return "\n".join(lines) + "\n"


def start_bfd(bfd: Bfd) -> tuple[str, ...]:
    """The command that starts a router's BFD sessions of that kind, which were shut."""
    typed = ("configure terminal", "bfd", f"profile {_profile(bfd)}", "no shutdown")
    return ("vtysh", "-d", "bfdd", *(word for line in typed for word in ("-c", line)))


def vtysh_text(router: FrrRouter) -> str:
    """``/etc/frr/vtysh.conf``: the daemons have files of their own, vtysh writes none."""
    return f"hostname {router.name}\nno service integrated-vtysh-config\n"


def _zebra(router: FrrRouter) -> Iterator[str]:
    # Routes carry their next hops themselves, which any program that looks at them understands.
    yield "no zebra nexthop kernel enable"
    if router.loopback:
        yield f"interface {_LOOPBACK}"
        for address in router.loopback:
            word = "ipv6" if ip_interface(address).version == 6 else "ip"
            yield f" {word} address {address}"
        yield "exit"


def _ospfd(router: FrrRouter) -> Iterator[str]:
    yield "router ospf"
    yield f" ospf router-id {router.router_id}"
    yield " log-adjacency-changes detail"
    yield "exit"
    yield from _ospf_interfaces(router, "ip ospf", 4)


def _ospf6d(router: FrrRouter) -> Iterator[str]:
    # Of neighbours that go with their interface ospf6d tells nothing; only that the interface goes.
    yield "debug ospf6 interface"
    yield "router ospf6"
    yield f" ospf6 router-id {router.router_id}"
    yield " log-adjacency-changes detail"
    yield "exit"
    yield from _ospf_interfaces(router, "ipv6 ospf6", 6)


def _ospf_interfaces(router: FrrRouter, word: str, version: int) -> Iterator[str]:
    if any(ip_interface(address).version == version for address in router.loopback):
        yield f"interface {_LOOPBACK}"
        yield f" {word} area {_AREA}"
        yield f" {word} passive"
        yield "exit"
    for interface in router.ospf:
        yield f"interface {interface.name}"
        yield f" {word} area {_AREA}"
        yield f" {word} network point-to-point"
        yield f" {word} cost {interface.cost}"
        yield f" {word} hello-interval {interface.hello_s}"
        yield f" {word} dead-interval {interface.dead_s}"
        if interface.passive:
            yield f" {word} passive"
        if interface.bfd:
            yield f" {word} bfd"
            yield f" {word} bfd profile {_profile(interface.bfd)}"
        yield "exit"


def _bfdd(router: FrrRouter) -> Iterator[str]:
    yield "debug bfd peer"
    yield "bfd"
    sessions: tuple[OspfInterface | BgpNeighbor, ...] = router.ospf
    sessions += router.bgp.neighbors if router.bgp else ()
    for bfd in dict.fromkeys(one.bfd for one in sessions if one.bfd):
        yield f" profile {_profile(bfd)}"
        yield f"  detect-multiplier {bfd.multiplier}"
        yield f"  receive-interval {bfd.interval_ms}"
        yield f"  transmit-interval {bfd.interval_ms}"
        if bfd.shut:
            yield "  shutdown"
        yield " exit"
    yield "exit"


def _profile(bfd: Bfd) -> str:
    return f"every-{bfd.interval_ms}-ms-{bfd.multiplier}-times"


def _bgpd(router: FrrRouter) -> Iterator[str]:
    bgp = router.bgp
    assert bgp is not None
    yield f"router bgp {bgp.asn}"
    yield f" bgp router-id {router.router_id}"
    yield " bgp log-neighbor-changes"
    yield " no bgp default ipv4-unicast"  # each session carries the family of its own address
    yield f" timers bgp {bgp.keepalive_s} {bgp.hold_s}"
    for neighbor in bgp.neighbors:
        yield from _session(neighbor, bgp)
    for version in (4, 6):
        yield f" address-family ipv{version} unicast"
        for prefix in bgp.networks:
            if ip_network(prefix).version == version:
                yield f"  network {prefix}"
        for neighbor in bgp.neighbors:
            if neighbor.version == version:
                yield from _family(neighbor, bgp)
        yield " exit-address-family"
    yield "exit"
    for neighbor in bgp.neighbors:
        yield from _policy(neighbor, bgp)


def _session(neighbor: BgpNeighbor, bgp: Bgp) -> Iterator[str]:
    head = f" neighbor {neighbor.address}"
    yield f"{head} remote-as {neighbor.remote_as}"
    if neighbor.name:
        yield f"{head} description {neighbor.name}"
    if neighbor.source:
        yield f"{head} update-source {neighbor.source}"
    yield f"{head} timers connect {bgp.connect_s}"
    if neighbor.bfd:
        yield f"{head} bfd"
        yield f"{head} bfd profile {_profile(neighbor.bfd)}"


def _family(neighbor: BgpNeighbor, bgp: Bgp) -> Iterator[str]:
    head = f"  neighbor {neighbor.address}"
    yield f"{head} activate"
    if neighbor.client:
        yield f"{head} route-reflector-client"
    if neighbor.next_hop_self:
        yield f"{head} next-hop-self"
    if neighbor.remote_as != bgp.asn:  # RFC 8212: nothing passes an AS's edge without a policy
        yield f"{head} route-map {_name('from', neighbor)} in"
        yield f"{head} route-map {_name('to', neighbor)} out"


def _policy(neighbor: BgpNeighbor, bgp: Bgp) -> Iterator[str]:
    if neighbor.remote_as == bgp.asn:
        return
    yield f"route-map {_name('from', neighbor)} permit 10"
    if neighbor.preference is not None:
        yield f" set local-preference {neighbor.preference}"
    yield "exit"
    told = _name("to", neighbor)
    if neighbor.announce is None:
        yield f"route-map {told} permit 10"
        yield "exit"
        return
    word = "ipv6" if neighbor.version == 6 else "ip"
    ours = [
        prefix for prefix in neighbor.announce if ip_network(prefix).version == neighbor.version
    ]
    for number, prefix in enumerate(ours, 1):
        yield f"{word} prefix-list {told} seq {number} permit {prefix}"
    yield f"route-map {told} {'permit' if ours else 'deny'} 10"
    if ours:
        yield f" match {word} address prefix-list {told}"
    yield "exit"


def _name(direction: str, neighbor: BgpNeighbor) -> str:
    return f"{direction}-{neighbor.name or neighbor.address}-v{neighbor.version}"


_SECTIONS = {
    "zebra": _zebra,
    "bfdd": _bfdd,
    "ospfd": _ospfd,
    "ospf6d": _ospf6d,
    "bgpd": _bgpd,
}
