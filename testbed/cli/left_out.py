"""A topology for a command, and plain words about what another program's file says besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from testbed.cli.output import count, tell
from testbed.errors import Problem

if TYPE_CHECKING:
    from testbed.model.topology import Topology

_SHOWN_PLACES = 3


def topology_of(name_or_path: str, backend: str | None = None) -> Topology:
    """The topology of that name or file; what could not be carried over is said on stderr.

    ``backend`` is what will make its nodes, if they are to be made: only some use images.

    Raises:
        TestbedError: there is none, or it cannot be read, or it is not valid.
    """
    from testbed.model.discover import find_topology

    left: list[Problem] = []
    topology = find_topology(name_or_path, notice=left.append)
    if backend in (None, "docker"):
        left = [item for item in left if item.code != "clab-image"]
    say_left_out(left, f"of {name_or_path} ")
    return topology


def say_left_out(left: Sequence[Problem], whose: str = "") -> None:
    """Each thing that was left out, once, with its places and what to do."""
    if not left:
        return
    tell(f"NOT CARRIED OVER {whose}({count(len(left), 'thing')}):")
    places: dict[tuple[str, str | None], list[str]] = {}
    for item in left:
        place = f"{item.place} ({item.path})" if item.place is not None else item.path
        places.setdefault((item.what, item.hint), []).append(place)
    for (what, hint), where in places.items():
        more = len(where) - _SHOWN_PLACES
        tell(f"  {what}")
        for place in where[:_SHOWN_PLACES] if more > 1 else where:
            tell(f"    at {place}")
        if more > 1:
            tell(f"    and at {more} more places")
        if hint:
            tell(f"    {hint}")
