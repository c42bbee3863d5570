"""A drawing as a draw.io file: uncompressed mxGraph XML, to be gone on with by hand.

Everything stands where :func:`layout` put it.  Cables are edges between the nodes' shapes, and
their words hang on them, so that what the user moves takes its words and cables along.

Format: mxfile / diagram / mxGraphModel / root with mxCell elements (jgraph mxGraph 4.2, mxCodec;
styles as in draw.io's own shape libraries).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, hypot
from xml.sax.saxutils import quoteattr

from testbed.evidence.graph.drawing import (
    Anchor,
    Drawing,
    GroupShape,
    LinkShape,
    NodeShape,
    Point,
    Rect,
    Text,
)
from testbed.evidence.graph.layout import layout
from testbed.evidence.graph.metrics import Face, printable
from testbed.evidence.graph.sizes import ICON, PADDING
from testbed.model.topology import HOST, ROUTER, SWITCH, Topology

_ROOT, _PAPER = "0", "1"  # every mxGraph has a root cell and a layer in it

_NODE = "html=1;whiteSpace=wrap;overflow=hidden;align=left;verticalAlign=top;fillColor=#ffffff;"
_SHAPES = {
    HOST: "rounded=0;strokeColor=#2c62a3;",
    ROUTER: "rounded=1;arcSize=14;absoluteArcSize=1;strokeColor=#1e7a55;",
    SWITCH: "shape=mxgraph.basic.octagon2;dx=9;strokeColor=#7b5a9e;",
}
_ICON = "html=1;strokeColor=none;outlineConnect=0;pointerEvents=0;connectable=0;movable=0;"
_ICONS = {
    HOST: "shape=mxgraph.cisco.computers_and_peripherals.pc;fillColor=#2c62a3;",
    ROUTER: "shape=mxgraph.cisco.routers.router;fillColor=#1e7a55;",
    SWITCH: "shape=mxgraph.cisco.switches.workgroup_switch;fillColor=#7b5a9e;",
}
_GROUP = (
    "html=1;rounded=1;arcSize=8;absoluteArcSize=1;align=left;verticalAlign=top;fontStyle=1;"
    "fontSize=12;spacingLeft=6;container=1;collapsible=0;connectable=0;"
)
_TINTS = (
    "fillColor=#edf3fb;strokeColor=#b9cbe2;",
    "fillColor=#fbf3e4;strokeColor=#e0cca3;",
    "fillColor=#eaf5ef;strokeColor=#b3d3c1;",
    "fillColor=#f5eff8;strokeColor=#d3c1de;",
    "fillColor=#eef1f4;strokeColor=#c0cad4;",
)
_BAR = (
    "html=1;rounded=1;arcSize=50;fillColor=#4a5f78;strokeColor=none;labelPosition=center;"
    "verticalLabelPosition=top;align=center;verticalAlign=bottom;"
)
_WIRE = "html=1;edgeStyle=none;rounded=1;endArrow=none;startArrow=none;strokeColor=#4a5f78;"
_LABEL = "edgeLabel;html=1;labelBackgroundColor=none;"
_HEADING = "text;html=1;strokeColor=none;fillColor=none;align=left;verticalAlign=top;"
_ALIGNMENT: dict[Anchor, str] = {"start": "left", "middle": "center", "end": "right"}
_COLOURS = {
    Face.SUBTITLE: "#586776",
    Face.ROLE: "#586776",
    Face.NOTE: "#46535f",
    Face.IMPAIRMENT: "#9a4300",
    Face.LINK: "#34465a",
    Face.LINK_DETAIL: "#9a4300",
}
_BOLD = (Face.TITLE, Face.GROUP, Face.NAME, Face.INTERFACE, Face.LINK)


def draw_drawio(topology: Topology) -> str:
    """The topology as a ``.drawio`` document of one page.

    The same topology always gives the same document.

    Raises:
        DrawingError: a link or group names a node that does not exist, or two nodes share a name.
    """
    drawing = layout(topology)
    lines = [
        '<mxfile host="testbed">',
        f"<diagram id={quoteattr('lab')} name={quoteattr(printable(topology.name))}>",
        f'<mxGraphModel grid="1" gridSize="10" guides="1" tooltips="1" connect="1" arrows="1"'
        f' fold="1" page="1" pageScale="1" pageWidth="{ceil(drawing.width)}"'
        f' pageHeight="{ceil(drawing.height)}" math="0" shadow="0">',
        "<root>",
        f'<mxCell id="{_ROOT}"/>',
        f'<mxCell id="{_PAPER}" parent="{_ROOT}"/>',
        *_cells(drawing, topology),
        "</root>",
        "</mxGraphModel>",
        "</diagram>",
        "</mxfile>",
    ]
    return "\n".join(lines) + "\n"


def _cells(drawing: Drawing, topology: Topology) -> Iterator[str]:
    if drawing.heading:
        yield _vertex("heading", _html(drawing.heading), _HEADING, _around(drawing.heading))
    for group in drawing.groups:
        style = _GROUP + _TINTS[group.rank % len(_TINTS)]
        yield _vertex(_name(group), escape(group.title.text), style, group.box)
    homes = _homes(drawing, topology)
    for index, node in enumerate(drawing.nodes):
        yield from _node(f"node{index}", node, homes.get(node.name))
    plugs = _plugs(drawing)
    nodes: dict[str, set[str]] = {}  # of each link
    ends: dict[str, list[_Plug]] = {}
    for link in topology.links:
        nodes.setdefault(link.name, set()).update(end.node for end in link.ends)
        ends.setdefault(link.name, []).extend(
            plug for end in link.ends for plug in plugs.get(end.label, ())
        )
    for index, shape in enumerate(drawing.links):
        rooms = {homes.get(name) for name in nodes[shape.name]}
        room = rooms.pop() if len(rooms) == 1 else None
        yield from _link(f"link{index}", shape, ends[shape.name], room)


def _name(group: GroupShape) -> str:
    return f"group{group.rank}"


def _homes(drawing: Drawing, topology: Topology) -> dict[str, GroupShape]:
    """The box each node stands in: that of the first group which names it."""
    boxes = {group.rank: group for group in drawing.groups}
    homes: dict[str, GroupShape] = {}
    for rank, (_, names) in enumerate(topology.groups):
        for name in names:
            if rank in boxes:
                homes.setdefault(name, boxes[rank])
    return homes


def _node(name: str, node: NodeShape, home: GroupShape | None) -> Iterator[str]:
    role = node.role if node.role in _SHAPES else HOST
    (said, *words) = node.texts  # its role stands first, beside its name
    style = _NODE + _SHAPES[role] + f"spacingLeft={_number(PADDING - 4)};spacingTop=2;"
    head = f"{'&nbsp;' * 6}{_html((node.title,))}&nbsp; {_html((said,))}"
    value = "<br>".join([head, *([_html(words)] if words else [])])
    yield _vertex(name, value, style, node.box, home)
    icon = Rect(node.icon[0] - node.box.x, node.icon[1] - node.box.y, ICON, ICON * 0.75)
    yield _cell(f"{name}-icon", "", _ICON + _ICONS[role], icon, name)


@dataclass(frozen=True, slots=True)
class _Plug:
    """Where a link's end meets its node: the node's cell, the place, and the words there."""

    cell: str
    box: Rect
    dot: Point
    texts: tuple[Text, ...]

    @property
    def fraction(self) -> Point:
        """The place as a share of the node's width and height, as mxGraph has it."""
        box = self.box
        return (self.dot[0] - box.x) / box.width, (self.dot[1] - box.y) / box.height


