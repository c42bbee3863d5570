"""A lab on each backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.backends.registry import trouble
from testbed.lab import Lab
from testbed.model import Topology
from testbed.model.topology import BACKENDS
from tests.lab.conftest import unique


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend in turn; the test is skipped, with the reason, where one cannot be had."""
    name = str(request.param)
    why = trouble(name)
    if why is not None:
        pytest.skip(f"{name}: {why}")
    return name


@pytest.fixture
def up(tmp_path: Path, backend: str) -> Iterator[Callable[[Topology], Lab]]:
    """Bring topologies up on the backend for this test; all come down at its end."""
    labs: list[Lab] = []

    def bring_up(topology: Topology) -> Lab:
        name = unique(topology.name)
        labs.append(Lab.up(topology, name=name, run_folder=tmp_path / name, backend=backend))
        return labs[-1]

    yield bring_up
    for lab in reversed(labs):
        lab.down()
