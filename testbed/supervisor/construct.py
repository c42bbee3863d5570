"""Carrying out a plan: every decision was made there, here they are only done.

Consecutive operations on one namespace go to the kernel as one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import cast

from testbed.backends.place import Backend, NodePlace
from testbed.errors import KernelError
from testbed.kernel import addresses, links, namespaces, nft, offload, routes, sysctl, tc
from testbed.kernel.netlink import Request
from testbed.kernel.rtnl import RouteSocket
from testbed.model.impairment import Impairment
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
    Port,
    SetSetting,
    SetUp,
    Shape,
)
from testbed.supervisor.nodes import LabNode, Nodes

Progress = Callable[[str], None]


async def construct(
    operations: Iterable[Operation],
    nodes: Nodes,
    backends: Mapping[str, Backend],
    progress: Progress,
) -> None:
    """Do the operations in order.

    Raises:
        KernelError: the kernel refused one; the lab must then be ended.
    """
    operations = list(operations)
    for kind, group in groupby(operations, key=_phase):
        batch = list(group)
        if kind == "nodes":
            progress(f"making nodes ({len(batch)})")
            await _make_nodes(batch, nodes, backends)
        elif kind == "cables":
            progress(f"laying cables ({len(batch)})")
            _make_cables(batch, nodes)
        elif kind == "contents":
            _make_contents(batch, nodes)
        else:
            if kind == "configuration":
                progress("configuring addresses and routes")
            _configure(batch, nodes)
    settle(_ports(operations), nodes)


def settle(ports: Iterable[Port], nodes: Nodes) -> None:
    """Wait until these interfaces carry packets; both ends of their cables must be up.

    Raises:
        KernelError: one of them has no carrier.
    """
    by_node: dict[str, list[int]] = {}
    for port in ports:
        by_node.setdefault(port.node, []).append(port.index)
    for node, indices in by_node.items():
        with nodes.route_socket(node) as kernel:
            kernel.settle(indices)


def _phase(operation: Operation) -> str:
    if isinstance(operation, MakeNode):
        return "nodes"
    if isinstance(operation, MakeCable):
        return "cables"
    if isinstance(operation, LoadFirewall | LayFile):
        return "contents"
    return "configuration"


async def _make_nodes(
    batch: list[Operation], nodes: Nodes, backends: Mapping[str, Backend]
) -> None:
    orders = [operation for operation in batch if isinstance(operation, MakeNode)]
    places: dict[str, NodePlace] = {}
    for name in dict.fromkeys(order.backend for order in orders):
        places |= await backends[name].make([order for order in orders if order.backend == name])
    for order in orders:
        nodes.add(LabNode(order.node, order.role, order.backend, places[order.node]))
        with nodes.inside(order.node):
            for key, value in order.settings:
                sysctl.write(key, value, where=f"node {order.node}")


def _make_cables(batch: list[Operation], nodes: Nodes) -> None:
    with RouteSocket("lab") as kernel:
        for operation in batch:
            assert isinstance(operation, MakeCable)
            left, right = operation.left, operation.right
            kernel.queue(
                links.veth(
                    _veth_end(nodes, left, operation.mtu), _veth_end(nodes, right, operation.mtu)
                ).at(f"link {operation.link}")
            )
        kernel.flush()
    for node in {port.node for port in _ports(batch) if port.bridge is not None}:
        with nodes.route_socket(node) as at:
            for port in _ports(batch):
                if port.node == node and port.bridge is not None:
                    at.queue(links.change(port.index, master=port.bridge))
                    if node == FABRIC:
                        at.queue(links.change(port.index, up=True))
            at.flush()


def _ports(batch: list[Operation]) -> Iterable[Port]:
    for operation in batch:
        if isinstance(operation, MakeCable):
            yield operation.left
            yield operation.right


def _veth_end(nodes: Nodes, port: Port, mtu: int) -> links.VethEnd:
    return links.VethEnd(
        name=port.name,
        index=port.index,
        netns_fd=nodes.network(port.node),
        mac=port.mac,
        mtu=mtu,
    )


def _configure(batch: list[Operation], nodes: Nodes) -> None:
    for node, group in groupby(batch, key=lambda operation: operation.node):  # type: ignore[union-attr]  # cables are not in this phase
        network = nodes.network(node)
        with namespaces.inside_network(network, nodes.home), RouteSocket(node) as at:
            for operation in group:
                if isinstance(operation, SetSetting):
                    at.flush()
                    sysctl.write(operation.key, operation.value, where=f"node {node}")
                elif isinstance(operation, SetUp) and operation.index > 1:
                    # No wire carries unfinished checksums or 64 KB segments: captures show packets.
                    offload.set_offload(operation.interface, tx_checksum=False)
                    at.queue(request_of(operation))
                else:
                    at.queue(request_of(operation))
            at.flush()


def request_of(operation: Operation) -> Request:
    """The kernel request of one step of a node's configuration."""
    match operation:
        case MakeBridge():
            request = links.bridge(
                operation.name,
                index=operation.index,
                mtu=operation.mtu,
                up=operation.node == FABRIC,
            )
            return request.at(f"{operation.node}:{operation.name}")
        case Shape():
            return shaping(operation.index, operation.impairment).at(
                f"{operation.node}:{operation.interface}"
            )
        case AddAddress():
            return addresses.add_address(
                operation.index, operation.address, nodad=operation.address.version == 6
            ).at(f"{operation.node}:{operation.interface}")
        case SetUp():
            return links.change(operation.index, up=True).at(
                f"{operation.node}:{operation.interface}"
            )
        case AddRoute():
            return _route(operation)
        case _:
            raise KernelError(f"no kernel request for {operation!r}")


def _route(operation: AddRoute) -> Request:
    return routes.add_route(
        operation.to,
        via=operation.via,
        link=operation.index,
        kind=cast(routes.RouteType, operation.kind),  # the model's names are the kernel's
        metric=operation.metric,
        mtu=operation.mtu,
    ).at(f"node {operation.node}")


def shaping(index: int, impairment: Impairment) -> Request:
    """The queueing discipline that makes an interface as bad as asked."""
    if impairment.needs_netem or impairment.rate is None:
        return tc.netem(
            index,
            delay=impairment.delay,
            jitter=impairment.jitter,
            loss=impairment.loss,
            reorder=impairment.reorder,
            duplicate=impairment.duplicate,
            corrupt=impairment.corrupt,
            rate=impairment.rate,
            limit=impairment.queue or 1000,
            replace=True,
        )
    # A token bucket counts its queue in bytes: so many packets of full size.
    limit = None if impairment.queue is None else impairment.queue * tc.LARGEST_FRAME
    return tc.tbf(index, rate=impairment.rate, limit=limit, replace=True)


def _make_contents(batch: list[Operation], nodes: Nodes) -> None:
    for operation in batch:
        if isinstance(operation, LoadFirewall):
            with nodes.inside(operation.node):
                nft.load(operation.ruleset, where=f"node {operation.node}")
        elif isinstance(operation, LayFile):
            nodes[operation.node].files[operation.path] = operation.content
