"""What scenarios need, by name, and whether the kernel that runs here has it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from testbed.backends.registry import trouble
from testbed.doctor.clocks import PURPOSES, THROUGHPUT, VIRTUAL_TIME
from testbed.doctor.programs import PREFIX, PROGRAMS
from testbed.errors import TestbedError
from testbed.kernel.clocksource import time_is_virtual
from testbed.kernel.namespaces import find_program
from testbed.kernel.probe import FEATURES, FeatureState, probe
from testbed.model.checks.suggest import nearest
from testbed.model.topology import BACKENDS, NETNS, Topology
from testbed.plan.planner import make_plan

ROOT = "root"

FEATURE_NAMES = frozenset(feature.name for feature in FEATURES)
PROGRAM_NAMES = frozenset(program.name for program in PROGRAMS)
BACKEND_NAMES = frozenset(BACKENDS) - {NETNS}
KNOWN = FEATURE_NAMES | PROGRAM_NAMES | PURPOSES.keys() | BACKEND_NAMES | {ROOT}

MEANINGLESS = "computing takes no virtual time, so throughput measured in it would mean nothing"


@dataclass(frozen=True, slots=True)
class Need:
    """A name, and who asks for it."""

    name: str
    place: str


def is_program(name: str) -> bool:
    """Is it a program?  Those are the same under every kernel of this machine."""
    return name in PROGRAM_NAMES or name.startswith(PREFIX)


def needs_of_topology(topology: Topology) -> Iterator[Need]:
    """What follows from the topology itself: its links, firewalls, services.

    Of a service's command only programs that the doctor knows count: another may lie in the node's
    own files.
    """
    for name, place in make_plan(topology).needs:
        yield Need(name, place)
    for node in topology.nodes:
        if node.backend in BACKEND_NAMES:
            yield Need(node.backend, f"node {node.name}")
        for service in node.services:
            program = service.command[0] if service.command else ""
            if program in PROGRAM_NAMES:
                yield Need(program, f"service {node.name}/{service.name}")


def check_needs(needs: Iterable[Need]) -> None:
    """See that the names are known and do not contradict each other.

    Raises:
        TestbedError: one is not known, with the nearest that are; or two cannot both be had.
    """
    names = set()
    for need in needs:
        names.add(need.name)
        if need.name in KNOWN or (need.name.startswith(PREFIX) and need.name != PREFIX):
            continue
        near = " or ".join(f'"{name}"' for name in nearest(need.name, sorted(KNOWN)))
        meant = f"did you mean {near}?  " if near else ""
        raise TestbedError(
            f"nobody knows the need {need.name!r}",
            where=need.place,
            hint=f'{meant}testbed doctor lists them; any other program is "{PREFIX}NAME"',
        )
    if {VIRTUAL_TIME, THROUGHPUT} <= names:
        place = next((need.place for need in needs if need.name == THROUGHPUT), None)
        raise TestbedError(
            f"{THROUGHPUT} and {VIRTUAL_TIME} contradict each other: {MEANINGLESS}", where=place
        )


@cache
def _features() -> dict[str, FeatureState]:
    return probe()


@cache
def _backend_trouble(name: str) -> str | None:
    return trouble(name)


def missing(name: str) -> str | None:
    """Why this kernel, for this user, does not have what is needed; None if it does."""
    if name in BACKEND_NAMES:
        return _backend_trouble(name)
    if name in FEATURE_NAMES:  # trying out the kernel takes time: not for the sake of a program
        state = _features()[name]
        return None if state.present else f"this machine has no {name}: {state.detail}"
    if name == VIRTUAL_TIME:
        return None if time_is_virtual() else "this machine's own clock is real: no virtual time"
    if name == THROUGHPUT:
        return MEANINGLESS if time_is_virtual() else None
    if name == ROOT:
        return None if os.geteuid() == 0 else "run as an ordinary user: no root"
    if find_program(name.removeprefix(PREFIX)) is None:
        program = name.removeprefix(PREFIX)
        return f"the program {program!r} is not installed (see testbed doctor)"
    return None


def first_missing(names: Iterable[str]) -> str | None:
    """Why a scenario with these needs cannot run under this kernel, or None if it can."""
    return next((reason for name in names if (reason := missing(name)) is not None), None)
