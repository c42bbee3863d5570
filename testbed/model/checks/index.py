"""A topology looked at from every side, made once for all checks.

A *segment* is what one Ethernet frame can reach: links, joined where they meet in a switch.  A
*domain* is segments joined by routers that certainly do not translate addresses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

from testbed.errors import Place
from testbed.model.checks.gaps import Gaps
from testbed.model.topology import (
    ROLES,
    ROUTER,
    SWITCH,
    Interface,
    InterfaceAddress,
    Link,
    Node,
    Topology,
)

AnyAddress = IPv4Address | IPv6Address
_FORWARDING = frozenset(
    {
        "net.ipv4.ip_forward",
        "net.ipv4.conf.all.forwarding",
        "net.ipv6.conf.all.forwarding",
    }
)


@dataclass(frozen=True, slots=True)
class End:
    """An interface with the link it is on and its path in the topology."""

    link: Link
    interface: Interface
    path: str

    @property
    def place(self) -> Place | None:
        """The author's place for the interface, or for its link."""
        return self.interface.place or self.link.place

    def address_path(self, position: int) -> str:
        """Path of one of its addresses."""
        return f"{self.path}.addresses[{position}]"


@dataclass(frozen=True, slots=True)
class Held:
    """An address together with the end that holds it."""

    end: End
    position: int
    address: InterfaceAddress

    @property
    def path(self) -> str:
        """Path of the address."""
        return self.end.address_path(self.position)

    @property
    def is_subnet(self) -> bool:
        """False for a host address (/32, /128), which puts nothing else on the link."""
        return self.address.network.prefixlen < self.address.max_prefixlen

    def __str__(self) -> str:
        return f"{self.address} of {self.end.interface.label}"


@dataclass(frozen=True, slots=True)
class Segment:
    """Links joined by switches, and the ends on them that are not switch ports."""

    number: int
    links: tuple[Link, ...]
    ends: tuple[End, ...]
    may_grow: bool = False  # an unread end, link or role may join it to more than this

    @property
    def held(self) -> tuple[Held, ...]:
        """Every address on the segment, in the author's order."""
        return tuple(
            Held(end, position, address)
            for end in self.ends
            for position, address in enumerate(end.interface.addresses)
        )

    @property
    def label(self) -> str:
        """The link's name, or all of them."""
        names = [f"{link.name!r}" for link in self.links]
        return f"link {names[0]}" if len(names) == 1 else f"links {', '.join(names)}"


class Groups:
    """Disjoint sets (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def find(self, item: Hashable) -> Hashable:
        """The set's representative."""
        root = item
        while (above := self._parent.get(root, root)) != root:
            root = above
        while item != root:
            self._parent[item], item = root, self._parent.get(item, item)
        return root

    def join(self, one: Hashable, other: Hashable) -> bool:
        """Make them one set; False when they already were."""
        first, second = self.find(one), self.find(other)
        self._parent[second] = first
        return first != second


class Index:
    """The topology with look-ups, and what it does not say because it could not be read."""

    def __init__(self, topology: Topology, gaps: Gaps | None = None) -> None:
        self.topology = topology
        self.gaps = Gaps() if gaps is None else gaps
        self.nodes: dict[str, Node] = {}
        for node in topology.nodes:
            self.nodes.setdefault(node.name, node)
        self.ends = tuple(
            End(link, interface, f"links.{link.name}.ends[{position}]")
            for link in topology.links
            for position, interface in enumerate(link.ends)
        )
        self.ends_of: dict[str, list[End]] = defaultdict(list)
        for end in self.ends:
            self.ends_of[end.interface.node].append(end)

    def is_switch(self, name: str) -> bool:
        """True for the name of a switch."""
        node = self.nodes.get(name)
        return node is not None and node.role == SWITCH

    def knows_role(self, name: str) -> bool:
        """False for a node that may be a switch or not; one with addresses is meant to be none."""
        node = self.nodes.get(name)
        if node is None:
            said = not self.may_have_node(name)
        else:
            said = node.role in ROLES and not self.gaps.touch(f"nodes.{name}.role")
        return said or any(end.interface.addresses for end in self.ends_of.get(name, ()))

    def may_have_node(self, name: str) -> bool:
        """True for a node that is not in the topology and may be in the part not read."""
        return self.gaps.may_name("nodes", name)

    def may_have_interface(self, node: str) -> bool:
        """True when the node may have interfaces beyond those that were read."""
        return self.gaps.may_be_end_of(node, self.nodes)

    def may_have_address(self, node: str) -> bool:
        """True when the node may have addresses beyond those that were read."""
        return self.may_have_interface(node) or any(
            self.gaps.touch(f"{end.path}.addresses") for end in self.ends_of.get(node, ())
        )

    def may_have_service(self, name: str) -> bool:
        """True for ``node/service`` that is not in the topology and may be in the rest."""
        node, _, service = name.partition("/")
        return self.may_have_node(node) or self.gaps.may_name(f"nodes.{node}.services", service)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """All segments, in the order of their first links."""
        groups = Groups()
        for end in self.ends:
            if self.is_switch(end.interface.node):
                groups.join(("switch", end.interface.node), ("link", id(end.link)))
        by_root: dict[Hashable, list[Link]] = defaultdict(list)
        for link in self.topology.links:
            by_root[groups.find(("link", id(link)))].append(link)
        ends: dict[Hashable, list[End]] = defaultdict(list)
        for end in self.ends:
            if not self.is_switch(end.interface.node) and self.knows_role(end.interface.node):
                ends[groups.find(("link", id(end.link)))].append(end)
        return tuple(
            Segment(number, tuple(links), tuple(ends[root]), self._may_grow(links))
            for number, (root, links) in enumerate(by_root.items())
        )

    def _may_grow(self, links: list[Link]) -> bool:
        if not self.gaps:
            return False
        nodes = {end.node for link in links for end in link.ends}
        return (
            any(self.gaps.touch(f"links.{link.name}.ends") for link in links)
            or any(not self.knows_role(node) for node in nodes)
            or any(self.may_have_interface(node) for node in nodes if self.is_switch(node))
        )

    @cached_property
    def segment_of(self) -> dict[int, Segment]:
        """The segment of a link, by ``id(link)``."""
        return {id(link): segment for segment in self.segments for link in segment.links}

    @cached_property
    def domain_of(self) -> dict[int, Hashable]:
        """The domain of a segment, by its number."""
        groups = Groups()
        for node in self.topology.nodes:
            unsure = (f"nodes.{node.name}.{key}" for key in ("role", "services", "firewall"))
            if not forwards_plainly(node) or any(self.gaps.touch(path) for path in unsure):
                continue
            for end in self.ends_of[node.name]:
                groups.join(("router", node.name), self.segment_of[id(end.link)].number)
        return {segment.number: groups.find(segment.number) for segment in self.segments}


def forwards_plainly(node: Node) -> bool:
    """True for a node that forwards and certainly translates nothing.

    Services and firewall rules may translate addresses; what they do is not known here.
    """
    if node.services or node.firewall is not None:
        return False
    switched_on = any(
        key.replace("/", ".") in _FORWARDING and value.strip() != "0" for key, value in node.sysctls
    )
    return node.role == ROUTER or (node.role != SWITCH and switched_on)