def _plugs(drawing: Drawing) -> dict[str, list[_Plug]]:
    """All plugs by the label of their end; an invalid topology may have several of a label."""
    found: dict[str, list[_Plug]] = {}
    for index, node in enumerate(drawing.nodes):
        for port in node.ports:
            plug = _Plug(f"node{index}", node.box, port.dot, port.texts)
            found.setdefault(port.label, []).append(plug)
    return found


def _link(
    name: str, link: LinkShape, plugs: Sequence[_Plug], room: GroupShape | None
) -> Iterator[str]:
    words = (link.title, *link.texts)
    if link.bar is not None:
        yield _vertex(f"{name}-bar", _html(words), _BAR, link.bar, room)
    for number, path in enumerate(link.paths):
        edge = name if link.bar is None else f"{name}-stub{number}"
        ends = [_end(plugs, point, link.bar, name) for point in (path[0], path[-1])]
        style = _WIRE + "".join(
            f"{way}X={_share(end.fraction[0])};{way}Y={_share(end.fraction[1])};{way}Perimeter=0;"
            for way, end in zip(("exit", "entry"), ends, strict=True)
        )
        points = "".join(f'<mxPoint x="{_number(x)}" y="{_number(y)}"/>' for x, y in path[1:-1])
        bends = f'<Array as="points">{points}</Array>' if points else ""
        yield (
            f'<mxCell id="{edge}" style={quoteattr(style)} edge="1" parent="{_PAPER}"'
            f' source="{ends[0].cell}" target="{ends[1].cell}">'
            f'<mxGeometry relative="1" as="geometry">{bends}</mxGeometry></mxCell>'
        )
        for place, (end, point) in enumerate(zip(ends, (path[0], path[-1]), strict=True)):
            if end.texts:
                yield _label(f"{edge}-end{place}", edge, end.texts, point, at_end=bool(place))
        if link.bar is None:
            yield _label(f"{edge}-name", edge, words, path[0], at_end=False)


