"""What a lab *is*: frozen, typed data.  Building it touches nothing.

A :class:`Topology` is nodes joined by links.  A link with two interfaces is a cable; with more it
is a LAN segment.  Addresses belong to interfaces, as in a drawing.  Times are seconds, rates bits
per second, sizes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import (
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)

from testbed.errors import Place
from testbed.model.fault import Fault
from testbed.model.impairment import Impairment
from testbed.model.service import Service

InterfaceAddress = IPv4Interface | IPv6Interface
Prefix = IPv4Network | IPv6Network

HOST = "host"
ROUTER = "router"
SWITCH = "switch"
ROLES = (HOST, ROUTER, SWITCH)
NETNS, MININET, DOCKER = "netns", "mininet", "docker"
BACKENDS = (NETNS, MININET, DOCKER)

BRIDGE, OVS, OVS_KERNEL, OVS_USER = "bridge", "ovs", "ovs-kernel", "ovs-user"
SWITCHES = (BRIDGE, OVS, OVS_KERNEL, OVS_USER)
"""What a switch is inside: a Linux bridge, or Open vSwitch (its kernel datapath, its user datapath,
or the first of these that can be had)."""

UNICAST = "unicast"
BLACKHOLE = "blackhole"
UNREACHABLE = "unreachable"
PROHIBIT = "prohibit"
ROUTE_KINDS = (UNICAST, BLACKHOLE, UNREACHABLE, PROHIBIT)


@dataclass(frozen=True, slots=True)
class Route:
    """A static route of a node.

    ``to`` is a prefix; exactly one of ``via`` (next hop), ``dev`` (interface, on link) or ``kind``
    (``blackhole``, ``unreachable``, ``prohibit``) says where it leads; ``via`` with ``dev`` is
    needed for link-local next hops.
    """

    to: Prefix
    via: str | None = None
    dev: str | None = None
    kind: str = UNICAST
    metric: int | None = None
    mtu: int | None = None
    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Node:
    """A host, router or switch.

    ``sysctls`` are extra kernel settings by dotted name; ``files`` are text files laid over the
    node's own view of the file system; ``firewall`` is an nftables ruleset (``nft -f`` syntax);
    ``switch`` says what a switch is inside (see :data:`SWITCHES`; a bridge if nothing is said).
    ``backend`` (``netns``, ``mininet``, ``docker``) says what makes it, if not what makes the lab's
    other nodes; ``image`` is what it is made from wherever it is a container.
    """

    name: str
    role: str = HOST
    routes: tuple[Route, ...] = ()
    services: tuple[Service, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # may hold secrets
    firewall: str | None = None
    switch: str | None = None
    backend: str | None = None
    image: str | None = None
    note: str = ""
    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Interface:
    """One end of a link: an interface of a node with its addresses there."""

    node: str
    name: str
    addresses: tuple[InterfaceAddress, ...] = ()
    mac: str | None = None
    impairment: Impairment | None = None
    place: Place | None = field(default=None, compare=False, repr=False)

    @property
    def label(self) -> str:
        """``node:interface``, the way users name it."""
        return f"{self.node}:{self.name}"


@dataclass(frozen=True, slots=True)
class Link:
    """A cable (two ends) or a LAN segment (more); ``impairment`` applies in every direction."""

    name: str
    ends: tuple[Interface, ...]
    mtu: int = 1500
    impairment: Impairment | None = None
    note: str = ""
    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MininetSource:
    """A class of Mininet's ``Topo`` that somebody wrote, and what Mininet is to be told besides.

    ``file`` is the absolute path of the Python file; ``topo`` names the class in it (or an entry of
    its ``topos``) as ``mn --topo`` does, with arguments behind commas; ``options`` are words of
    ``mn``: ``--switch``, ``--host``, ``--link``, ``--controller``, ``--mac``, ``--arp``,
    ``--ipbase``.
    """

    file: str
    topo: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Topology:
    """A whole lab.  ``groups`` are boxes of the drawing: ``(title, node names)``.

    With ``mininet`` it is Mininet that builds nodes and links, from somebody's own class; they are
    here as that class says, and in a lab that is up as they were built.
    """

    name: str
    title: str = ""
    nodes: tuple[Node, ...] = ()
    links: tuple[Link, ...] = ()
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    mininet: MininetSource | None = None
    source: str | None = field(default=None, compare=False, repr=False)

    def node(self, name: str) -> Node:
        """The node of that name; KeyError when there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def link(self, name: str) -> Link:
        """The link of that name; KeyError when there is none."""
        for link in self.links:
            if link.name == name:
                return link
        raise KeyError(name)

    def interfaces_of(self, node: str) -> tuple[tuple[Link, Interface], ...]:
        """The node's interfaces with the links they are on, in the order of the links."""
        return tuple((link, end) for link in self.links for end in link.ends if end.node == node)


def parse_address(text: str) -> InterfaceAddress:
    """``192.0.2.1/24`` or ``2001:db8::1/64``; ValueError says what is wrong with anything else."""
    address, slash, length = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} has no prefix length")
    if "%" in address:
        raise ValueError(f"{text!r} has a zone; the interface it is on says that already")
    if not (length.isascii() and length.isdecimal()):
        raise ValueError(f"{text!r}: {length!r} is not a prefix length")
    try:
        plain = ip_address(address)
    except ValueError:
        raise ValueError(f"{address!r} is not an IPv4 or IPv6 address") from None
    if int(length) > plain.max_prefixlen:
        raise ValueError(
            f"{text!r}: a prefix length of IPv{plain.version} is at most {plain.max_prefixlen}"
        )
    return ip_interface(text)
