"""All checks of a topology, each reporting every problem it finds.

Three tiers, because a broken part would make nonsense of what follows from it: first that every
field holds its type (only Python authors can get that wrong), then each part by itself, then how
the parts fit together.  A file or builder that could not read some part runs the first two only,
and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from testbed.errors import Place, Problem, TopologyError
from testbed.model.checks import (
    addresses,
    faults,
    groups,
    impairments,
    links,
    names,
    nodes,
    routes,
    services,
    subnets,
    types,
)
from testbed.model.checks.index import Index
from testbed.model.topology import Topology

_PARTS = (
    names.check_names,
    nodes.check_nodes,
    addresses.check_values,
    links.check_values,
    routes.check_values,
    services.check_values,
    impairments.check_impairments,
    faults.check_values,
    groups.check_values,
)
_WHOLE = (
    names.check_duplicates,
    links.check_ends,
    links.check_segments,
    addresses.check_segments,
    subnets.check_overlaps,
    nodes.check_interface_settings,
    routes.check_next_hops,
    services.check_order,
    faults.check_targets,
    groups.check_members,
)
_PARTIAL = "these stand in the way of checking how the parts fit together; that comes next"


def validate(topology: Topology) -> tuple[Problem, ...]:
    """Every problem of the topology, in the order of the author's file; empty when it is valid."""
    wrong_types = tuple(types.check_types(topology))
    if wrong_types:
        return in_order(wrong_types)
    return in_order((*check_parts(topology), *check_whole(topology)))


def check_parts(topology: Topology) -> tuple[Problem, ...]:
    """Problems of single parts; also right when other parts are missing."""
    wrong_types = tuple(types.check_types(topology))
    return wrong_types or tuple(problem for check in _PARTS for problem in check(topology))


def check_whole(topology: Topology) -> tuple[Problem, ...]:
    """Problems between parts; only meaningful when all parts are there."""
    index = Index(topology)
    return tuple(problem for check in _WHOLE for problem in check(index))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sorted as the author reads: by line and column; those without a place last, as they came."""

    def position(problem: Problem) -> tuple[bool, str, int, int]:
        place = problem.place
        if place is None:
            return (True, "", 0, 0)
        return (False, place.file, place.line or 0, place.column or 0)

    return tuple(sorted(dict.fromkeys(problems), key=position))


def invalid(
    name: str,
    problems: Iterable[Problem],
    places: Mapping[str, Place] | None = None,
    *,
    partial: bool = False,
) -> TopologyError:
    """The error to raise; ``places`` (by path) are more exact than those of the model's objects.

    ``partial`` tells the reader that the checks between parts have not been run yet.
    """
    exact = places or {}
    placed = (
        replace(problem, place=exact.get(problem.path, problem.place)) if exact else problem
        for problem in problems
    )
    error = TopologyError(name, in_order(placed))
    if partial:
        error.hint = _PARTIAL
    return error