def _end(plugs: Sequence[_Plug], point: Point, bar: Rect | None, name: str) -> _Plug:
    """What the path ends at there: the nearest of the link's plugs, or its bar."""

    def distance(plug: _Plug) -> float:
        return hypot(plug.dot[0] - point[0], plug.dot[1] - point[1])

    nearest = min(plugs, key=distance, default=None)
    if nearest is not None and (bar is None or distance(nearest) < 1):
        return nearest
    assert bar is not None, "a cable has two plugs"
    return _Plug(f"{name}-bar", bar, point, ())


def _label(name: str, edge: str, texts: Sequence[Text], point: Point, *, at_end: bool) -> str:
    """Words that hang on an edge, at a fixed distance from one of its ends."""
    first = texts[0]
    box = _around(texts)
    style = f"{_LABEL}align={_ALIGNMENT[first.anchor]};verticalAlign=middle;"
    dx, dy = first.x - point[0], box.y + box.height / 2 - point[1]
    return (
        f'<mxCell id="{name}" value={quoteattr(_html(texts))} style={quoteattr(style)}'
        f' vertex="1" connectable="0" parent="{edge}">'
        f'<mxGeometry x="{1 if at_end else -1}" relative="1" as="geometry">'
        f'<mxPoint x="{_number(dx)}" y="{_number(dy)}" as="offset"/></mxGeometry></mxCell>'
    )


def _vertex(name: str, value: str, style: str, box: Rect, home: GroupShape | None = None) -> str:
    """A shape on the paper, or in a group, which then takes it along."""
    if home is None:
        return _cell(name, value, style, box, _PAPER)
    return _cell(name, value, style, box.moved(-home.box.x, -home.box.y), _name(home))


def _cell(name: str, value: str, style: str, box: Rect, parent: str) -> str:
    return (
        f'<mxCell id="{name}" value={quoteattr(value)} style={quoteattr(style)}'
        f' vertex="1" parent="{parent}">'
        f'<mxGeometry x="{_number(box.x)}" y="{_number(box.y)}" width="{_number(box.width)}"'
        f' height="{_number(box.height)}" as="geometry"/></mxCell>'
    )


def _html(texts: Iterable[Text]) -> str:
    """The words as the HTML that labels are: only our own tags, all else escaped."""
    lines = []
    for text in texts:
        style = f"font-size:{text.face.size:g}px"
        if text.face.mono:
            style += ";font-family:monospace"
        if text.face in _COLOURS:
            style += f";color:{_COLOURS[text.face]}"
        line = f'<span style="{style}">{escape(text.text)}</span>'
        if text.face in _BOLD:
            line = f"<b>{line}</b>"
        lines.append(f"<i>{line}</i>" if text.face is Face.NOTE else line)
    return "<br>".join(lines)


def _around(texts: Sequence[Text]) -> Rect:
    """The room the lines take together."""
    rects = [text.rect for text in texts]
    left, top = min(rect.x for rect in rects), min(rect.y for rect in rects)
    right = max(rect.x + rect.width for rect in rects)
    return Rect(left, top, right - left, max(rect.y + rect.height for rect in rects) - top)


def _share(value: float) -> str:
    return f"{min(max(value, 0.0), 1.0):.4f}".rstrip("0").rstrip(".")


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
