"""What Mininet built, taken over by the engine: the topology that it is, and a plan to restore it.

Names, and who is joined to whom, come from Mininet; numbers, addresses and routes from the kernel.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from testbed.backends.place import NodePlace
from testbed.errors import KernelError, LabError
from testbed.kernel import namespaces, offload
from testbed.kernel.rtnl import RouteSocket
from testbed.kernel.state import LinkState, RouteState
from testbed.model.mininet import Words, topology_of
from testbed.model.topology import MininetSource, Topology
from testbed.plan.operations import AddAddress, AddRoute, MakeCable, Operation, Port, SetUp

_MAIN_TABLE = 254
_BY_KERNEL = 2
"""Routes with this origin (``RTPROT_KERNEL``) come and go with addresses."""
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True, slots=True)
class Adopted:
    """A network that Mininet built.

    ``steps`` are what restores its parts after a fault; ``wires`` the ends of cables that are
    switched on at both ends; ``notes`` what its users should know.
    """

    topology: Topology
    steps: tuple[Operation, ...]
    wires: tuple[Port, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kernel:
    """What the kernel has in a node."""

    links: Mapping[str, LinkState]
    addresses: Mapping[int, Sequence[Any]]
    routes: Sequence[RouteState]
    forwards: bool


def adopt(
    words: Mapping[str, Any],
    source: MininetSource,
    name: str,
    places: Mapping[str, NodePlace],
    home: int,
) -> Adopted:
    """Look at every node, and turn off what makes its links unlike wires.

    Args:
        words: what the Mininet side told of the network.
        source: whose it is.
        name: of the topology.
        places: the nodes.
        home: the lab's own network namespace, to come back to.

    Raises:
        LabError: an interface that Mininet told of is not there.
    """
    kernels = {node: _look(place.network, home) for node, place in places.items()}
    full: list[dict[str, Any]] = []
    for link in words["links"]:
        ends = [_end(end, kernels[end["node"]]) for end in link["ends"]]
        for end in ends:
            with namespaces.inside_network(places[end["node"]].network, home):
                _make_honest(end["interface"])
        full.append({"ends": ends, "mtu": min(end["mtu"] for end in ends)})
    nodes = [
        {**node, "role": "router"}
        if node["role"] == "host" and _is_router(node["name"], kernels, full)
        else node
        for node in words["nodes"]
    ]
    try:
        topology = topology_of(Words(nodes, full), source, name)
    except ValueError as error:
        raise LabError(str(error), where=source.file) from error
    own = {node["name"] for node in words["nodes"] if node["own"]}
    notes = [
        f"{link}: a patch inside Open vSwitch, where nothing can be captured, cut or impaired"
        for link in words["inner"]
    ]
    steps = tuple(_steps(topology, kernels, own))
    wires = [
        end
        for step in steps
        if isinstance(step, MakeCable)
        for ends in [(step.left, step.right)]
        if all(kernels[one.node].links[one.name].up for one in ends)
        for end in ends
    ]
    return Adopted(topology, steps, tuple(wires), (*words["notes"], *notes))


def _look(network: int, home: int) -> _Kernel:
    with namespaces.inside_network(network, home):
        with RouteSocket() as kernel:
            links = {link.name: link for link in kernel.links()}
            addresses: dict[int, list[Any]] = {}
            for entry in kernel.addresses():
                if not entry.address.is_link_local:
                    addresses.setdefault(entry.link, []).append(entry.address)
            routes = kernel.routes(_MAIN_TABLE)
        return _Kernel(links, addresses, routes, _FORWARDING.read_text().strip() != "0")


def _end(words: Mapping[str, Any], kernel: _Kernel) -> dict[str, Any]:
    state = kernel.links.get(words["interface"])
    if state is None:
        raise LabError(
            "Mininet made this interface, and it is not there",
            where=f"{words['node']}:{words['interface']}",
            hint="what Mininet said of it is in logs/mininet.log of the run folder",
        )
    addresses = [str(address) for address in kernel.addresses.get(state.index, ())]
    return {**words, "addresses": addresses, "mac": state.mac, "mtu": state.mtu}


def _make_honest(interface: str) -> None:
    """No wire carries unfinished checksums or 64 KB segments (see ``SetUp`` in the supervisor)."""
    try:
        offload.set_offload(interface, tx_checksum=False)
    except KernelError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno != errno.EOPNOTSUPP:
            raise


def _is_router(
    node: str, kernels: Mapping[str, _Kernel], links: Sequence[Mapping[str, Any]]
) -> bool:
    ends = [end for link in links for end in link["ends"] if end["node"] == node]
    return kernels[node].forwards and len(ends) > 1


def _steps(
    topology: Topology, kernels: Mapping[str, _Kernel], own: set[str]
) -> Iterator[Operation]:
    def port(node: str, name: str) -> Port:
        state = kernels[node].links[name]
        return Port(node, name, state.index, state.mac or "", state.master)

    for link in topology.links:
        left, right = (port(end.node, end.name) for end in link.ends)
        yield MakeCable(link.name, left, right, link.mtu)
    for link in topology.links:
        for end in link.ends:
            index = kernels[end.node].links[end.name].index
            for address in end.addresses:
                yield AddAddress(end.node, end.name, index, address)
            yield SetUp(end.node, end.name, index)
    for node in topology.nodes:
        if node.name in own:  # the others share the lab's own namespace
            yield from _routes(node.name, kernels[node.name])


def _routes(node: str, kernel: _Kernel) -> Iterator[AddRoute]:
    names = {state.index: state.name for state in kernel.links.values()}
    for route in kernel.routes:
        if route.protocol != _BY_KERNEL and (route.via or route.kind != "unicast" or route.link):
            yield AddRoute(
                node,
                ip_network(str(route.destination)),
                None if route.via is None else str(route.via),
                None if route.link is None else names.get(route.link),
                route.link,
                route.kind,
                route.metric or None,
                route.mtu,
            )
