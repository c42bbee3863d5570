"""Switches that are Open vSwitch: a service of the switch node, on which all others wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from testbed.model.service import Ready, Service
from testbed.model.topology import OVS, OVS_KERNEL, OVS_USER, SWITCH, Node, Topology

OVS_SERVICE = "ovs"
"""The service that is the inside of such a switch."""

SWITCH_BRIDGE = "br0"
"""The bridge inside of a switch, whatever makes it."""

_DATAPATHS = {OVS: "any", OVS_KERNEL: "kernel", OVS_USER: "user"}


def is_open_vswitch(node: Node) -> bool:
    """Is it a switch that Open vSwitch makes?"""
    return node.role == SWITCH and node.switch in _DATAPATHS


def all_services(topology: Topology) -> Iterator[tuple[str, Service]]:
    """The services of a lab with their nodes: the authors', and those that are switches.

    The network is there before anything that uses it: every other service comes after the switches.
    """
    switches = [node for node in topology.nodes if is_open_vswitch(node)]
    first = tuple(f"{node.name}/{OVS_SERVICE}" for node in switches)
    for node in switches:
        yield node.name, _inside(topology, node)
    for node in topology.nodes:
        for service in node.services:
            yield node.name, replace(service, after=(*first, *service.after)) if first else service


def _inside(topology: Topology, node: Node) -> Service:
    assert node.switch is not None
    ports = [end.name for _, end in topology.interfaces_of(node.name)]
    return Service(
        name=OVS_SERVICE,
        command=(
            "{python}",
            "-m",
            "testbed.peers.openvswitch",
            _DATAPATHS[node.switch],
            SWITCH_BRIDGE,
            *ports,
        ),
        ready=Ready("notify", timeout=30.0),
        needs=("ovs-vsctl", *(("openvswitch",) if node.switch == OVS_KERNEL else ())),
        capabilities=("NET_ADMIN", "NET_RAW"),
        devices=("/dev/net/tun",),
        place=node.place,
    )
