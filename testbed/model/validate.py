"""All checks of a topology, each reporting every problem it finds.

First, that every field holds its type (only Python authors can get that wrong); then each part by
itself, and how the parts fit together.  When some part could not be read, all checks run on the
rest, and leave out what the missing part may decide (:mod:`testbed.model.checks.gaps`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from weakref import WeakValueDictionary

from testbed.errors import Place, Problem, TopologyError
from testbed.model.checks import (
    addresses,
    faults,
    groups,
    impairments,
    links,
    mininet,
    names,
    nodes,
    routes,
    services,
    subnets,
    types,
)
from testbed.model.checks.gaps import Gaps
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
# What Mininet builds is Mininet's to judge; names become host names all the same.
_BUILT_PARTS = (
    names.check_names,
    nodes.check_nodes,
    services.check_values,
    faults.check_values,
    mininet.check_contents,
)
_BUILT_WHOLE = (names.check_duplicates, services.check_order, faults.check_targets)
# A topology never changes, so one that was found valid stays so.  Builder, finder and lab each make
# sure of it, and only the first of them pays for it.
_valid: WeakValueDictionary[int, Topology] = WeakValueDictionary()

_PARTIAL = "what depends on the parts that could not be read was not judged"


def validate(topology: Topology) -> tuple[Problem, ...]:
    """Every problem of the topology, in the order of the author's file; empty when it is valid."""
    if _valid.get(id(topology)) is topology:
        return ()
    wrong_types = tuple(types.check_types(topology))
    if wrong_types:
        return in_order(wrong_types)
    problems = in_order(_problems(topology, Index(topology)))
    if not problems:
        _valid[id(topology)] = topology
    return problems


def _problems(topology: Topology, index: Index) -> Iterator[Problem]:
    is_built = topology.mininet is not None
    for check in _BUILT_PARTS if is_built else _PARTS:
        yield from check(topology)
    for check_whole in _BUILT_WHOLE if is_built else _WHOLE:
        yield from check_whole(index)


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
    name: str,
    problems: Iterable[Problem],
    topology: Topology,
    places: Mapping[str, Place],
    gaps: Gaps,
) -> TopologyError:
    """The error for a source of which parts could not be read: those, and all else that is wrong.

    ``topology`` is what could be read, ``gaps`` what it lacks; ``places`` are by the file's paths.
    """
    found = tuple(types.check_types(topology)) or _problems(topology, Index(topology, gaps))
    others = [
        replace(problem, path=gaps.in_file(problem.path))
        for problem in found
        if not gaps.excuse(problem)
    ]
    error = TopologyError(name, in_order((*problems, *_placed(others, places))))
    error.hint = _PARTIAL if gaps.doubt else None
    return error


def _placed(problems: Iterable[Problem], places: Mapping[str, Place]) -> tuple[Problem, ...]:
    return tuple(
        replace(problem, place=places.get(problem.path, problem.place)) for problem in problems
    )
