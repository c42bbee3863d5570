"""Links: their ends, MTU, Ethernet addresses, and what switches join."""

from __future__ import annotations

import re
from collections.abc import Iterator

from testbed.errors import Problem
from testbed.model.checks.index import End, Groups, Index, Segment
from testbed.model.checks.suggest import did_you_mean
from testbed.model.topology import Interface, Link, Topology

MIN_MTU = 68  # RFC 791: every module must forward 68 octets
MAX_MTU = 65535
MIN_MTU_IPV6 = 1280  # RFC 8200 section 5
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


def check_values(topology: Topology) -> Iterator[Problem]:
    """MTUs and MACs that cannot be."""
    for link in topology.links:
        yield from _check_mtu(link)
        for position, end in enumerate(link.ends):
            if end.mac is not None:
                yield from _check_mac(link, end, f"links.{link.name}.ends[{position}].mac")


def _check_mtu(link: Link) -> Iterator[Problem]:
    path = f"links.{link.name}.mtu"
    if not MIN_MTU <= link.mtu <= MAX_MTU:
        what = f"link {link.name!r} cannot have an MTU of {link.mtu}: {MIN_MTU} to {MAX_MTU} bytes"
        yield Problem("bad-mtu", what, path, link.place)
        return
    ipv6 = next((end for end in link.ends if any(a.version == 6 for a in end.addresses)), None)
    if link.mtu < MIN_MTU_IPV6 and ipv6 is not None:
        what = (
            f"link {link.name!r} has an MTU of {link.mtu} and {ipv6.label} has an IPv6 address: "
            f"IPv6 needs {MIN_MTU_IPV6} (RFC 8200 section 5)"
        )
        hint = f"set the MTU to {MIN_MTU_IPV6} or more, or leave IPv6 off this link"
        yield Problem("small-mtu-for-ipv6", what, path, link.place, hint)


def _check_mac(link: Link, end: Interface, path: str) -> Iterator[Problem]:
    place = end.place or link.place
    mac = end.mac or ""
    if not _MAC.fullmatch(mac):
        what = f"{end.label}: {mac!r} is not an Ethernet address"
        yield Problem("bad-mac", what, path, place, 'write six bytes: "02:00:00:00:00:01"')
    elif int(mac[:2], 16) & 1:
        what = f"{end.label} cannot have {mac}: its first byte is odd, which means a group"
        hint = f'for example "{int(mac[:2], 16) & 0xFC | 2:02x}{mac[2:]}"'
        yield Problem("bad-mac", what, path, place, hint)
    elif not int(mac.replace(":", ""), 16):
        what = f"{end.label} cannot have {mac}: it means no address"
        yield Problem("bad-mac", what, path, place, 'for example "02:00:00:00:00:01"')


def check_ends(index: Index) -> Iterator[Problem]:
    """Links with too few ends, ends at unknown nodes, and interfaces used twice."""
    for link in index.topology.links:
        if len(link.ends) < 2 and not index.gaps.touch(f"links.{link.name}.ends"):
            count = "one end" if link.ends else "no ends"
            what = f"link {link.name!r} has {count}; it takes two or more"
            path = f"links.{link.name}.ends"
            yield Problem("too-few-ends", what, path, link.place, "name both ends of the cable")
    seen: dict[str, End] = {}
    for end in index.ends:
        interface = end.interface
        if interface.node not in index.nodes and not index.may_have_node(interface.node):
            what = f"there is no node {interface.node!r} (in {interface.label})"
            hint = did_you_mean(interface.node, index.nodes, "nodes")
            yield Problem("unknown-node", what, end.path, end.place, hint)
        first = seen.setdefault(interface.label, end)
        if first is end:
            continue
        if first.link is end.link:
            what = f"link {end.link.name!r} has the interface {interface.label} twice"
        else:
            what = f"{interface.label} is already the end of link {first.link.name!r}"
        hint = "an interface is on one link: give the node another one"
        yield Problem("duplicate-interface", what, end.path, end.place, hint)


def check_segments(index: Index) -> Iterator[Problem]:
    """What is wrong only when links are looked at together."""
    yield from _check_loops(index)
    for segment in index.segments:
        yield from _check_same_mtu(index, segment)
        yield from _check_same_mac(segment)


def _check_loops(index: Index) -> Iterator[Problem]:
    groups = Groups()
    for end in index.ends:
        node = end.interface.node
        if index.is_switch(node) and not groups.join(("switch", node), ("link", id(end.link))):
            what = f"{end.interface.label} closes a loop of switches: frames would circle for ever"
            hint = "remove one link of the loop; switches here run no spanning tree"
            yield Problem("switch-loop", what, end.path, end.place, hint)


def _check_same_mtu(index: Index, segment: Segment) -> Iterator[Problem]:
    links = [link for link in segment.links if not index.gaps.touch(f"links.{link.name}.mtu")]
    for link in links[1:]:
        first = links[0]
        if link.mtu != first.mtu:
            what = (
                f"a switch joins link {link.name!r} (MTU {link.mtu}) "
                f"and link {first.name!r} (MTU {first.mtu}): it drops what is too large, unsaid"
            )
            hint = "give them one MTU, or put a router between them"
            yield Problem("mtu-mismatch", what, f"links.{link.name}.mtu", link.place, hint)


def _check_same_mac(segment: Segment) -> Iterator[Problem]:
    seen: dict[str, End] = {}
    for end in segment.ends:
        if end.interface.mac is None:
            continue
        first = seen.setdefault(end.interface.mac.lower(), end)
        if first is not end:
            what = (
                f"{end.interface.label} and {first.interface.label} are on one segment "
                f"and have the same MAC {end.interface.mac}"
            )
            path = f"{end.path}.mac"
            yield Problem("duplicate-mac", what, path, end.place, "change one of them")
