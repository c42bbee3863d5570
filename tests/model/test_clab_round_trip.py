"""Any lab, exported and imported, is the same but for exactly what was said to be left out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import Problem, TestbedError
from testbed.model.clab import words as clab_words
from testbed.model.clab.writing import Exported, export_clab
from testbed.model.files import load_topology
from testbed.model.topology import (
    BRIDGE,
    MININET,
    SWITCH,
    SWITCHES,
    Interface,
    Link,
    MininetSource,
    Node,
    Topology,
)
from tests.model.rich import RICH
from tests.model.strategies import topologies

# What YAML, containerlab's templates, its variables and its links take for something of theirs.
NASTY = st.sampled_from(
    [
        "$HOME",
        "$$",
        "${X:-y}",
        "{{ .x }}",
        "{{`{{`}}",
        "{{{",
        "$",
        "${",
        "a\n b",
        "#x",
        "|",
        "\0",
        "7",
    ]
)
LABS = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
FILES = "lab.clab.files"


def imported(exported: Exported) -> tuple[Topology, list[Problem]]:
    """The exported lab read back from real files, and what its reader left out."""
    told: list[Problem] = []
    with TemporaryDirectory() as folder:
        for name, content in exported.files:
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8", newline="")
        path = Path(folder) / "lab.clab.yml"
        path.write_text(exported.text, encoding="utf-8", newline="")
        return load_topology(path, told.append), told


def _node(node: Node) -> Iterator[tuple[str, Any]]:
    path = f"nodes.{node.name}"
    for service in node.services:
        yield f"{path}.services.{service.name}", service
    for name, content in node.files:
        yield f"{path}.files.{name}", content
    yield f"{path}.firewall", node.firewall
    yield f"{path}.switch", node.switch
    yield path, replace(node, services=(), files=(), firewall=None, switch=None)


def _end(path: str, end: Interface) -> Iterator[tuple[str, Any]]:
    yield f"{path}.impairment", end.impairment
    yield path, replace(end, impairment=None)


def _link(link: Link) -> Iterator[tuple[str, Any]]:
    path = f"links.{link.name}"
    yield f"{path}.impairment", link.impairment
    for number, end in enumerate(link.ends):
        yield from _end(f"{path}.ends[{number}]", end)
    yield path, replace(link, impairment=None, ends=())


def parts(topology: Topology) -> dict[str, Any]:
    """The topology cut at every joint that a leaving-out can have, by path."""
    found: dict[str, Any] = {}
    for node in topology.nodes:
        found |= dict(_node(node))
    for link in topology.links:
        found |= dict(_link(link))
    for number, fault in enumerate(topology.faults):
        found[f"faults[{number}]"] = fault
    found["groups"] = topology.groups or None
    found["mininet"] = topology.mininet
    found[""] = (topology.name, topology.title, topology.seed)
    found["order"] = (
        [node.name for node in topology.nodes],
        [link.name for link in topology.links],
        [[name for name, _ in node.files] for node in topology.nodes if node.files],
    )
    return found


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """The paths at which they differ."""
    return {path for path in {*one, *other} if one.get(path) != other.get(path)}


def check(topology: Topology, *, folder: str | None = FILES) -> None:
    """It comes back with exactly those differences that were announced."""
    exported = export_clab(topology, folder=folder)
    back, told = imported(exported)
    one, other = parts(topology), parts(back)
    if folder is None:  # then it is files that are missing, not their order
        one.pop("order"), other.pop("order")
    assert differences(one, other) == {item.path for item in exported.left_out}
    assert told == [], f"its own export says nothing that the reader does not know: {told}"
    if not exported.left_out:
        assert back == topology


@LABS
@given(topologies())
def test_only_what_was_said_is_missing(topology: Topology) -> None:
    check(topology)


@settings(LABS, max_examples=25)
@given(topologies())
def test_without_a_folder_the_files_are_missing_too(topology: Topology) -> None:
    check(topology, folder=None)


def bare(topology: Topology) -> Topology:
    """The topology without what containerlab cannot be told."""
    return replace(
        topology,
        nodes=tuple(replace(node, services=(), switch=None) for node in topology.nodes),
        links=tuple(
            replace(
                link,
                impairment=None,
                ends=tuple(replace(end, impairment=None) for end in link.ends),
            )
            for link in topology.links
        ),
        groups=(),
        faults=(),
    )


@LABS
@given(topologies().map(bare))
def test_what_can_be_carried_is_carried_whole(topology: Topology) -> None:
    exported = export_clab(topology, folder=FILES)
    assert exported.left_out == ()
    assert imported(exported)[0] == topology
    # To export what came of it changes nothing any more.
    assert export_clab(imported(exported)[0], folder=FILES) == exported


@settings(LABS, max_examples=30)
@given(topologies(max_nodes=3), st.lists(NASTY, min_size=4, max_size=4))
def test_text_that_looks_like_somebody_elses_stays_text(
    topology: Topology, texts: list[str]
) -> None:
    note, remark, title, content = texts
    nasty = replace(
        bare(topology),
        title=" ".join(title.replace("\0", "0").split()),
        nodes=tuple(
            replace(node, note=note, files=(("/etc/x", content),), firewall=f"# {content}\n")
            for node in topology.nodes
        ),
        links=tuple(replace(link, note=remark) for link in bare(topology).links),
        groups=(
            (title.replace("\n", " ").replace("\0", "0"), tuple(n.name for n in topology.nodes)),
        ),
    )
    check(nasty)


_JUNK: list[Any] = [
    *(None, 0, -1, 3.5, True, "", "x", "$", "a:b", "br0|x", [], {}, [[]], {"a": None}, [None]),
    *({"node": "x"}, "host:x", "container:x", "bridge", "\0", {"testbed.role": "router"}),
    *({"testbed.segment": "x"}, {"testbed.name": "-"}, {"testbed.seed": "x"}),
    *(["ip link add d type dummy"], ["ip addr add 192.0.2.1/24 dev lo"], ["sh -c 'a"]),
]


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with every key or position in it."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in list(items):
        yield data, key
        if isinstance(value, dict | list):
            yield from _places(value)


@settings(LABS, max_examples=60)
@given(topologies(max_nodes=3), st.data())
def test_a_spoilt_file_is_a_lab_or_one_clear_error(topology: Topology, data: st.DataObject) -> None:
    text = export_clab(topology, folder=FILES).text
    spoilt = yaml.safe_load(clab_words.expanded(text, {}))
    for _ in range(data.draw(st.integers(1, 3))):
        places = list(_places(spoilt))
        container, key = places[data.draw(st.integers(0, len(places) - 1))]
        container[key] = deepcopy(data.draw(st.sampled_from(_JUNK)))
    with contextlib.suppress(TestbedError):
        imported(Exported(yaml.safe_dump(spoilt, sort_keys=False), (), ()))


def test_names_that_containerlab_keeps_for_itself() -> None:
    assert RICH.node("host")
    check(RICH)
    assert "host-node:" in export_clab(RICH).text


def test_an_image_of_our_own() -> None:
    nodes = (
        Node("a", image="strongswan"),
        Node("b", backend="docker", image="alpine:3"),
        Node("c"),
    )
    topology = Topology("images", nodes=nodes)
    check(topology)
    text = export_clab(topology, image="example/else").text
    assert "image: testbed/strongswan:latest" in text
    assert "# The image testbed/strongswan:latest is testbed's own: make images" in text


def test_what_mininet_would_build() -> None:
    ends = (Interface("h1", "h1-eth0"), Interface("s1", "s1-eth1"))
    check(
        Topology(
            "theirs",
            nodes=(Node("h1", backend=MININET), Node("s1", SWITCH, backend=MININET)),
            links=(Link("cable", ends),),
            mininet=MininetSource("/somebody/topo.py", "MyTopo"),
        )
    )


def test_what_a_switch_is_inside() -> None:
    """A Linux bridge that was asked for stays one; another kind of switch is left out."""
    switch = next(node for node in RICH.nodes if node.role == SWITCH)
    for inside in SWITCHES:
        nodes = tuple(replace(n, switch=inside) if n is switch else n for n in RICH.nodes)
        topology = replace(RICH, nodes=nodes)
        check(topology)
        left = [item.path for item in export_clab(topology, folder=FILES).left_out]
        assert (f"nodes.{switch.name}.switch" in left) == (inside != BRIDGE)
