"""The draw.io file: sound by mxGraph's rules, where the layout put it, and nothing that could act.

Read back by a reader of our own that knows only the format; the real mxGraph reads it too where
``TESTBED_MXGRAPH`` names a folder into which ``npm install mxgraph@4.2.2 jsdom`` was run.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings

from testbed.evidence.graph import DrawingError, draw_drawio, layout
from testbed.evidence.graph.drawing import Point
from testbed.evidence.graph.metrics import printable
from testbed.model.discover import find_topology
from testbed.model.topology import HOST, ROUTER, SWITCH, Interface, Link, Node, Topology
from tests.evidence.busy import busy
from tests.evidence.strategies import HOSTILE, topologies

MANY = settings(max_examples=40, deadline=None)
TAGS = {"b", "i", "br", "span"}


class _Label(HTMLParser):
    """The words of a label; only tags and styles of our own are allowed in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.lines = [""]
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, f"a tag of somebody else's: {tag}"
        assert [name for name, _ in attrs] in ([], ["style"])
        for _, value in attrs:
            assert value is not None
            assert set(value) <= set("abcdefghijklmnopqrstuvwxyz0123456789-:;#."), value
        if tag == "br":
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        self.lines[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment in a label: {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration in a label: {decl!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction in a label: {data!r}")


def lines(html: str) -> list[str]:
    """The label's lines as people see them; blanks around them do not matter."""
    return [line.strip() for line in _Label(html).lines]


@dataclass
class Cell:
    """An mxCell with its geometry, all numbers checked."""

    name: str
    parent: str | None
    value: str
    style: dict[str, str]
    is_edge: bool
    is_vertex: bool
    source: str | None
    target: str | None
    box: tuple[float, float, float, float] | None = None
    relative: bool = False
    points: list[Point] = field(default_factory=list)
    offset: Point = (0.0, 0.0)


def _finite(text: str | None) -> float:
    value = float(text or "0")
    assert math.isfinite(value)
    return value


def _point(element: ET.Element) -> Point:
    return _finite(element.get("x")), _finite(element.get("y"))


def _cell(element: ET.Element) -> Cell:
    parts = [part.partition("=") for part in element.get("style", "").split(";") if part]
    style = {key: value for key, _, value in parts}
    cell = Cell(
        element.get("id", ""),
        element.get("parent"),
        element.get("value", ""),
        style,
        element.get("edge") == "1",
        element.get("vertex") == "1",
        element.get("source"),
        element.get("target"),
    )
    geometries = element.findall("mxGeometry")
    if geometries:
        (geometry,) = geometries
        assert geometry.get("as") == "geometry"
        cell.relative = geometry.get("relative") == "1"
        x, y, width, height = (_finite(geometry.get(key)) for key in ("x", "y", "width", "height"))
        cell.box = x, y, width, height
        for array in geometry.findall("Array"):
            assert array.get("as") == "points"
            cell.points = [_point(point) for point in array]
        for point in geometry.findall("mxPoint"):
            assert point.get("as") == "offset"
            cell.offset = _point(point)
    return cell


def read(text: str) -> dict[str, Cell]:
    """The cells of a sound file; whatever is unsound fails."""
    root = ET.fromstring(text)
    assert root.tag == "mxfile"
    (diagram,) = root
    assert diagram.tag == "diagram"
    assert diagram.get("id")
    (model,) = diagram
    assert model.tag == "mxGraphModel"
    (holder,) = model
    assert holder.tag == "root"
    cells: dict[str, Cell] = {}
    for element in holder:
        assert element.tag == "mxCell"
        cell = _cell(element)
        assert cell.name
        assert cell.name not in cells, "an id twice"
        # mxCodec looks a parent up as it goes: it must stand before its children.
        assert cell.parent in cells or (cell.name == "0" and cell.parent is None)
        cells[cell.name] = cell
    assert cells["1"].parent == "0", "the layer everything is on"
    for cell in cells.values():
        if cell.name in ("0", "1"):
            continue
        assert cell.is_edge != cell.is_vertex
        assert cell.box is not None
        lines(cell.value)
        if cell.is_edge:
            assert cell.relative
            for end in (cell.source, cell.target):
                assert end is not None
                assert cells[end].is_vertex
        elif cell.parent is not None and cells[cell.parent].is_edge:
            assert cell.relative
            assert -1 <= cell.box[0] <= 1
        else:
            assert cell.box[2] > 0
            assert cell.box[3] > 0
    return cells


def corner(cells: dict[str, Cell], cell: Cell) -> Point:
    """Where the upper left corner of a shape is on the page."""
    assert cell.box is not None
    x, y = cell.box[:2]
    if cell.parent not in (None, "1"):
        left, top = corner(cells, cells[cell.parent])
        return left + x, top + y
    return x, y


def path(cells: dict[str, Cell], edge: Cell) -> list[Point]:
    """All points of an edge on the page: mxGraph puts its ends at these shares of the shapes."""
    ends = []
    for way, name in (("exit", edge.source), ("entry", edge.target)):
        assert name is not None
        shape = cells[name]
        assert shape.box is not None
        left, top = corner(cells, shape)
        share = float(edge.style[f"{way}X"]), float(edge.style[f"{way}Y"])
        assert edge.style[f"{way}Perimeter"] == "0"
        ends.append((left + shape.box[2] * share[0], top + shape.box[3] * share[1]))
    return [ends[0], *edge.points, ends[1]]


def check(topology: Topology) -> None:
    """Every shape, cable and word is there, at the place the layout gave it."""
    cells = read(draw_drawio(topology))
    drawing = layout(topology)
    nodes = {node.name: f"node{index}" for index, node in enumerate(drawing.nodes)}
    for node in drawing.nodes:
        cell = cells[nodes[node.name]]
        assert corner(cells, cell) == pytest.approx((node.box.x, node.box.y), abs=0.11)
        first, *words = lines(cell.value)
        assert first == f"{node.title.text.strip()}\xa0 {node.role}"
        assert words == [text.text.strip() for text in node.texts[1:]]
    edges = [cell for cell in cells.values() if cell.is_edge]
    assert len(edges) == sum(len(link.paths) for link in drawing.links)
    ends = {(node.name, port.label): port.texts for node in drawing.nodes for port in node.ports}
    for index, link in enumerate(drawing.links):
        own = [c for c in edges if c.name == f"link{index}" or c.name.startswith(f"link{index}-s")]
        for edge, points in zip(own, link.paths, strict=True):
            found = path(cells, edge)
            assert len(found) == len(points)
            for one, other in zip(found, points, strict=True):
                assert one == pytest.approx(other, abs=0.3)
        (original,) = [item for item in topology.links if item.name == link.name]
        said = sorted(
            lines(cell.value)
            for edge in own
            for cell in cells.values()
            if cell.parent == edge.name and not cell.name.endswith("-name")
        )
        meant = sorted(
            [text.text.strip() for text in ends[end.node, end.label]] for end in original.ends
        )
        assert said == meant
        touched = [str(end) for edge in own for end in (edge.source, edge.target)]
        joined = sorted(end for end in touched if end in nodes.values())
        assert joined == sorted(nodes[end.node] for end in original.ends)
        label = cells[f"link{index}-bar" if link.bar else f"link{index}-name"]
        assert lines(label.value) == [text.text.strip() for text in (link.title, *link.texts)]


@MANY
@given(topologies())
def test_everything_is_where_the_layout_put_it(topology: Topology) -> None:
    check(topology)


@MANY
@given(topologies(names=HOSTILE, max_nodes=5))
def test_hostile_text_stays_text(topology: Topology) -> None:
    cells = read(draw_drawio(topology))
    for index, node in enumerate(topology.nodes):
        shown = "".join(lines(cells[f"node{index}"].value)[0].split())
        assert shown.startswith("".join(printable(node.name).split()))


def test_the_shipped_topologies() -> None:
    for name in ("pair", "v6plus", "azure_rekey"):
        check(find_topology(name))
    check(busy())


def _switched() -> Topology:
    return Topology(
        "switched",
        nodes=(Node("pc"), Node("sw", SWITCH), Node("gw", ROUTER)),
        links=(
            Link("one", (Interface("pc", "eth0"), Interface("sw", "p1"))),
            Link("two", (Interface("sw", "p2"), Interface("gw", "lan"))),
        ),
        groups=(("Home", ("pc", "sw")),),
    )


def test_each_role_has_its_shape_and_icon() -> None:
    cells = read(draw_drawio(_switched()))
    styles = {cells[f"node{index}"].style.get("shape", "box") for index in range(3)}
    assert styles == {"box", "mxgraph.basic.octagon2"}
    assert cells["node0"].style["rounded"] != cells["node2"].style["rounded"]
    icons = {cells[f"node{index}-icon"].style["shape"] for index in range(3)}
    assert len(icons) == len((HOST, ROUTER, SWITCH))


def test_a_group_takes_its_nodes_along() -> None:
    cells = read(draw_drawio(_switched()))
    assert [cells[f"node{index}"].parent for index in range(3)] == ["group0", "group0", "1"]
    assert cells["group0"].style["container"] == "1"


def test_the_same_topology_gives_the_same_file() -> None:
    assert draw_drawio(busy()) == draw_drawio(busy())


def test_a_link_to_nowhere_is_an_error() -> None:
    link = Link("cable", (Interface("a", "eth0"), Interface("b", "eth0")))
    with pytest.raises(DrawingError, match="'b', which is not in the topology"):
        draw_drawio(Topology("t", nodes=(Node("a"),), links=(link,)))


_MODULES = os.environ.get("TESTBED_MXGRAPH", "")


@pytest.mark.skipif(
    not (_MODULES and shutil.which("node")),
    reason="TESTBED_MXGRAPH names no folder with mxgraph 4.2.2 and jsdom from npm, or no node",
)
def test_the_real_mxgraph_reads_the_same(tmp_path: Path) -> None:
    script = Path(__file__).with_name("read_by_mxgraph.js")
    for topology in (busy(), find_topology("v6plus"), _switched()):
        text = draw_drawio(topology)
        file = tmp_path / "lab.drawio"
        file.write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["node", script, file], capture_output=True, text=True, check=False, cwd=_MODULES
        )
        assert done.returncode == 0, done.stderr
        theirs, ours = json.loads(done.stdout), read(text)
        assert set(theirs["cells"]) == set(ours)
        edges = {name: path(ours, cell) for name, cell in ours.items() if cell.is_edge}
        assert set(theirs["edges"]) == set(edges)
        for name, points in edges.items():
            for one, other in zip(theirs["edges"][name], points, strict=True):
                assert tuple(one) == pytest.approx(other, abs=0.3)
