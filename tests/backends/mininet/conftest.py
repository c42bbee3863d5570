"""Mininet for these tests, and files such as people write for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.backends.mininet_process import why_no_mininet
from testbed.lab import Lab
from testbed.model import Topology
from tests.cli.conftest import Terminal, command
from tests.lab.conftest import unique

FILES = Path(__file__).with_name("files")


@pytest.fixture(scope="session")
def mininet() -> None:
    """The test is skipped, with the reason, where there is no Mininet."""
    why = why_no_mininet()
    if why is not None:
        pytest.skip(why)


@pytest.fixture
def up(tmp_path: Path, mininet: None) -> Iterator[Callable[..., Lab]]:
    """Bring topologies up on Mininet for this test; all come down at its end."""
    labs: list[Lab] = []

    def bring_up(topology: Topology) -> Lab:
        name = unique(topology.name)
        folder = tmp_path / name
        labs.append(Lab.up(topology, name=name, run_folder=folder, backend="mininet"))
        return labs[-1]

    yield bring_up
    for lab in reversed(labs):
        lab.down()


def say(lab: Lab, *lines: str) -> str:
    """What Mininet's prompt prints for these lines."""
    return lab.run("@mininet", lines, check=True).stdout


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Run the command on a terminal of its own."""
    opened: list[Terminal] = []

    def begin(*arguments: object, **environment: str) -> Terminal:
        opened.append(Terminal(command(*arguments), environment))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()
