"""The default backend: a node is a network namespace and a view of the host's files."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import testbed
from testbed.backends.children import Children
from testbed.backends.place import Command
from testbed.backends.spawning import spawn
from testbed.kernel import mounts, namespaces
from testbed.plan.operations import MakeNode

PACKAGE_PARENT = str(Path(testbed.__file__).parent.parent)


class LocalProcess:
    """A child of the lab's first process."""

    def __init__(self, pid: int, ended: asyncio.Future[int]) -> None:
        self.pid, self.ended = pid, ended

    def signal(self, number: int) -> None:
        """Signal it alone."""
        if not self.ended.done():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        """Signal the whole group that it leads."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class NetnsPlace:
    """A node: its network namespace, and its file view once its files were laid."""

    def __init__(
        self, node: str, network: int, *, home: int, run_folder: Path, children: Children
    ) -> None:
        self._node, self.network = node, network
        self._home, self._run_folder, self._children = home, run_folder, children
        self._view: int | None = None
        self.python = sys.executable
        self.package_parent = PACKAGE_PARENT  # our own components run from wherever we do
        self.health_check: tuple[str, ...] = ()
        self.trouble: str | None = None

    def lay(self, files: Mapping[str, str], private: Collection[str]) -> str | None:
        """Make the node's file view (a mount namespace) with these files in it."""
        with (
            namespaces.inside_network(self.network, self._home),
            namespaces.new_mount_namespace() as descriptor,
        ):
            trouble = mounts.node_view(self._node, self._run_folder, files, private=private)
        # A mount namespace resets the working folder; the lab's own is the root.
        os.chdir("/")
        self._view = descriptor
        return trouble

    async def spawn(self, command: Command) -> LocalProcess:
        """Start a program in the node's namespaces."""
        assert self._view is not None, "its files are laid before the first program"
        pid = spawn(self._node, self.network, self._view, command)
        return LocalProcess(pid, self._children.watch(pid))


class NetnsBackend:
    """Nodes out of namespaces."""

    def __init__(self, home: int, run_folder: Path, children: Children) -> None:
        self._home, self._run_folder, self._children = home, run_folder, children

    async def make(self, orders: Sequence[MakeNode]) -> Mapping[str, NetnsPlace]:
        """A new network namespace for each."""
        places = {}
        try:
            for order in orders:
                places[order.node] = NetnsPlace(
                    order.node,
                    namespaces.new_network(),
                    home=self._home,
                    run_folder=self._run_folder,
                    children=self._children,
                )
        finally:
            namespaces.enter_network(self._home)
        return places

    async def end(self) -> None:
        """Nothing to do: with the lab's first process go its descriptors and the namespaces."""
