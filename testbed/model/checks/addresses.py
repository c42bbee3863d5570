"""Addresses: each by itself, and those that meet on one segment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

from testbed.errors import Problem
from testbed.model.checks.index import AnyAddress, End, Held, Index, Segment
from testbed.model.topology import SWITCH, InterfaceAddress, Prefix, Topology

_THIS_NETWORK = IPv4Network("0.0.0.0/8")
_LIMITED_BROADCAST = IPv4Address("255.255.255.255")
_MAPPED = IPv6Network("::ffff:0:0/96")

# Prefixes that many places use at the same time, so that equal ones on links that do not reach each
# other are no mistake.
_REUSABLE: tuple[Prefix, ...] = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # RFC 6598, shared with the carrier
        "192.0.0.0/24",  # RFC 6333 and RFC 7335: every B4 and CLAT has the same
        "198.18.0.0/15",  # RFC 2544, test networks
        "fc00::/7",  # RFC 4193
    )
)
_LINK_LOCAL: tuple[Prefix, ...] = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"))


def is_link_local(network: Prefix) -> bool:
    """True for prefixes that every link has anew (RFC 3927, RFC 4291)."""
    return any(_within(network, known) for known in _LINK_LOCAL)


def is_reusable(network: Prefix) -> bool:
    """True for prefixes that places without a route to each other may both use."""
    return any(_within(network, known) for known in _REUSABLE)


def _within(network: Prefix, known: Prefix) -> bool:
    if network.version != known.version or network.prefixlen < known.prefixlen:
        return False
    return network.network_address in known


def fault_of_address(address: AnyAddress) -> str | None:
    """Why no interface can have this address, or None."""
    if address.is_unspecified:
        return "it is the unspecified address"
    if address.is_loopback:
        return "it is a loopback address; every node has those by itself"
    if address.is_multicast:
        return "it is a multicast address"
    if isinstance(address, IPv4Address):
        if address == _LIMITED_BROADCAST:
            return "it is the limited broadcast address"
        if address in _THIS_NETWORK:
            return "0.0.0.0/8 is no one's address (RFC 1122 section 3.2.1.3)"
    elif address in _MAPPED:
        return "it is an IPv4-mapped address, which never is on a link (RFC 4291 section 2.5.5.2)"
    return None


def fault_of_host(address: InterfaceAddress) -> str | None:
    """Why this address cannot be a host's in its subnet, or None."""
    fault: str | None = fault_of_address(address.ip)
    network = address.network
    if fault is not None or address.max_prefixlen - network.prefixlen <= 1:
        return fault  # on /31 and /127 both addresses are hosts' (RFC 3021, RFC 6164)
    if address.ip == network.network_address:
        if address.version == 4:
            return f"it is the network address of {network}"
        return f"it is the subnet-router anycast address of {network} (RFC 4291 section 2.6.1)"
    if address.version == 4 and address.ip == network.broadcast_address:
        return f"it is the broadcast address of {network}"
    return None


def check_values(topology: Topology) -> Iterator[Problem]:
    """Addresses that no interface can have, and addresses on switch ports."""
    switches = {node.name for node in topology.nodes if node.role == SWITCH}
    for link in topology.links:
        for position, interface in enumerate(link.ends):
            end = End(link, interface, f"links.{link.name}.ends[{position}]")
            if interface.addresses and interface.node in switches:
                what = f"{interface.label} is a port of a switch and cannot have an address"
                hint = "give the address to a host or router on the segment, or make this a router"
                yield Problem("switch-address", what, end.path, end.place, hint)
            for number, address in enumerate(interface.addresses):
                fault = fault_of_host(address)
                if fault is not None:
                    what = f"{interface.label} cannot have the address {address}: {fault}"
                    path = end.address_path(number)
                    yield Problem("bad-address", what, path, end.place, _first_hosts(address))


