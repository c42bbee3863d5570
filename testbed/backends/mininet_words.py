"""The nodes and links of a plan in words for the Mininet side: a pure function."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from testbed.plan.operations import FABRIC, AddAddress, MakeCable, MakeNode, Plan, Port


def network_in_words(plan: Plan, ours: Collection[str]) -> dict[str, Any]:
    """What Mininet is told of: our nodes, and the links among them and to LAN segments.

    A LAN segment (a bridge of the lab's own namespace) is a switch to Mininet, named like its link.
    Links to nodes of other backends are not Mininet's: it has no node for their other end.

    Args:
        plan: the whole lab's.
        ours: the nodes that are Mininet's.
    """
    roles = {
        step.node: step.role
        for step in plan.operations
        if isinstance(step, MakeNode) and step.node in ours
    }
    addresses: dict[tuple[str, str], str] = {}
    for step in plan.operations:
        # Mininet knows one address of an interface, and of IPv4 only.
        if isinstance(step, AddAddress) and step.address.version == 4:
            addresses.setdefault((step.node, step.interface), str(step.address))
    segments = _segments(plan, ours)
    links = []
    for step in plan.operations:
        if not isinstance(step, MakeCable) or step.left.node not in ours:
            continue
        if step.right.node in ours or (step.right.node == FABRIC and step.link in segments):
            ends = [
                _end(port, segments.get(step.link, ""), addresses)
                for port in (step.left, step.right)
            ]
            links.append({"mtu": step.mtu, "ends": ends})
    nodes: list[dict[str, Any]] = [{"name": name, "role": role} for name, role in roles.items()]
    nodes += [
        {"name": name, "role": "switch", "fabric": True}
        for name in dict.fromkeys(segments.values())
    ]
    return {"nodes": nodes, "links": links}


def _segments(plan: Plan, ours: Collection[str]) -> dict[str, str]:
    """The switch that stands for each LAN segment with a node of ours on it, by the link's name."""
    found: dict[str, str] = {}
    for step in plan.operations:
        if isinstance(step, MakeCable) and step.right.node == FABRIC and step.left.node in ours:
            name = step.link
            while name in ours:
                name += "-lan"
            found[step.link] = name
    return found


def _end(port: Port, segment: str, addresses: dict[tuple[str, str], str]) -> dict[str, Any]:
    return {
        "node": segment if port.node == FABRIC else port.node,
        "interface": port.name,
        "mac": port.mac,
        "ip": addresses.get((port.node, port.name)),
    }
