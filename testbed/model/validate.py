"""All checks of a topology, each reporting every problem it finds.

Three tiers, because a broken part would make nonsense of what follows from it: first that every
field holds its type (only Python authors can get that wrong), then each part by itself, then how
the parts fit together.  A file or builder that could not read some part runs the first two only,
and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from weakref import WeakValueDictionary

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
    nodes.check_any,
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
# A topology never changes, so one that was found valid stays so.  Builder, finder and lab each make
# sure of it, and only the first of them pays for it.
_valid: WeakValueDictionary[int, Topology] = WeakValueDictionary()

_PARTIAL = "these stand in the way of checking how the parts fit together; that comes next"


def validate(topology: Topology) -> tuple[Problem, ...]:
    """Every problem of the topology, in the order of the author's file; empty when it is valid."""
    if _valid.get(id(topology)) is topology:
        return ()
    wrong_types = tuple(types.check_types(topology))
    if wrong_types:
        return in_order(wrong_types)
    problems = in_order((*_parts(topology), *check_whole(topology)))
    if not problems:
        _valid[id(topology)] = topology
    return problems


def check_parts(topology: Topology) -> tuple[Problem, ...]:
    """Problems of single parts; also right when other parts are missing."""
    wrong_types = tuple(types.check_types(topology))
    return wrong_types or _parts(topology)


def _parts(topology: Topology) -> tuple[Problem, ...]:
    return tuple(problem for check in _PARTS for problem in check(topology))


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


def require_valid(topology: Topology, places: Mapping[str, Place], *more: Problem) -> Topology:
    """The topology itself; ``more`` are problems its source knows of besides.

    ``places`` by path are more exact than those of the model's objects.

    Raises:
        TopologyError: it is not valid.
    """
    problems = (*more, *_placed(validate(topology), places))
    if problems:
        raise TopologyError(topology.name, in_order(problems))
    return topology


def misread(
    name: str, problems: Iterable[Problem], topology: Topology, places: Mapping[str, Place]
) -> TopologyError:
    """The error for a source of which parts could not be read: those, and what is wrong elsewhere.

    A part that could not be read says nothing more: its own problem is enough.
    """
    unread = tuple(problems)
    known = {problem.path for problem in unread}
    others = (problem for problem in check_parts(topology) if problem.path not in known)
    error = TopologyError(name, in_order((*unread, *_placed(others, places))))
    error.hint = _PARTIAL
    return error


def _placed(problems: Iterable[Problem], places: Mapping[str, Place]) -> tuple[Problem, ...]:
    return tuple(
        replace(problem, place=places.get(problem.path, problem.place)) for problem in problems
    )
