"""What the SVG says: every name and address in its place, once, and nothing that could act."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given, settings

from testbed.evidence.graph import DrawingError, draw_svg, layout
from testbed.evidence.graph.metrics import printable
from testbed.model.impairment import Impairment
from testbed.model.topology import HOST, ROUTER, Interface, Link, Node, Topology, parse_address
from tests.evidence.busy import busy
from tests.evidence.strategies import HOSTILE, topologies

SVG = "{http://www.w3.org/2000/svg}"
MANY = settings(max_examples=40, deadline=None)


def line(count: int) -> Topology:
    nodes = tuple(Node(f"r{index}", role=ROUTER) for index in range(count))
    links = tuple(
        Link(
            f"l{index}",
            (
                Interface(f"r{index}", "next", (parse_address(f"10.0.{index}.1/30"),)),
                Interface(f"r{index + 1}", "prev", (parse_address(f"10.0.{index}.2/30"),)),
            ),
        )
        for index in range(count - 1)
    )
    return Topology("line", "", nodes, links)


def words(element: ET.Element, css: str) -> list[str]:
    """The texts of that class directly in the element."""
    return [text.text or "" for text in element.findall(f"{SVG}text") if text.get("class") == css]


def marked(root: ET.Element, attribute: str) -> dict[str, ET.Element]:
    found = [element for element in root.iter(f"{SVG}g") if element.get(attribute) is not None]
    names = {element.get(attribute, ""): element for element in found}
    assert len(names) == len(found), f"{attribute} twice"
    return names


def distinct(names: list[str]) -> bool:
    """Still different when what XML forbids is replaced."""
    return len({printable(name) for name in names}) == len(names)


def check(topology: Topology) -> None:
    """Every name, interface and address of the topology is drawn once, in its own place."""
    root = ET.fromstring(draw_svg(topology))
    nodes, links = marked(root, "data-node"), marked(root, "data-link")
    ports = marked(root, "data-end")
    assert sorted(nodes) == sorted(printable(node.name) for node in topology.nodes)
    for node in topology.nodes:
        element = nodes[printable(node.name)]
        assert words(element, "node-name") == [printable(node.name)]
        assert words(element, "role") == [node.role]
        inner = [port.get("data-end") for port in element.iter(f"{SVG}g") if port is not element]
        expected = [end.label for _, end in topology.interfaces_of(node.name)]
        assert Counter(inner) == Counter(map(printable, expected))
    assert sorted(links) == sorted(printable(link.name) for link in topology.links)
    for link in topology.links:
        element = links[printable(link.name)]
        assert words(element, "link-name") == [printable(link.name)]
        details = words(element, "link-detail")
        assert (f"MTU {link.mtu}" in details) == (link.mtu != 1500)
        for end in link.ends:
            port = ports[printable(end.label)]
            assert words(port, "interface") == [printable(end.name)]
            assert words(port, "address") == [str(address) for address in end.addresses]
    addresses = [
        str(address) for link in topology.links for end in link.ends for address in end.addresses
    ]
    drawn = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "address"]
    assert Counter(drawn) == Counter(addresses)


@MANY
@given(topologies())
def test_every_name_and_address_stands_in_its_place(topology: Topology) -> None:
    check(topology)


@MANY
@given(topologies(names=HOSTILE, max_nodes=6))
def test_hostile_names_are_only_text(topology: Topology) -> None:
    assume(distinct([node.name for node in topology.nodes]))
    assume(distinct([link.name for link in topology.links]))
    assume(distinct([end.label for link in topology.links for end in link.ends]))
    check(topology)
    root = ET.fromstring(draw_svg(topology))
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "style", "g", "rect", "path", "circle", "text"}
    for element in root.iter():
        assert not any(name.startswith("on") or "href" in name for name in element.attrib)
    (style,) = root.iter(f"{SVG}style")
    assert style.text == ET.fromstring(draw_svg(Topology("x"))).findtext(f"{SVG}style")


def test_impairment_and_notes_are_written_where_they_apply() -> None:
    far = Interface("b", "eth0", impairment=Impairment(loss=0.25))
    link = Link(
        "line",
        (Interface("a", "eth0"), far),
        mtu=1454,
        impairment=Impairment(rate=1_500_000, delay=0.02, jitter=0.0015, queue=50),
        note="PPPoE",
    )
    svg = draw_svg(Topology("t", "", (Node("a"), Node("b", note="behind NAT")), (link,)))
    root = ET.fromstring(svg)
    element = marked(root, "data-link")["line"]
    assert words(element, "link-detail") == [
        "MTU 1454",
        "1.5 Mbit/s",
        "delay 20 ms ± 1.5 ms",
        "queue 50",
    ]
    assert words(element, "note") == ["PPPoE"]
    ports = marked(root, "data-end")
    assert words(ports["b:eth0"], "impairment") == ["loss 25 %"]
    assert words(ports["a:eth0"], "impairment") == []
    assert words(marked(root, "data-node")["b"], "note") == ["behind NAT"]


def test_a_node_of_two_groups_says_so() -> None:
    nodes = (Node("a"), Node("b"))
    groups = (("Home", ("a",)), ("Office", ("a", "b")))
    root = ET.fromstring(draw_svg(Topology("t", "", nodes, (), groups)))
    assert words(marked(root, "data-node")["a"], "note") == ["also in Office"]


def test_groups_run_from_left_to_right_in_their_order() -> None:
    names = ("pc", "ce", "ngn", "br", "www")
    links = tuple(
        Link(f"{one}-{two}", (Interface(one, "r"), Interface(two, "l")))
        for one, two in pairwise(names)
    )
    groups = (
        ("Home", ("ce", "pc")),
        ("Access", ("ngn",)),
        ("VNE", ("br",)),
        ("Internet", ("www",)),
    )
    nodes = tuple(Node(name) for name in reversed(names))  # the author's order is another one
    drawing = layout(Topology("t", "", nodes, links, groups))
    left = {node.name: node.box.x for node in drawing.nodes}
    assert sorted(names, key=left.__getitem__) == list(names)
    assert all(len(path) == 2 for link in drawing.links for path in link.paths), "straight lines"


def test_a_long_line_is_folded_and_still_complete() -> None:
    topology = line(40)
    check(topology)
    drawing = layout(topology)
    assert drawing.width < 3 * drawing.height
    assert len({node.box.y for node in drawing.nodes}) > 2


def test_two_hundred_nodes_are_drawn() -> None:
    hub = Node("hub", role=ROUTER)
    hosts = tuple(Node(f"h{index}", role=HOST) for index in range(99))
    links = tuple(
        Link(f"c{index}", (Interface("hub", f"e{index}"), Interface(f"h{index}", "eth0")))
        for index in range(99)
    )
    rest = line(100)
    check(Topology("big", "", (hub, *hosts, *rest.nodes), (*links, *rest.links)))


@pytest.mark.parametrize(
    ("topology", "what"),
    [
        (Topology("t", nodes=(Node("a"), Node("a"))), "two nodes are called 'a'"),
        (Topology("t", links=(Link("l", (Interface("x", "e"),)),)), "ends at node 'x'"),
        (Topology("t", groups=(("G", ("x",)),)), "names node 'x'"),
    ],
)
def test_what_cannot_be_drawn_is_said(topology: Topology, what: str) -> None:
    with pytest.raises(DrawingError, match=what):
        draw_svg(topology)


def test_an_empty_topology_is_an_empty_picture() -> None:
    root = ET.fromstring(draw_svg(Topology("nothing")))
    assert [text.text for text in root.iter(f"{SVG}text")] == ["nothing"]


def test_the_same_topology_gives_the_same_picture_in_every_process() -> None:
    program = (
        "from tests.evidence.busy import busy\n"
        "from testbed.evidence.graph import draw_svg\n"
        "import sys; sys.stdout.buffer.write(draw_svg(busy()).encode())"
    )
    pictures = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert pictures == {draw_svg(busy()).encode()}
