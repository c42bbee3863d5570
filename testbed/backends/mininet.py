"""Nodes as Mininet nodes: not there yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from testbed.backends.place import NodePlace
from testbed.errors import LabError
from testbed.plan.operations import MakeNode

if TYPE_CHECKING:
    from testbed.backends.registry import Surroundings


class MininetBackend:
    """Raises LabError when asked."""

    def __init__(self, given: Surroundings) -> None:
        del given

    async def make(self, orders: Sequence[MakeNode]) -> Mapping[str, NodePlace]:
        """Raises LabError."""
        del orders
        raise LabError("the backend mininet is not there yet")

    async def end(self) -> None:
        """Nothing to end."""
