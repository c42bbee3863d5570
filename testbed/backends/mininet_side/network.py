"""A lab of ours as a Mininet network: its nodes are Mininet's, its links are only told of.

The engine lays the links, configures the interfaces and switches frames.  Mininet knows of them
what its prompt and its API ask for: names, who is joined to whom, addresses.
"""

from __future__ import annotations

import os
from typing import Any

from mininet.link import Intf, Link
from mininet.net import Mininet
from mininet.node import Host, Switch

from testbed.kernel import libc


def _with_own_name(name: str) -> None:
    """In a child about to become a program: the host name that programs of that node see."""
    libc.unshare(libc.CLONE_NEWUTS)
    libc.set_host_name(name)


class EngineNode:
    """What our hosts and switches have in common; comes before Mininet's class."""

    name: str

    def _popen(self, cmd: list[str], **params: Any) -> Any:
        params.setdefault("preexec_fn", lambda: _with_own_name(self.name))
        return super()._popen(cmd, **params)  # type: ignore[misc]  # Mininet's class has it


class EngineHost(EngineNode, Host):
    """A host or router."""

    def defaultIntf(self) -> Any:  # noqa: N802  # Mininet's name
        """The first interface with an IPv4 address: what ``h1 ping h2`` means."""
        with_address = [intf for intf in self.intfList() if intf.ip]
        return with_address[0] if with_address else super().defaultIntf()


class EngineSwitch(EngineNode, Switch):
    """A switch whose frames the engine forwards."""

    controlIntf = None  # noqa: N815  # Mininet's name; Switch sets it only outside of namespaces

    def start(self, controllers: Any) -> None:
        """It runs already."""


class EngineIntf(Intf):
    """An interface that the engine makes and configures."""

    def config(self, ip: str | None = None, **_params: Any) -> dict[str, Any]:
        """Take note of the address only."""
        if ip is not None:
            self.ip, self.prefixLen = ip.split("/")
        return {}

    def delete(self) -> None:
        """It is not Mininet's to delete."""


class EngineLink(Link):
    """A cable that the engine lays."""

    def __init__(self, node1: Any, node2: Any, **options: Any) -> None:
        super().__init__(node1, node2, intf=EngineIntf, **options)

    @classmethod
    def makeIntfPair(cls, *_args: Any, **_options: Any) -> None:  # noqa: N802  # Mininet's name
        """The engine does that."""


def build(nodes: list[dict[str, Any]], links: list[dict[str, Any]]) -> Mininet:
    """The network.

    Args:
        nodes: ``name``, ``role`` and, for a LAN segment of the lab's own namespace, ``fabric``.
        links: ``mtu`` and two ``ends``: ``node``, ``interface``, ``mac``, ``ip`` (with length).
    """
    net = Mininet(topo=None, build=False, controller=None, host=EngineHost, switch=EngineSwitch)
    for number, node in enumerate(nodes, 1):
        if node["role"] == "switch":
            # From the number: Mininet derives it from digits of the name, which need not be there.
            net.addSwitch(node["name"], dpid=f"{number:x}", inNamespace=not node.get("fabric"))
        else:
            net.addHost(node["name"], ip=None)
    for link in links:
        left, right = link["ends"]
        made = EngineLink(
            net[left["node"]],
            net[right["node"]],
            intfName1=left["interface"],
            intfName2=right["interface"],
            addr1=left["mac"],
            addr2=right["mac"],
            params1={"ip": left["ip"]},
            params2={"ip": right["ip"]},
        )
        net.links.append(made)
    net.built = True
    return net


def pids(net: Mininet) -> dict[str, int]:
    """The process that keeps each node alive."""
    return {node.name: node.pid for node in (*net.hosts, *net.switches) if node.inNamespace}


def is_alive(pid: int) -> bool:
    """Does that process still run?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
