"""What a test asks for: by its markers, and by the topology it stands beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.model.builder import relative
from testbed.model.discover import find_topology
from testbed.model.topology import NETNS
from testbed.scenarios.choice import parse_backends
from testbed.scenarios.needs import Need, check_needs, needs_of_topology

REFUSED: pytest.StashKey[str] = pytest.StashKey()
"""Why a test runs nowhere, where that was found out before."""

_OUR_TOPOLOGY = "testbed.pytest_plugin"


def needs_of(item: pytest.Item) -> tuple[Need, ...]:
    """Everything that is certain to be needed, each name once.

    That are the names of the ``needs`` markers, and what follows from the topology of the folder
    if the test asks for it: not where a file has a ``topology`` fixture of its own.
    """
    found: dict[str, Need] = {}
    for need in (*_marked(item), *_of_topology(item), *_of_backend(item)):
        found.setdefault(need.name, need)
    return tuple(found.values())


def check_items(items: Iterable[pytest.Item]) -> None:
    """See that all needs can be understood.

    Raises:
        TestbedError: one cannot (see :func:`check_needs`).
    """
    for item in items:
        check_needs(needs_of(item))


def _marked(item: pytest.Item) -> Iterator[Need]:
    path, line, _ = item.reportinfo()
    place = relative(str(path)) + (f":{line + 1}" if line is not None else "")
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            yield Need(str(name), f"{place} ({item.name})")


def _of_topology(item: pytest.Item) -> Iterable[Need]:
    names = set(getattr(item, "fixturenames", ()))
    if not names & {"lab", "topology"} or not _is_our_topology(item):
        return ()
    return _planned(Path(item.path).parent)


def backend_of(item: pytest.Item) -> str:
    """What makes the nodes of this test's lab, if it has one."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if "backend" not in getattr(item, "fixturenames", ()):
        return NETNS
    asked = parse_backends(item.config.getoption("--testbed-backend"))
    return str(parameters.get("backend") or asked[0])


def _of_backend(item: pytest.Item) -> Iterator[Need]:
    name = backend_of(item)
    if name != NETNS:
        yield Need(name, f"--backend {name}")


def _is_our_topology(item: pytest.Item) -> bool:
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    chosen = known.get("topology") or [None]
    return getattr(getattr(chosen[-1], "func", None), "__module__", "") == _OUR_TOPOLOGY


@cache
def _planned(folder: Path) -> tuple[Need, ...]:
    try:
        return tuple(needs_of_topology(find_topology(f"{folder}/")))
    except TestbedError:
        return ()  # it is told where the topology is used
