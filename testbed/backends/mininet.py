"""Nodes as Mininet nodes: Mininet makes them, and its ``mininet>`` prompt works on the lab."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from testbed.backends.mininet_adoption import Adopted, adopt
from testbed.backends.mininet_process import Side
from testbed.backends.mininet_words import network_in_words
from testbed.backends.netns import NetnsPlace
from testbed.backends.place import Command, Process
from testbed.backends.surroundings import Surroundings
from testbed.errors import LabError
from testbed.kernel import libc, mounts, namespaces
from testbed.model.topology import MininetSource
from testbed.plan.operations import MakeNode

_SELF_MOUNT = "/proc/self/ns/mnt"


class MininetPlace(NetnsPlace):
    """A Mininet node: the network and mount namespaces that its shell lives in."""

    def __init__(self, node: str, pid: int, given: Surroundings) -> None:
        try:
            network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            view = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise LabError(
                f"Mininet's shell of the node has ended ({error.strerror})",
                where=node,
                hint="its own words are in logs/mininet.log of the run folder",
            ) from error
        super().__init__(
            node,
            network,
            home=given.home,
            run_folder=given.run_folder,
            children=given.children,
        )
        self._view = view

    def lay(self, files: Mapping[str, str], private: Collection[str]) -> str | None:
        """Lay the node's file view where its shell is, which sees the files, too."""
        assert self._view is not None
        with namespaces.inside_network(self.network, self._home), _inside_mounts(self._view):
            # What Mininet's own process writes on is not for the node; and layers of memory over
            # layers of memory are limited.
            for folder in mounts.WRITABLE:
                with suppress(OSError):
                    libc.unmount(folder)
            return mounts.node_view(self._node, self._run_folder, files, private=private)


class BuiltPlace(MininetPlace):
    """A node of somebody's own topology: its files are as Mininet and its class have them."""

    def lay(self, files: Mapping[str, str], private: Collection[str]) -> str | None:
        """Nothing: Mininet's nodes share one view, which the class may have written in."""
        del files, private
        return None


@contextmanager
def _inside_mounts(descriptor: int) -> Iterator[None]:
    """Be in a mount namespace for a while."""
    back = os.open(_SELF_MOUNT, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc.setns(descriptor, libc.CLONE_NEWNS)
        try:
            yield
        finally:
            libc.setns(back, libc.CLONE_NEWNS)
            os.chdir("/")  # a mount namespace resets the working folder; the lab's is the root
    finally:
        os.close(back)


class MininetBackend:
    """Nodes that a ``mininet.net.Mininet`` makes, in a process of its own in the lab."""

    def __init__(self, given: Surroundings) -> None:
        self._given = given
        self._side = Side(given)
        self.adopted: Adopted | None = None
        """What Mininet built from somebody's own class, if it did."""
        self.places: Mapping[str, MininetPlace] = {}

    async def make(self, orders: Sequence[MakeNode]) -> Mapping[str, MininetPlace]:
        """Have Mininet make them; the engine then lays links between them, and Mininet is told."""
        await self._side.start()
        if self._given.plan.mininet is not None:
            return await self._build(self._given.plan.mininet, orders)
        words = network_in_words(self._given.plan, [order.node for order in orders])
        answer = await self._side.ask({"do": "make", **words})
        return {
            order.node: MininetPlace(order.node, int(answer["pids"][order.node]), self._given)
            for order in orders
        }

    async def _build(
        self, source: MininetSource, orders: Sequence[MakeNode]
    ) -> Mapping[str, MininetPlace]:
        """Have Mininet build somebody's own topology; all of its nodes are places."""
        plan = self._given.plan
        words = await self._side.ask(
            {
                "do": "build",
                "file": source.file,
                "topo": source.topo,
                "options": list(source.options),
                "seed": plan.seed,
            }
        )
        own = os.stat(self._given.home).st_ino  # noqa: PTH116  # a descriptor
        places: dict[str, MininetPlace] = {}
        for node in words["nodes"]:
            place = BuiltPlace(node["name"], int(node["pid"]), self._given)
            node["own"] = os.stat(place.network).st_ino != own  # noqa: PTH116
            places[node["name"]] = place
        missing = [order.node for order in orders if order.node not in places]
        if missing:
            raise LabError(
                f"Mininet built other nodes than before: there is no {missing[0]!r}",
                where=source.file,
                hint="its class must build the same network each time",
            )
        self.adopted = adopt(words, source, plan.topology, places, self._given.home)
        self.places = places
        return {order.node: places[order.node] for order in orders}

    async def open_prompt(self, command: Command) -> Process:
        """Open the ``mininet>`` prompt on the command's descriptors; its arguments are lines.

        Raises:
            LabError: somebody else has it.
        """
        return await self._side.open_prompt(command)

    async def end(self) -> None:
        """End Mininet's process, and with it the shells of its nodes."""
        await self._side.end()
