"""The nodes of a lab that is up, whatever their backends made them of."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from testbed.backends.place import Command, NodePlace, Process
from testbed.errors import LabError
from testbed.kernel import namespaces
from testbed.kernel.rtnl import RouteSocket
from testbed.plan.operations import FABRIC


def _usual_files(node: str) -> dict[str, str]:
    """What every node has unless its topology says otherwise.

    The host's resolver is out of reach, so asking it would only cost time: a node without one of
    its own is refused at once.
    """
    return {
        "/etc/hosts": f"127.0.0.1 localhost {node}\n::1 localhost {node}\n",
        "/etc/resolv.conf": "nameserver 127.0.0.1\n",
    }


@dataclass(slots=True)
class LabNode:
    """A node: what its backend made of it, and its own files, laid when a program needs them."""

    name: str
    role: str
    backend: str
    place: NodePlace
    files: dict[str, str] = field(default_factory=dict)
    is_laid: bool = False
    trouble: str | None = None


class Nodes:
    """All nodes, and moving in and out of them.  The process must be single-threaded."""

    def __init__(self, home: int, secrets: tuple[str, ...] = ()) -> None:
        self.home = home
        self._secrets = secrets
        self._nodes: dict[str, LabNode] = {}

    def add(self, node: LabNode) -> None:
        """Take a node in."""
        self._nodes[node.name] = node

    def __iter__(self) -> Iterator[LabNode]:
        return iter(self._nodes.values())

    def __getitem__(self, name: str) -> LabNode:
        node = self._nodes.get(name)
        if node is None:
            known = ", ".join(self._nodes)
            raise LabError(f"no node named {name!r}", hint=f"this lab's nodes: {known}")
        return node

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Be in the node's network namespace for a while."""
        with namespaces.inside_network(self[name].place.network, self.home):
            yield

    async def spawn(self, name: str, command: Command) -> Process:
        """Start a program in a node.

        Raises:
            ServiceError: it cannot be executed.
            KernelError: one of the node's own files cannot be laid.
        """
        self.lay(name)
        return await self[name].place.spawn(command)

    def lay(self, name: str) -> None:
        """Give a node its own files, if it has not got them yet.

        Raises:
            KernelError: one of them cannot be laid.
        """
        node = self[name]
        if not node.is_laid:
            files = {**_usual_files(name), **node.files}
            node.trouble = node.place.lay(files, self._private(files))
            node.is_laid = True

    def _private(self, files: Mapping[str, str]) -> frozenset[str]:
        """The files that hold a secret of the lab: only their owner may read them."""
        return frozenset(
            path
            for path, content in files.items()
            if any(secret in content for secret in self._secrets)
        )

    def open_socket(self, name: str, family: int, kind: int, protocol: int) -> socket.socket:
        """A socket that lives in the node's network namespace, whoever holds it."""
        with self.inside(name):
            return socket.socket(family, kind, protocol)

    def network(self, name: str) -> int:
        """The network namespace of a node, or of the fabric."""
        return self.home if name == FABRIC else self[name].place.network

    def route_socket(self, name: str) -> RouteSocket:
        """An rtnetlink socket of a node or of the fabric."""
        with namespaces.inside_network(self.network(name), self.home):
            return RouteSocket(name)
