"""From a topology to a :class:`Drawing`: every coordinate of the picture, decided here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from testbed.evidence.graph.columns import assign_columns, components
from testbed.evidence.graph.drawing import Drawing, Rect, Text
from testbed.evidence.graph.folding import strips_of
from testbed.evidence.graph.metrics import Face, printable, wrap
from testbed.evidence.graph.ordering import order_scene
from testbed.evidence.graph.painting import Painter, lines
from testbed.evidence.graph.placement import place
from testbed.evidence.graph.scene import Scene, build_scene
from testbed.evidence.graph.sizes import measure
from testbed.model.topology import Topology

MARGIN = 24.0
PART_GAP = 40.0
PAGE = 1300.0


def layout(topology: Topology) -> Drawing:
    """The drawing of a topology, its shapes in the topology's order.

    The same topology always gives the same drawing.

    Raises:
        DrawingError: a link or group names a node that does not exist, or two nodes share a name.
    """
    scene = build_scene(topology)
    parts = [_part(part) for part in components(scene)]
    packed = _pack(parts)
    heading = _heading(topology, packed.width)
    top = MARGIN + sum(text.face.line_height for text in heading) + (14 if heading else 0)
    body = packed.moved(MARGIN, top)
    width = max([packed.width, *(text.rect.width for text in heading)])
    nodes = {node.name: index for index, node in enumerate(topology.nodes)}
    links = {link.name: index for index, link in enumerate(topology.links)}
    return Drawing(
        width + 2 * MARGIN,
        top + packed.height + MARGIN,
        heading,
        tuple(sorted(body.groups, key=lambda group: group.rank)),
        tuple(sorted(body.links, key=lambda link: links[link.name])),
        tuple(sorted(body.nodes, key=lambda node: nodes[node.name])),
    )


def _heading(topology: Topology, width: float) -> tuple[Text, ...]:
    title = topology.title or topology.name
    columns = max(24, int(width / 14))
    words: list[tuple[str, Face]] = [(line, Face.TITLE) for line in wrap(title, columns, 3)]
    if topology.title:
        words.append((printable(topology.name), Face.SUBTITLE))
    return tuple(lines(words, MARGIN, MARGIN, "start"))


def _pack(parts: Sequence[Drawing]) -> Drawing:
    """Unconnected parts in rows, no wider than the widest part or a page."""
    page = max([PAGE, *(part.width for part in parts)])
    x = y = row = width = 0.0
    moved: list[Drawing] = []
    for part in parts:
        if x and x + part.width > page:
            x, y, row = 0.0, y + row + PART_GAP, 0.0
        moved.append(part.moved(x, y))
        width = max(width, x + part.width)
        row = max(row, part.height)
        x += part.width + PART_GAP
    return Drawing(
        width,
        y + row,
        groups=tuple(shape for part in moved for shape in part.groups),
        links=tuple(shape for part in moved for shape in part.links),
        nodes=tuple(shape for part in moved for shape in part.nodes),
    )


def _part(scene: Scene) -> Drawing:
    """The drawing of a connected scene, its upper left corner at 0, 0."""
    count = assign_columns(scene)
    layers = [
        [cell for cell in scene.cells if cell.layer == layer]
        for layer in range(max(cell.layer for cell in scene.cells) + 1)
    ]
    for cell in scene.cells:
        for item in cell.items:
            measure(item)
    order_scene(scene, layers)
    place(scene, layers)
    strips = strips_of(scene, count)
    painter = Painter(scene, strips)
    drawing = Drawing(0, 0, (), painter.groups(), painter.links(), painter.nodes())
    left, top, right, bottom = _bounds(drawing)
    return replace(drawing.moved(-left, -top), width=right - left, height=bottom - top)


def _bounds(drawing: Drawing) -> tuple[float, float, float, float]:
    rects = [node.box for node in drawing.nodes]
    rects += [group.box for group in drawing.groups]
    for link in drawing.links:
        rects += [text.rect for text in (link.title, *link.texts)]
        rects += [link.bar] if link.bar else []
        rects += [Rect(x - 2, y - 2, 4, 4) for path in link.paths for x, y in path]
    return (
        min(rect.x for rect in rects),
        min(rect.y for rect in rects),
        max(rect.x + rect.width for rect in rects),
        max(rect.y + rect.height for rect in rects),
    )
