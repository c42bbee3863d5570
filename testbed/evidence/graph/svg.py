"""A drawing as SVG: self-contained, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from xml.sax.saxutils import escape, quoteattr

from testbed.evidence.graph.drawing import (
    Drawing,
    GroupShape,
    LinkShape,
    NodeShape,
    Point,
    Rect,
    Text,
)
from testbed.evidence.graph.layout import layout
from testbed.evidence.graph.metrics import printable
from testbed.model.topology import HOST, ROUTER, SWITCH, Topology

_TINTS = 5
_CORNER = 6.0
_CHAMFER = 9.0
_ICONS = {
    HOST: "M1 2.5h16v10.5h-16zM6 16.5h6M9 13v3.5",
    ROUTER: "M9 1a8 8 0 1 0 .01 0zM4.5 7h4M7 5.2L8.8 7L7 8.8M13.5 11h-4M11 9.2L9.2 11L11 12.8",
    SWITCH: "M1 3.5h16v11h-16zM4 7.2h7M9 5.4L11 7.2L9 9M14 11h-7M9 9.2L7 11L9 12.8",
}


def draw_svg(topology: Topology) -> str:
    """The topology as a picture: an SVG document without an XML declaration.

    It can stand alone or in an HTML page, loads nothing and follows ``prefers-color-scheme``.

    Raises:
        DrawingError: a link or group names a node that does not exist, or two nodes share a name.
    """
    return "\n".join(_document(layout(topology), topology)) + "\n"


@cache
def _style() -> str:
    return (files(__package__) / "graph.css").read_text(encoding="utf-8")


def _document(drawing: Drawing, topology: Topology) -> Iterator[str]:
    width, height = _number(drawing.width), _number(drawing.height)
    title = printable(topology.title or topology.name)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="testbed-graph" role="group"'
        f' width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f" aria-label={quoteattr(title)}>"
    )
    yield f"<title>{escape(title)}</title>"
    yield f"<style>\n{_style()}</style>"
    yield f'<rect class="paper" width="{width}" height="{height}"/>'
    for text in drawing.heading:
        yield _text(text)
    for group in drawing.groups:
        yield from _group(group)
    for link in drawing.links:
        yield from _link(link)
    for node in drawing.nodes:
        yield from _node(node)
    yield "</svg>"


def _group(group: GroupShape) -> Iterator[str]:
    yield f'<g class="group tint{group.rank % _TINTS}">'
    yield f'<rect class="area" rx="8" {_box(group.box)}/>'
    yield _text(group.title)
    yield "</g>"


def _link(link: LinkShape) -> Iterator[str]:
    yield f'<g class="link" data-link={quoteattr(printable(link.name))}>'
    for path in link.paths:
        trace = _rounded(path)
        yield f'<path class="halo" d="{trace}"/>'
        yield f'<path class="wire" d="{trace}"/>'
    if link.bar is not None:
        yield f'<rect class="bar" rx="3.5" {_box(link.bar)}/>'
    yield _text(link.title)
    for text in link.texts:
        yield _text(text)
    yield "</g>"


def _node(node: NodeShape) -> Iterator[str]:
    role = node.role if node.role in _ICONS else HOST
    box = node.box
    yield f'<g class="node {role}" data-node={quoteattr(printable(node.name))}>'
    if role == SWITCH:
        yield f'<path class="box" d="{_chamfered(box)}"/>'
    else:
        yield f'<rect class="box" rx="{14 if role == ROUTER else 3}" {_box(box)}/>'
    x, y = node.icon
    yield (
        f'<path class="icon" transform="translate({_number(x)} {_number(y)})" d="{_ICONS[role]}"/>'
    )
    yield _text(node.title)
    for text in node.texts:
        yield _text(text)
    if node.ports:
        level = _number(box.y + node.header)
        yield (f'<path class="rule" d="M{_number(box.x)} {level}H{_number(box.x + box.width)}"/>')
    for port in node.ports:
        yield f'<g class="port" data-end={quoteattr(printable(port.label))}>'
        yield f'<circle class="dot" cx="{_number(port.dot[0])}" cy="{_number(port.dot[1])}" r="4"/>'
        for text in port.texts:
            yield _text(text)
        yield "</g>"
    yield "</g>"


def _text(text: Text) -> str:
    anchor = "" if text.anchor == "start" else f' text-anchor="{text.anchor}"'
    return (
        f'<text class="{text.face.css}" x="{_number(text.x)}" y="{_number(text.y)}"{anchor}>'
        f"{escape(text.text)}</text>"
    )


def _box(rect: Rect) -> str:
    return (
        f'x="{_number(rect.x)}" y="{_number(rect.y)}"'
        f' width="{_number(rect.width)}" height="{_number(rect.height)}"'
    )


def _chamfered(rect: Rect) -> str:
    cut = _CHAMFER
    x, y, right, bottom = rect.x, rect.y, rect.x + rect.width, rect.y + rect.height
    corners: list[Point] = [
        (x + cut, y),
        (right - cut, y),
        (right, y + cut),
        (right, bottom - cut),
        (right - cut, bottom),
        (x + cut, bottom),
        (x, bottom - cut),
        (x, y + cut),
    ]
    return "M" + "L".join(_point(corner) for corner in corners) + "Z"


def _rounded(path: tuple[Point, ...]) -> str:
    """The path with its corners rounded off, never by more than half of the shorter side."""
    parts = [f"M{_point(path[0])}"]
    for before, corner, after in zip(path, path[1:], path[2:], strict=False):
        radius = min(_CORNER, _distance(before, corner) / 2, _distance(corner, after) / 2)
        parts.append(f"L{_point(_towards(corner, before, radius))}")
        parts.append(f"Q{_point(corner)} {_point(_towards(corner, after, radius))}")
    if len(path) > 1:
        parts.append(f"L{_point(path[-1])}")
    return "".join(parts)


def _distance(one: Point, two: Point) -> float:
    return abs(one[0] - two[0]) + abs(one[1] - two[1])  # all lines are level or upright


def _towards(start: Point, goal: Point, length: float) -> Point:
    whole = _distance(start, goal) or 1.0
    return (
        start[0] + (goal[0] - start[0]) * length / whole,
        start[1] + (goal[1] - start[1]) * length / whole,
    )


def _point(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