def _first_hosts(address: InterfaceAddress) -> str | None:
    if fault_of_address(address.ip) is not None:
        return None
    network = address.network
    last = int(network.broadcast_address) - (1 if address.version == 4 else 0)
    first = int(network.network_address) + 1
    kind = type(address.ip)
    return f"host addresses there are {kind(first)} to {kind(last)}"


def check_segments(index: Index) -> Iterator[Problem]:
    """Addresses held twice, and ends that share a segment but no subnet."""
    for end in index.ends:
        yield from _twice_on_end(end)
    for segment in index.segments:
        held = segment.held
        yield from _twice_on_segment(held)
        for version in (4, 6):
            subnets = [
                item
                for item in held
                if item.address.version == version
                and item.is_subnet
                and fault_of_address(item.address.ip) is None
                and not is_link_local(item.address.network)
            ]
            unsure = (f"{end.path}.addresses" for end in segment.ends)
            if not segment.may_grow and not any(index.gaps.touch(path) for path in unsure):
                yield from _strangers(segment, subnets)
            yield from _prefix_lengths(subnets)


def _twice_on_end(end: End) -> Iterator[Problem]:
    """Only on one interface is it a mistake: on several, unnumbered links share an address."""
    seen: set[AnyAddress] = set()
    for position, address in enumerate(end.interface.addresses):
        if address.ip in seen:
            what = f"{end.interface.label} has the address {address.ip} twice"
            path = end.address_path(position)
            yield Problem("duplicate-address", what, path, end.place, "remove one of them")
        seen.add(address.ip)


def _twice_on_segment(held: tuple[Held, ...]) -> Iterator[Problem]:
    seen: dict[AnyAddress, Held] = {}
    for item in held:
        first = seen.setdefault(item.address.ip, item)
        if first.end.interface.node != item.end.interface.node:
            where = f"{first.end.interface.label} (link {first.end.link.name!r})"
            what = f"the address {item} is already held by {where}"
            yield Problem(
                "duplicate-address", what, item.path, item.end.place, "change one of them"
            )


def _strangers(segment: Segment, held: list[Held]) -> Iterator[Problem]:
    """Interfaces that share no subnet with any other on the segment."""
    by_end: dict[str, list[Held]] = defaultdict(list)
    for item in held:
        by_end[item.end.path].append(item)
    if len(by_end) < 2:
        return
    met: set[str] = set()  # ends that some other end shares a subnet with
    for network in {item.address.network for item in held}:
        inside = {item.end.path for item in held if item.address.ip in network}
        inside |= {item.end.path for item in held if item.address.network == network}
        if len(inside) > 1:
            met |= inside
    stranded = [items[0] for path, items in by_end.items() if path not in met]
    if not met:
        stranded = stranded[1:]  # somebody has to be right
    for item in stranded:
        others = (other for other in held if other.end.path != item.end.path)
        subnets = list(dict.fromkeys(str(other.address.network) for other in others))
        what = (
            f"{item} is in no subnet that another end of {segment.label} is in "
            f"({', '.join(subnets[:3])})"
        )
        hint = f"take an address of {subnets[0]}, or correct the prefix length"
        yield Problem("different-subnet", what, item.path, item.end.place, hint)


def _prefix_lengths(held: list[Held]) -> Iterator[Problem]:
    """Neighbours that disagree how large their subnet is: one would not ask the other by ARP."""
    if len({item.address.network.prefixlen for item in held}) < 2:
        return
    for number, item in enumerate(held):
        for other in held[:number]:
            mine, theirs = item.address.network, other.address.network
            if (
                mine.prefixlen != theirs.prefixlen
                and item.end.path != other.end.path
                and (item.address.ip in theirs or other.address.ip in mine)
            ):
                what = f"{item} and {other} disagree on the prefix length of their subnet"
                hint = "give both the same prefix length"
                yield Problem("prefix-length", what, item.path, item.end.place, hint)
                break
