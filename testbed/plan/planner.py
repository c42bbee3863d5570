"""From a topology to the ordered steps that build it: a pure function."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from testbed.errors import TestbedError
from testbed.model.impairment import Impairment
from testbed.model.service import Service
from testbed.model.switching import SWITCH_BRIDGE, all_services, is_open_vswitch
from testbed.model.topology import MININET, NETNS, ROUTER, SWITCH, Interface, Link, Node, Topology
from testbed.plan.operations import (
    FABRIC,
    AddAddress,
    AddRoute,
    LayFile,
    LoadFirewall,
    MakeBridge,
    MakeCable,
    MakeNode,
    Operation,
    Plan,
    Port,
    SetSetting,
    SetUp,
    Shape,
    StartService,
)

_FIRST_INDEX = 2  # 1 is the loopback interface of every namespace

# Labs are static unless a topology says otherwise: no address waits for duplicate detection
# (RFC 4862 5.4), nobody solicits routers, and no reverse path filter hides a packet.
_COMMON_SETTINGS = (
    ("net.ipv6.conf.default.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_ra", "0"),
    ("net.ipv6.conf.default.router_solicitations", "0"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
)
_ROUTER_SETTINGS = (
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv6.conf.all.forwarding", "1"),
)
_SWITCH_SETTINGS = (("net.ipv6.conf.default.disable_ipv6", "1"),)


@dataclass(slots=True)
class _Numbers:
    """Interface numbers, unique in the whole lab.

    Not only for the reader: where both ends of a veth have the same number, Linux takes it for a
    physical link and may wait a second before it believes that the link is up
    (``linkwatch_urgent_event`` compares ifindex and iflink).
    """

    next: int = _FIRST_INDEX
    by_name: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, node: str, name: str) -> int:
        index = self.next
        self.next += 1
        self.by_name[node, name] = index
        return index


def mac_address(topology: Topology, interface: Interface) -> str:
    """The interface's MAC: the author's, or a locally administered one derived from its name.

    The same topology always gets the same MACs (and so the same link-local addresses).
    """
    if interface.mac is not None:
        return interface.mac
    text = f"{topology.name}/{topology.seed}/{interface.node}/{interface.name}"
    digest = hashlib.blake2b(text.encode(), digest_size=5).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest))


def make_plan(topology: Topology, backend: str = NETNS) -> Plan:
    """The steps for this (valid) topology, in the order in which they must be done.

    Args:
        topology: what is to be built.
        backend: what makes the nodes that ask for no backend of their own.
    """
    if topology.mininet is not None:
        return _plan_around_mininet(topology)
    numbers = _Numbers()
    services = _services_by_node(topology)
    operations: list[Operation] = [
        _make_node(node, backend, services[node.name]) for node in topology.nodes
    ]
    operations += _bridges(topology, numbers)
    operations += _cables(topology, numbers)
    operations += _shapes(topology, numbers)
    operations += _configuration(topology, numbers)
    operations += _contents(topology)
    operations += _services(topology)
    return Plan(topology.name, tuple(operations), tuple(_needs(topology)))


def _plan_around_mininet(topology: Topology) -> Plan:
    """What is left to do where Mininet builds the network: firewalls and services."""
    nodes = [MakeNode(node.name, node.role, (), MININET) for node in topology.nodes]
    operations = (*nodes, *_contents(topology), *_services(topology))
    needs = tuple((name, place) for name, place in _needs(topology) if name != "tbf")
    return Plan(topology.name, operations, needs, topology.mininet, topology.seed)


def _services_by_node(topology: Topology) -> dict[str, list[Service]]:
    services: dict[str, list[Service]] = {node.name: [] for node in topology.nodes}
    for name, service in all_services(topology):
        services[name].append(service)
    return services


def _make_node(node: Node, backend: str, services: Sequence[Service]) -> MakeNode:
    settings = dict(_COMMON_SETTINGS)
    if node.role == ROUTER:
        settings.update(_ROUTER_SETTINGS)
    if node.role == SWITCH:
        settings.update(_SWITCH_SETTINGS)
    early = {key: value for key, value in node.sysctls if not _names_interface(key)}
    settings.update(early)
    return MakeNode(
        node.name,
        node.role,
        tuple(settings.items()),
        node.backend or backend,
        node.image,
        capabilities=_union(service.capabilities for service in services),
        devices=_union(service.devices for service in services),
    )


def _union(named: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({name for names in named for name in names}))


def _names_interface(setting: str) -> bool:
    """True for ``net.ipv6.conf.wan.accept_ra``: it can only be written once ``wan`` exists."""
    words = setting.split("/" if "/" in setting else ".")
    return len(words) > 4 and words[2] in ("conf", "neigh") and words[3] not in ("all", "default")


def _bridges(topology: Topology, numbers: _Numbers) -> Iterator[Operation]:
    if any(len(link.ends) > 2 for link in topology.links):
        # A LAN segment only switches: without this its ports would send IPv6 packets of their own.
        for key, value in _SWITCH_SETTINGS:
            yield SetSetting(FABRIC, key, value)
    for node in topology.nodes:
        if node.role == SWITCH and not is_open_vswitch(node):
            mtu = min((link.mtu for link, _ in topology.interfaces_of(node.name)), default=1500)
            index = numbers.take(node.name, SWITCH_BRIDGE)
            yield MakeBridge(node.name, SWITCH_BRIDGE, index, mtu)
    for position, link in enumerate(topology.links):
        if len(link.ends) > 2:
            name = f"lan{position}"
            yield MakeBridge(FABRIC, name, numbers.take(FABRIC, name), link.mtu)


def _cables(topology: Topology, numbers: _Numbers) -> Iterator[MakeCable]:
    switches = {
        node.name for node in topology.nodes if node.role == SWITCH and not is_open_vswitch(node)
    }

    def port(interface: Interface) -> Port:
        bridge = None
        if interface.node in switches:
            bridge = numbers.by_name[interface.node, SWITCH_BRIDGE]
        index = numbers.take(interface.node, interface.name)
        mac = mac_address(topology, interface)
        return Port(interface.node, interface.name, index, mac, bridge)

    for position, link in enumerate(topology.links):
        if len(link.ends) == 2:
            yield MakeCable(link.name, port(link.ends[0]), port(link.ends[1]), link.mtu)
            continue
        bridge = numbers.by_name[FABRIC, f"lan{position}"]
        for number, interface in enumerate(link.ends):
            name = f"lan{position}p{number}"
            mac = mac_address(topology, Interface(FABRIC, name))
            inner = Port(FABRIC, name, numbers.take(FABRIC, name), mac, bridge)
            yield MakeCable(link.name, port(interface), inner, link.mtu)


def _impairment(link: Link, interface: Interface) -> Impairment | None:
    chosen = interface.impairment or link.impairment
    return chosen if chosen is not None and chosen != Impairment() else None


def _shapes(topology: Topology, numbers: _Numbers) -> Iterator[Shape]:
    for link in topology.links:
        for end in link.ends:
            impairment = _impairment(link, end)
            if impairment is not None:
                index = numbers.by_name[end.node, end.name]
                yield Shape(end.node, end.name, index, impairment)


def _configuration(topology: Topology, numbers: _Numbers) -> Iterator[Operation]:
    """Addresses, then switching on, then routes, node by node (one batch each)."""
    interfaces: dict[str, list[Interface]] = {}
    for link in topology.links:
        for end in link.ends:
            interfaces.setdefault(end.node, []).append(end)
    for node in topology.nodes:
        yield SetUp(node.name, "lo", 1)
        if (node.name, SWITCH_BRIDGE) in numbers.by_name:
            yield SetUp(node.name, SWITCH_BRIDGE, numbers.by_name[node.name, SWITCH_BRIDGE])
        for key, value in node.sysctls:
            if _names_interface(key):
                yield SetSetting(node.name, key, value)
        for end in interfaces.get(node.name, ()):
            index = numbers.by_name[end.node, end.name]
            for address in end.addresses:
                yield AddAddress(end.node, end.name, index, address)
            yield SetUp(end.node, end.name, index)
        for route in node.routes:
            number = numbers.by_name.get((node.name, route.dev)) if route.dev else None
            yield AddRoute(
                node.name,
                route.to,
                route.via,
                route.dev,
                number,
                route.kind,
                route.metric,
                route.mtu,
            )


def _contents(topology: Topology) -> Iterator[Operation]:
    for node in topology.nodes:
        if node.firewall is not None:
            yield LoadFirewall(node.name, node.firewall)
        for path, content in node.files:
            yield LayFile(node.name, path, content)


def _services(topology: Topology) -> Iterator[StartService]:
    """Services in the author's order, each behind those it comes after."""
    waiting = {
        f"{node}/{service.name}": StartService(node, service)
        for node, service in all_services(topology)
    }
    done: set[str] = set()
    while waiting:
        free = [key for key, start in waiting.items() if set(start.service.after) <= done]
        if not free:
            names = ", ".join(sorted(waiting))
            raise TestbedError(f"services wait for each other: {names}", where=topology.name)
        for key in free:
            yield waiting.pop(key)
        done.update(free)


def _needs(topology: Topology) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()

    def first(feature: str, place: str) -> Iterator[tuple[str, str]]:
        if feature not in seen:
            seen.add(feature)
            yield feature, place

    services = _services_by_node(topology)
    for link in topology.links:
        yield from first("veth", f"link {link.name}")
        if len(link.ends) > 2:
            yield from first("bridge", f"link {link.name}")
        for end in link.ends:
            impairment = _impairment(link, end)
            if impairment is not None:
                feature = "netem" if impairment.needs_netem else "tbf"
                yield from first(feature, f"{end.label} on link {link.name}")
    for node in topology.nodes:
        if node.role == SWITCH and not is_open_vswitch(node):
            yield from first("bridge", f"switch {node.name}")
        if node.firewall is not None:
            yield from first("nf_tables", f"node {node.name}")
        for service in services[node.name]:
            for feature in service.needs:
                yield from first(feature, f"service {node.name}/{service.name}")
