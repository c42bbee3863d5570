"""The plan: golden files of the shipped topologies, and properties that hold for every topology.

To accept a changed plan: ``TESTBED_UPDATE_GOLDEN=1 make test``, then read the difference.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from testbed.model import Builder, Impairment, Topology
from testbed.model.discover import find_topology
from testbed.model.switching import OVS_SERVICE, is_open_vswitch
from testbed.plan import make_plan
from testbed.plan.operations import (
    FABRIC,
    AddAddress,
    AddRoute,
    MakeBridge,
    MakeCable,
    MakeNode,
    SetUp,
    StartService,
)
from tests.model.strategies import topologies

_GOLDEN = Path(__file__).parent / "golden"
_SHIPPED = sorted(
    path.parent.name for path in (Path(__file__).parents[2] / "topologies").glob("*/topology.py")
)


@pytest.mark.parametrize("name", _SHIPPED)
def test_the_plan_of_a_shipped_topology_is_the_golden_one(name: str) -> None:
    text = make_plan(find_topology(name)).text()
    golden = _GOLDEN / f"{name}.txt"
    if os.environ.get("TESTBED_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@given(topologies())
@settings(max_examples=60, deadline=None)
def test_a_plan_is_a_function_of_the_topology(topology: Topology) -> None:
    assert make_plan(topology) == make_plan(topology)


@given(topologies())
@settings(max_examples=60, deadline=None)
def test_everything_is_made_once_and_before_it_is_used(topology: Topology) -> None:
    """Nodes before cables, interfaces before their addresses, up before routes."""
    nodes, interfaces, up = {FABRIC}, set(), set()
    numbers: Counter[int] = Counter()
    for operation in make_plan(topology).operations:
        match operation:
            case MakeNode():
                assert operation.node not in nodes
                nodes.add(operation.node)
            case MakeBridge():
                interfaces.add((operation.node, operation.index))
                numbers[operation.index] += 1
            case MakeCable():
                for port in (operation.left, operation.right):
                    assert port.node in nodes
                    assert port.bridge is None or (port.node, port.bridge) in interfaces
                    interfaces.add((port.node, port.index))
                    numbers[port.index] += 1
            case AddAddress() | SetUp():
                assert operation.index == 1 or (operation.node, operation.index) in interfaces
                if isinstance(operation, SetUp):
                    up.add((operation.node, operation.index))
            case AddRoute():
                ends = [end for _, end in topology.interfaces_of(operation.node)]
                assert len([one for one in up if one[0] == operation.node]) >= len(ends)
    assert all(count == 1 for count in numbers.values()), "interface numbers are unique"
    assert len(nodes) == len(topology.nodes) + 1


@given(topologies())
@settings(max_examples=60, deadline=None)
def test_every_address_interface_and_route_of_the_model_is_in_the_plan(topology: Topology) -> None:
    operations = make_plan(topology).operations
    planned = Counter((op.node, str(op.address)) for op in operations if isinstance(op, AddAddress))
    modelled = Counter(
        (end.node, str(address))
        for link in topology.links
        for end in link.ends
        for address in end.addresses
    )
    assert planned == modelled
    routes = Counter((op.node, str(op.to)) for op in operations if isinstance(op, AddRoute))
    assert routes == Counter((n.name, str(r.to)) for n in topology.nodes for r in n.routes)
    # A service of the author waits for the switches that are services themselves, and is as it was.
    switches = {f"{node.name}/{OVS_SERVICE}" for node in topology.nodes if is_open_vswitch(node)}
    started = [op for op in operations if isinstance(op, StartService)]
    services = [
        replace(op.service, after=tuple(one for one in op.service.after if one not in switches))
        for op in started
        if f"{op.node}/{op.service.name}" not in switches
    ]
    assert Counter(services) == Counter(s for node in topology.nodes for s in node.services)
    assert {f"{op.node}/{op.service.name}" for op in started} >= switches
    assert [f"{op.node}/{op.service.name}" in switches for op in started[: len(switches)]] == [
        True
    ] * len(switches)


def test_what_a_topology_needs_is_told_with_the_place() -> None:
    lab = Builder("needs")
    lab.host("a", firewall="table ip t {}")
    lab.host("b")
    lab.link("slow", "a:x 192.0.2.1/24", "b:x 192.0.2.2/24", impairment=Impairment(delay=0.01))
    lab.link(
        "thin", "a:y 198.51.100.1/24", "b:y 198.51.100.2/24", impairment=Impairment(rate=10**6)
    )
    needs = dict(make_plan(lab.build()).needs)
    assert needs == {
        "veth": "link slow",
        "netem": "a:x on link slow",
        "tbf": "a:y on link thin",
        "nf_tables": "node a",
    }
