"""Small labs for the engine's own tests, and a look at what the host has before and after."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.lab import Lab
from testbed.model import Builder, Topology

_numbers = itertools.count(1)


def unique(name: str) -> str:
    """A lab name that no other test process uses."""
    return f"{name}-{os.getpid()}-{next(_numbers)}"


def two_hosts(name: str = "pair") -> Topology:
    """Two hosts on a cable."""
    lab = Builder(name)
    lab.host("alice")
    lab.host("bob")
    lab.link(
        "cable",
        "alice:eth0 192.0.2.1/24 2001:db8::1/64",
        "bob:eth0 192.0.2.2/24 2001:db8::2/64",
    )
    return lab.build()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[[Topology], Lab]]:
    """Bring topologies up for this test; all come down at its end."""
    labs: list[Lab] = []

    def bring_up(topology: Topology) -> Lab:
        name = unique(topology.name)
        labs.append(Lab.up(topology, name=name, run_folder=tmp_path / name))
        return labs[-1]

    yield bring_up
    for lab in reversed(labs):
        lab.down()


def exists(pid: int) -> bool:
    """Is there such a process (a zombie that init has yet to reap does not count)?"""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "State:\tZ" not in status
