"""The seam between the engine and what a node is made of.

A backend makes the nodes of a lab that are its own, all at once, and ends them.  Of each node the
engine wants no more than its network namespace and a way to run a program in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from testbed.plan.operations import MakeNode

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: arguments, environment, working folder, and descriptors 0, 1, 2 and so on.

    It leads a session of its own; with ``terminal`` descriptor 0 is its controlling terminal.
    A folder that the node does not have is replaced by the root.
    """

    arguments: tuple[str, ...]
    environment: dict[str, str]
    folder: str
    descriptors: tuple[int, ...]
    terminal: bool = False


class Process(Protocol):
    """A program that runs in a node."""

    @property
    def pid(self) -> int:
        """Its number, as its node counts."""
        ...

    @property
    def ended(self) -> asyncio.Future[int]:
        """Its exit code, once it has ended; negative: the signal that ended it."""
        ...

    def signal(self, number: int) -> None:
        """Signal it alone; nothing happens if it has ended."""
        ...

    def signal_group(self, number: int) -> None:
        """Signal it and what it started in its group, which may have outlived it."""
        ...


class NodePlace(Protocol):
    """What a node is made of."""

    @property
    def network(self) -> int:
        """A descriptor of its network namespace, held by the place."""
        ...

    @property
    def python(self) -> str:
        """The interpreter that runs our components there; the ``{python}`` of services.

        Raises:
            LabError: there is none.
        """
        ...

    @property
    def package_parent(self) -> str:
        """The folder there that holds our package, for ``PYTHONPATH``."""
        ...

    @property
    def health_check(self) -> tuple[str, ...]:
        """The command by which the node's image says whether all is well; empty: there is none."""
        ...

    def lay(self, files: Mapping[str, str], private: Collection[str]) -> str | None:
        """Give the node its own files, before the first program runs there.

        Args:
            files: text by absolute path.
            private: the paths that only their owner may read.

        Returns:
            what could not be had of the node's own view of the file system; None: nothing.

        Raises:
            KernelError: a file cannot be laid.
        """
        ...

    @property
    def trouble(self) -> str | None:
        """What is wrong with it now, if anything: a container that has ended or does not answer."""
        ...

    async def spawn(self, command: Command) -> Process:
        """Start a program in the node.

        Raises:
            ServiceError: it cannot be executed, with the reason.
        """
        ...


class Backend(Protocol):
    """Makes nodes of one kind for one lab."""

    async def make(self, orders: Sequence[MakeNode]) -> Mapping[str, NodePlace]:
        """Make these nodes, by name; called once.  Their settings are the engine's to write.

        Raises:
            LabError: they cannot be made; what was made is ended again.
        """
        ...

    async def end(self) -> None:
        """End the nodes and all that runs in them; returns when nothing is left."""
        ...


Console = Callable[[Command], Awaitable[Process]]
"""A backend's own prompt, opened on a command's descriptors; its arguments are lines for it."""

MININET_CONSOLE = "@mininet"
"""What a command names instead of a node to get Mininet's prompt."""
