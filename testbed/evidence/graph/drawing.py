"""A finished drawing: shapes with coordinates in px, before any SVG."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from testbed.evidence.graph.metrics import Face, text_width

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Rect:
    """An upright rectangle."""

    x: float
    y: float
    width: float
    height: float

    def moved(self, dx: float, dy: float) -> Rect:
        """The same rectangle elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)

    def overlaps(self, other: Rect, slack: float = 0.01) -> bool:
        """True when the two share an area (more than ``slack`` px across)."""
        return (
            self.x + slack < other.x + other.width
            and other.x + slack < self.x + self.width
            and self.y + slack < other.y + other.height
            and other.y + slack < self.y + self.height
        )


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text; ``y`` is its base line."""

    text: str
    x: float
    y: float
    face: Face
    anchor: Anchor = "start"

    @property
    def rect(self) -> Rect:
        """The room it takes, estimated."""
        width = text_width(self.text, self.face)
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return Rect(left, self.y - self.face.size * 0.8, width, self.face.size)

    def moved(self, dx: float, dy: float) -> Text:
        """The same text elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True, slots=True)
class PortShape:
    """The end of a link at a node: a dot on its border and the words beside it."""

    label: str
    dot: Point
    texts: tuple[Text, ...]

    def moved(self, dx: float, dy: float) -> PortShape:
        """The same port elsewhere."""
        dot = (self.dot[0] + dx, self.dot[1] + dy)
        return replace(self, dot=dot, texts=tuple(text.moved(dx, dy) for text in self.texts))


@dataclass(frozen=True, slots=True)
class NodeShape:
    """A node: its box, the height of its header, its words and ports."""

    name: str
    role: str
    box: Rect
    header: float
    icon: Point
    title: Text
    texts: tuple[Text, ...]
    ports: tuple[PortShape, ...]

    def moved(self, dx: float, dy: float) -> NodeShape:
        """The same node elsewhere."""
        return replace(
            self,
            box=self.box.moved(dx, dy),
            icon=(self.icon[0] + dx, self.icon[1] + dy),
            title=self.title.moved(dx, dy),
            texts=tuple(text.moved(dx, dy) for text in self.texts),
            ports=tuple(port.moved(dx, dy) for port in self.ports),
        )


@dataclass(frozen=True, slots=True)
class LinkShape:
    """A cable (one path) or a LAN segment (a bar and a path per stub)."""

    name: str
    title: Text
    texts: tuple[Text, ...]
    paths: tuple[tuple[Point, ...], ...]
    bar: Rect | None = None

    def moved(self, dx: float, dy: float) -> LinkShape:
        """The same link elsewhere."""
        return replace(
            self,
            title=self.title.moved(dx, dy),
            texts=tuple(text.moved(dx, dy) for text in self.texts),
            paths=tuple(tuple((x + dx, y + dy) for x, y in path) for path in self.paths),
            bar=self.bar.moved(dx, dy) if self.bar else None,
        )


@dataclass(frozen=True, slots=True)
class GroupShape:
    """The titled box around a group."""

    rank: int
    box: Rect
    title: Text

    def moved(self, dx: float, dy: float) -> GroupShape:
        """The same group elsewhere."""
        return replace(self, box=self.box.moved(dx, dy), title=self.title.moved(dx, dy))


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything, and how large it is."""

    width: float
    height: float
    heading: tuple[Text, ...] = ()
    groups: tuple[GroupShape, ...] = ()
    links: tuple[LinkShape, ...] = ()
    nodes: tuple[NodeShape, ...] = ()

    def moved(self, dx: float, dy: float) -> Drawing:
        """The same drawing with all its shapes elsewhere."""
        return replace(
            self,
            heading=tuple(shape.moved(dx, dy) for shape in self.heading),
            groups=tuple(shape.moved(dx, dy) for shape in self.groups),
            links=tuple(shape.moved(dx, dy) for shape in self.links),
            nodes=tuple(shape.moved(dx, dy) for shape in self.nodes),
        )
