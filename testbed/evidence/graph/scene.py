"""What is drawn: cards (nodes), buses (LAN segments), bends (cables passing by) and their ports.

A scene is mutable while the layout fills in columns, ports and coordinates; nothing outside this
package sees it.  "Previous" and "next" mean towards lower and higher columns: in a drawing of one
row that is left and right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from testbed.errors import TestbedError
from testbed.model.topology import Interface, Link, Node, Topology


class DrawingError(TestbedError):
    """A topology cannot be drawn: a link or group names no node of it, or a name is there twice."""


class Side(Enum):
    """Which neighbouring column a port faces."""

    PREVIOUS = -1
    NEXT = 1


@dataclass(eq=False, slots=True)
class Port:
    """Where one cable meets an item; ``offset`` is its height below the item's top, px."""

    item: Item
    link: Link
    end: Interface | None = None
    side: Side = Side.NEXT
    offset: float = 0.0
    labelled: bool = False
    _peer: Port | None = field(default=None, repr=False)

    @property
    def peer(self) -> Port:
        """The port at the other end of this piece of cable."""
        if self._peer is None:  # pragma: no cover - join() always sets both
            raise RuntimeError("a port was used before it was joined")
        return self._peer

    @property
    def y(self) -> float:
        """Height in the block, px."""
        return self.item.y + self.offset


@dataclass(eq=False, slots=True)
class Item:
    """Something that takes room in a column."""

    order: int
    column: int = 0
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    ports: list[Port] = field(default_factory=list)

    def side(self, side: Side) -> list[Port]:
        """The ports of that side, from top to bottom."""
        return [port for port in self.ports if port.side is side]

    @property
    def bottom(self) -> float:
        """Lower edge, px."""
        return self.y + self.height


@dataclass(eq=False, slots=True)
class Row:
    """One line of a card with room for a port at each side; cables end at ``level``."""

    top: float
    level: float
    previous: Port | None
    next: Port | None


@dataclass(eq=False, slots=True)
class Card(Item):
    """A node."""

    node: Node = field(kw_only=True)
    also_in: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Bus(Item):
    """A LAN segment, or any link that is not a cable with two ends."""

    link: Link = field(kw_only=True)
    label_height: float = 0.0
    bar_top: float = 0.0


@dataclass(eq=False, slots=True)
class Bend(Item):
    """Room for a cable that passes a column without ending there."""


@dataclass(eq=False, slots=True)
class Cell:
    """A group of the topology, or a single item that is in none (then ``title`` is None)."""

    rank: int | None
    title: str | None = None
    items: list[Item] = field(default_factory=list)
    layer: int = 0
    columns: dict[int, list[Item]] = field(default_factory=dict)
    y: float = 0.0
    height: float = 0.0

    @property
    def order(self) -> int:
        """Place of its first item in the author's file."""
        return min((item.order for item in self.items), default=0)


Edge = tuple[Port, Port]


@dataclass(eq=False, slots=True)
class Scene:
    """All cells of a topology and the pieces of cable between their items."""

    cells: list[Cell]
    edges: list[Edge]
    cell_of: dict[Item, Cell]


def join(first: Port, second: Port) -> Edge:
    """Make the two ports the ends of one piece of cable."""
    first._peer, second._peer = second, first
    return first, second


def build_scene(topology: Topology) -> Scene:
    """The items of a topology.

    Raises:
        DrawingError: two nodes of one name, or a link to a node that does not exist.
    """
    cards = _cards(topology)
    cells = [Cell(rank, title) for rank, (title, _) in enumerate(topology.groups)]
    cell_of: dict[Item, Cell] = {}
    for cell, (title, names) in zip(cells, topology.groups, strict=True):
        for name in dict.fromkeys(names):
            card = cards.get(name)
            if card is None:
                raise DrawingError(
                    f"group {title!r} names node {name!r}, which is not in the topology",
                    where=topology.name,
                )
            if card in cell_of:
                card.also_in = (*card.also_in, title)
            else:
                cell_of[card] = cell
                cell.items.append(card)
    for card in cards.values():
        if card not in cell_of:
            cells.append(_alone(card, cell_of))
    edges: list[Edge] = []
    for link in topology.links:
        ends = [(end, _card_of(cards, link, end, topology)) for end in link.ends]
        if len(ends) == 2:
            edges.append(join(*(_port(card, link, end) for end, card in ends)))
        else:
            edges.extend(_bus(link, ends, cells, cell_of))
    return Scene([cell for cell in cells if cell.items], edges, cell_of)


def _cards(topology: Topology) -> dict[str, Card]:
    cards: dict[str, Card] = {}
    for node in topology.nodes:
        if node.name in cards:
            raise DrawingError(f"two nodes are called {node.name!r}", where=topology.name)
        cards[node.name] = Card(len(cards), node=node)
    return cards


def _card_of(cards: dict[str, Card], link: Link, end: Interface, topology: Topology) -> Card:
    card = cards.get(end.node)
    if card is None:
        raise DrawingError(
            f"link {link.name!r} ends at node {end.node!r}, which is not in the topology",
            where=topology.name,
        )
    return card


def _port(item: Item, link: Link, end: Interface | None) -> Port:
    port = Port(item, link, end)
    item.ports.append(port)
    return port


def _alone(item: Item, cell_of: dict[Item, Cell]) -> Cell:
    cell = Cell(None, items=[item])
    cell_of[item] = cell
    return cell


def _bus(
    link: Link,
    ends: list[tuple[Interface, Card]],
    cells: list[Cell],
    cell_of: dict[Item, Cell],
) -> Iterator[Edge]:
    order = min((card.order for _, card in ends), default=0)
    bus = Bus(order, link=link)
    homes = {cell_of[card] for _, card in ends}
    only = homes.pop() if len(homes) == 1 else None
    if only is not None and only.title is not None:
        cell_of[bus] = only
        only.items.append(bus)
    else:
        cells.append(_alone(bus, cell_of))
    for end, card in ends:
        yield join(_port(card, link, end), _port(bus, link, None))
