"""What can be added to nodes that Mininet builds from somebody's class, and what cannot."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.errors import Problem
from testbed.model.topology import MININET, Topology

_NOT_OURS = ("routes", "sysctls", "files", "switch", "image")


def check_contents(topology: Topology) -> Iterator[Problem]:
    """Parts of a node that only the engine could make."""
    for node in topology.nodes:
        for part in _NOT_OURS:
            if getattr(node, part):
                what = f"{node.name!r} is built by Mininet, and its {part} are up to its class"
                hint = "services, firewalls and faults can be added to it"
                yield Problem("not-mininets", what, f"nodes.{node.name}.{part}", node.place, hint)
        if node.backend != MININET:
            what = f"{node.name!r} is to be built by Mininet and must have the backend mininet"
            yield Problem("not-mininets", what, f"nodes.{node.name}.backend", node.place)
