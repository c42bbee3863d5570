"""Nodes as containers: not there yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.backends.place import NodePlace
from testbed.errors import LabError
from testbed.kernel.channel import Channel
from testbed.plan.operations import MakeNode, Plan

if TYPE_CHECKING:
    from testbed.backends.registry import Surroundings


def why_no_docker() -> str | None:
    """Why this machine has no Docker engine for us; None if it has."""
    return "the backend docker is not there yet"


def start_keeper(lab: str, plan: Plan, run_folder: Path) -> Channel:
    """Raises LabError."""
    del plan, run_folder
    raise LabError("the backend docker is not there yet", where=lab)


class DockerBackend:
    """Raises LabError when asked."""

    def __init__(self, given: Surroundings) -> None:
        del given

    async def make(self, orders: Sequence[MakeNode]) -> Mapping[str, NodePlace]:
        """Raises LabError."""
        del orders
        raise LabError("the backend docker is not there yet")

    async def end(self) -> None:
        """Nothing to end."""
