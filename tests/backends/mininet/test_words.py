"""A plan in words for Mininet, and Mininet's words as a topology: pure functions."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.backends.mininet_words import network_in_words
from testbed.errors import TopologyError
from testbed.model import Builder, Impairment, Topology
from testbed.model.codec import from_dict, to_dict
from testbed.model.mininet import Words, impairment_of, topology_of, with_contents_of
from testbed.model.service import Service
from testbed.model.topology import Interface, Link, MininetSource, Node, parse_address
from testbed.model.validate import require_valid
from testbed.plan import make_plan
from tests.model.strategies import topologies

SOURCE = MininetSource("/home/a/file.py", "Campus,3", ("--switch", "ovs"))


@given(topologies())
@settings(max_examples=40, deadline=None)
def test_mininet_hears_of_every_node_and_of_both_ends_of_every_link(topology: Topology) -> None:
    plan = make_plan(topology, "mininet")
    names = [node.name for node in topology.nodes]
    words = network_in_words(plan, names)
    told = [node["name"] for node in words["nodes"] if not node.get("fabric")]
    assert told == names
    ends = Counter(
        (end["node"], end["interface"])
        for link in words["links"]
        for end in link["ends"]
        if end["node"] in names
    )
    assert ends == Counter((end.node, end.name) for link in topology.links for end in link.ends)
    segments = [link for link in topology.links if len(link.ends) > 2]
    assert len(words["nodes"]) == len(names) + len(segments)
    assert len({node["name"] for node in words["nodes"]}) == len(words["nodes"])


def test_a_link_to_a_node_of_another_backend_is_not_mininets() -> None:
    lab = Builder("mixed")
    lab.host("ours", backend="mininet")
    lab.host("other")
    lab.host("third", backend="mininet")
    lab.link("across", "ours:eth0 192.0.2.1/24", "other:eth0 192.0.2.2/24")
    lab.link("lan", "ours:eth1 198.51.100.1/24", "other:eth1 198.51.100.2/24", "third:eth0")
    words = network_in_words(make_plan(lab.build()), ["ours", "third"])
    assert [node["name"] for node in words["nodes"]] == ["ours", "third", "lan"]
    assert [[end["node"] for end in link["ends"]] for link in words["links"]] == [
        ["ours", "lan"],
        ["third", "lan"],
    ]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, None),
        ({"bw": 10}, Impairment(rate=10_000_000)),
        ({"delay": "5ms", "jitter": "1ms"}, Impairment(delay=0.005, jitter=0.001)),
        ({"delay": "1s", "loss": 2.5}, Impairment(delay=1.0, loss=0.025)),
        ({"delay": "250"}, Impairment(delay=0.00025)),  # of tc(8): microseconds
        ({"delay": "30 usec", "max_queue_size": 7}, Impairment(delay=0.00003, queue=7)),
        ({"loss": 0}, None),
    ],
)
def test_parameters_of_tcintf(parameters: dict[str, object], expected: Impairment | None) -> None:
    assert impairment_of(parameters) == expected


def test_a_time_that_is_none() -> None:
    with pytest.raises(ValueError, match="'soon' is no time for tc"):
        impairment_of({"delay": "soon"})


def _end(node: str, interface: str, *addresses: str) -> dict[str, object]:
    return {"node": node, "interface": interface, "addresses": list(addresses)}


def test_words_become_a_topology() -> None:
    words = Words(
        nodes=[
            {"name": "h1", "role": "host", "class": "Host"},
            {"name": "r0", "role": "router", "class": "LinuxRouter"},
            {"name": "s1", "role": "switch", "class": "OVSSwitch"},
        ],
        links=[
            {"ends": [_end("h1", "h1-eth0", "10.0.0.1/8"), _end("s1", "s1-eth1")]},
            {"ends": [_end("h1", "h1-eth1"), _end("s1", "s1-eth2")], "mtu": 1400},
            {"ends": [{**_end("s1", "s1-eth3"), "tc": {"bw": 1}}, _end("r0", "vlan.7")]},
        ],
    )
    topology = topology_of(words, SOURCE, "campus")
    assert topology.nodes == (
        Node("h1", "host", backend="mininet", note="Host"),
        Node("r0", "router", backend="mininet", note="LinuxRouter"),
        Node("s1", "switch", backend="mininet", note="OVSSwitch"),
    )
    address = parse_address("10.0.0.1/8")
    assert topology.links == (
        Link("h1-s1", (Interface("h1", "h1-eth0", (address,)), Interface("s1", "s1-eth1"))),
        Link("h1-s1-2", (Interface("h1", "h1-eth1"), Interface("s1", "s1-eth2")), mtu=1400),
        Link(
            "s1-r0",
            (
                Interface("s1", "s1-eth3", impairment=Impairment(rate=10**6)),
                Interface("r0", "vlan.7"),
            ),
        ),
    )
    require_valid(topology, {})
    assert from_dict(to_dict(topology)) == topology
    assert make_plan(topology).mininet == SOURCE


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1, max_size=20))
def test_every_link_gets_a_name_of_its_own(pairs: list[tuple[str, str]]) -> None:
    links = [
        {"ends": [_end(left, f"e{number}"), _end(right, f"f{number}")]}
        for number, (left, right) in enumerate(pairs)
    ]
    names = [link.name for link in topology_of(Words([], links), SOURCE, "many").links]
    assert len(set(names)) == len(pairs)
    assert [name.split("-")[:2] for name in names] == [list(pair) for pair in pairs]


def test_what_was_built_keeps_what_was_asked_for() -> None:
    service = Service("web", ("web",))
    wanted = Topology(
        "mine",
        nodes=(Node("h1", services=(service,), backend="mininet"), Node("h2", backend="mininet")),
        mininet=SOURCE,
    )
    built = Topology(
        "theirs",
        nodes=(Node("h1", "router", note="R", backend="mininet"), Node("c0", backend="mininet")),
        links=(Link("l", (Interface("h1", "a"), Interface("c0", "b"))),),
        mininet=SOURCE,
    )
    merged = with_contents_of(built, wanted)
    assert (merged.name, merged.links, merged.mininet) == ("mine", built.links, SOURCE)
    assert merged.nodes == (
        Node("h1", "router", services=(service,), note="R", backend="mininet"),
        built.nodes[1],
    )


def test_only_the_engine_could_give_a_node_of_mininets_these() -> None:
    topology = Topology(
        "mine",
        nodes=(Node("h1", files=(("/etc/x", ""),), backend="mininet"), Node("h2")),
        mininet=SOURCE,
    )
    with pytest.raises(TopologyError) as caught:
        require_valid(topology, {})
    assert [problem.path for problem in caught.value.problems] == [
        "nodes.h1.files",
        "nodes.h2.backend",
    ]
