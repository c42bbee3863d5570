"""A router that loses its power: daemons killed, every cable dead, and back again."""

from __future__ import annotations

from testbed.lab import Lab
from testbed.peers.frr.service import WATCH


def power_off(lab: Lab, node: str) -> None:
    """Kill the router's daemons and switch all its ports off, the ports first."""
    for port in _ports(lab, node):
        lab.cut(port)
    for service in reversed(_daemons(lab, node)):
        lab.fault("kill-service", f"{node}/{service}")


def power_on(lab: Lab, node: str) -> None:
    """Switch the ports on and start the daemons; what the kernel had of their routes is gone."""
    lab.run(node, ["sh", "-c", _FORGET], check=True)
    for port in _ports(lab, node):
        lab.restore(port)
    for service in _daemons(lab, node):
        lab.service(f"{node}/{service}", "start")


_FORGET = "for by in bgp ospf; do ip -4 route flush proto $by; ip -6 route flush proto $by; done"


def _ports(lab: Lab, node: str) -> list[str]:
    return [end.label for _, end in lab.topology.interfaces_of(node)]


def _daemons(lab: Lab, node: str) -> list[str]:
    """Without the watcher, which goes on telling."""
    services = lab.topology.node(node).services
    return [service.name for service in services if service.name != WATCH]
