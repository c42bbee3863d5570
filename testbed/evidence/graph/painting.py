"""From placed items to shapes: boxes, words, dots and paths at their final places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from testbed.evidence.graph.drawing import (
    Anchor,
    GroupShape,
    LinkShape,
    NodeShape,
    Point,
    PortShape,
    Rect,
    Text,
)
from testbed.evidence.graph.folding import CHANNEL_MARGIN, Column, Strip
from testbed.evidence.graph.metrics import Face, printable
from testbed.evidence.graph.placement import GROUP_PADDING, GROUP_TITLE, head_room
from testbed.evidence.graph.scene import Bend, Bus, Card, Edge, Port, Scene, Side
from testbed.evidence.graph.sizes import (
    BAR,
    ICON,
    PADDING,
    link_label,
    node_words,
    port_words,
    words_height,
)
from testbed.model.topology import Link


def lines(words: Iterable[tuple[str, Face]], x: float, top: float, anchor: Anchor) -> list[Text]:
    """The words under each other, the first line's upper edge at ``top``."""
    texts = []
    for word, face in words:
        texts.append(Text(word, x, top + face.line_height * 0.78, face, anchor))
        top += face.line_height
    return texts


@dataclass(slots=True)
class Painter:
    """Turns placed items into shapes."""

    scene: Scene
    strips: list[Strip]

    def _placed(self) -> Iterator[tuple[Strip, Column]]:
        for strip in self.strips:
            for column in strip.columns:
                yield strip, column

    def groups(self) -> tuple[GroupShape, ...]:
        """The boxes around groups, in the order of the topology's groups."""
        where = {column.index: (strip, column) for strip, column in self._placed()}
        shapes = []
        for cell in self.scene.cells:
            if cell.title is None or cell.rank is None:
                continue
            strip, first = where[min(cell.columns)]
            last = where[max(cell.columns)][1]
            one = strip.at(first.u - GROUP_PADDING)
            two = strip.at(last.u + last.width + GROUP_PADDING)
            top = min(item.y for item in cell.items) - head_room(cell)
            bottom = max(item.bottom for item in cell.items) + GROUP_PADDING
            box = Rect(min(one, two), top, abs(two - one), bottom - top)
            base = top + GROUP_TITLE * 0.8
            title = Text(printable(cell.title), box.x + GROUP_PADDING, base, Face.GROUP)
            shapes.append(GroupShape(cell.rank, box, title))
        return tuple(shapes)

    def nodes(self) -> tuple[NodeShape, ...]:
        """The nodes in the order of the topology."""
        shapes = []
        for strip, column in self._placed():
            for item in column.items:
                if isinstance(item, Card):
                    shapes.append((item.order, self._node(item, strip, column)))
        return tuple(shape for _, shape in sorted(shapes, key=lambda pair: pair[0]))

    def _node(self, card: Card, strip: Strip, column: Column) -> NodeShape:
        left = strip.at(column.u + column.width / 2) - card.width / 2
        box = Rect(left, card.y, card.width, card.height)
        role = Text(
            card.node.role, left + card.width - PADDING, card.y + PADDING + 13, Face.ROLE, "end"
        )
        title = Text(
            printable(card.node.name),
            left + PADDING + ICON + 6,
            card.y + PADDING + 13.5,
            Face.NAME,
        )
        words = node_words(card.node, card.also_in)
        texts = lines(words, left + PADDING, card.y + PADDING + ICON + 3, "start")
        header = card.rows[0].top if card.rows else card.height
        ports = []
        for row in card.rows:
            for port, side in ((row.previous, Side.PREVIOUS), (row.next, Side.NEXT)):
                if port is not None and port.end is not None:
                    ports.append(self._port(port, card, box, (side is Side.NEXT) != strip.mirrored))
        return NodeShape(
            card.node.name,
            card.node.role,
            box,
            header,
            (left + PADDING, card.y + PADDING),
            title,
            (role, *texts),
            tuple(ports),
        )

    def _port(self, port: Port, card: Card, box: Rect, right: bool) -> PortShape:
        words = port_words(port)
        row = next(row for row in card.rows if port in (row.previous, row.next))
        middle = card.y + row.level
        x = box.x + box.width - PADDING if right else box.x + PADDING
        edge = box.x + box.width if right else box.x
        texts = lines(words, x, middle - words_height(words) / 2, "end" if right else "start")
        label = port.end.label if port.end else ""
        return PortShape(label, (edge, port.y), tuple(texts))

    def links(self) -> tuple[LinkShape, ...]:
        """Cables, then LAN segments."""
        where = {column.index: (strip, column) for strip, column in self._placed()}
        chains = _chains(self.scene.edges)
        paths: dict[int, list[tuple[Point, ...]]] = {}
        titles: dict[int, tuple[Link, list[Text]]] = {}
        for chain in chains:
            low = chain[0][0]
            paths.setdefault(id(low.link), []).append(self._path(chain, where))
            if low.labelled:
                titles[id(low.link)] = (low.link, self._cable_label(low, *where[low.item.column]))
        shapes: list[LinkShape] = []
        for link, texts in titles.values():
            shapes.append(_link_shape(link, texts, paths[id(link)]))
        for strip, column in self._placed():
            for item in column.items:
                if isinstance(item, Bus):
                    x = strip.at(column.u + column.width / 2)
                    texts = lines(link_label(item.link), x, item.y, "middle")
                    bar = Rect(x - BAR / 2, item.y + item.bar_top, BAR, item.height - item.bar_top)
                    stubs = paths.get(id(item.link), [])
                    shapes.append(_link_shape(item.link, texts, stubs, bar))
        return tuple(shapes)

    def _cable_label(self, low: Port, strip: Strip, column: Column) -> list[Text]:
        """The name above the line, the rest below it, just behind the first column."""
        u = column.u + column.width + column.after + CHANNEL_MARGIN
        x = strip.at(u)
        anchor: Anchor = "end" if strip.mirrored else "start"
        (name, *details) = link_label(low.link)
        texts = [Text(name[0], x, low.y - 5, name[1], anchor)]
        return texts + lines(details, x, low.y + 3, anchor)

    def _path(
        self, chain: Sequence[Edge], where: dict[int, tuple[Strip, Column]]
    ) -> tuple[Point, ...]:
        points: list[Point] = [self._end(chain[0][0], *where[chain[0][0].item.column])]
        for low, high in chain:
            strip, column = where[low.item.column]
            net = next(net for net in column.nets if net.low is low)
            if net.track is not None:
                x = strip.at(column.u + column.width + column.track_at(net.track))
                points += [(x, low.y), (x, high.y)]
            if not isinstance(high.item, Bend):
                points.append(self._end(high, *where[high.item.column]))
        return _without_repeats(points)

    def _end(self, port: Port, strip: Strip, column: Column) -> Point:
        middle = strip.at(column.u + column.width / 2)
        if isinstance(port.item, Bus):
            return middle, port.y
        right = (port.side is Side.NEXT) != strip.mirrored
        half = port.item.width / 2
        return middle + (half if right else -half), port.y


def _link_shape(
    link: Link, texts: Sequence[Text], paths: Sequence[tuple[Point, ...]], bar: Rect | None = None
) -> LinkShape:
    return LinkShape(link.name, texts[0], tuple(texts[1:]), tuple(paths), bar)


def _chains(edges: Sequence[Edge]) -> list[list[Edge]]:
    """Pieces joined into whole cables: a piece that ends at a bend goes on with the next one."""
    chains: list[list[Edge]] = []
    for low, high in edges:
        if isinstance(low.item, Bend):
            chains[-1].append((low, high))
        else:
            chains.append([(low, high)])
    return chains


def _without_repeats(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(p for index, p in enumerate(points) if index == 0 or p != points[index - 1])
