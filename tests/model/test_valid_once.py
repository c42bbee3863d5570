"""A topology that was found valid is not checked again; any other is, every time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.model import Builder, Topology
from testbed.model import validate as validation
from testbed.model.checks.index import Index


def _pair() -> Topology:
    lab = Builder("pair")
    lab.host("a")
    lab.host("b")
    lab.link("cable", "a:eth0 192.0.2.1/24", "b:eth0 192.0.2.2/24")
    return lab.build()


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[Topology]:
    """The topologies that were checked as a whole, one entry for each time."""
    seen: list[Topology] = []

    def index(topology: Topology) -> Index:
        seen.append(topology)
        return Index(topology)

    monkeypatch.setattr(validation, "Index", index)
    return seen


def test_what_the_builder_built_is_checked_once(looked_at: list[Topology]) -> None:
    topology = _pair()
    assert validation.validate(topology) == ()
    assert validation.validate(topology) == ()
    assert len(looked_at) == 1


def test_an_equal_topology_that_is_another_object_is_checked(looked_at: list[Topology]) -> None:
    topology = _pair()
    other = replace(topology)
    assert other == topology
    assert validation.validate(other) == ()
    assert len(looked_at) == 2
    assert looked_at[1] is other


def test_an_invalid_topology_is_invalid_every_time(looked_at: list[Topology]) -> None:
    topology = _pair()
    broken = replace(topology, links=(*topology.links, topology.links[0]))
    first = validation.validate(broken)
    assert first
    assert validation.validate(broken) == first
    assert looked_at[-2:] == [broken, broken]
