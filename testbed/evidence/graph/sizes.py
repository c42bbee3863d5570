"""How large items are, and where on them their cables end."""

from __future__ import annotations

from itertools import zip_longest

from testbed.evidence.graph.metrics import Face, printable, text_width, wrap
from testbed.evidence.graph.scene import Bend, Bus, Card, Item, Port, Row, Side
from testbed.evidence.graph.words import impairment_words, link_words
from testbed.model.topology import Link, Node

PADDING = 9.0
ICON = 18.0
ROW_GAP = 6.0
PAIRED_WIDTH = 225.0  # a left and a right port share a row when both fit into this
MIN_ROW = 34.0
BEND_HEIGHT = 12.0
STUB_GAP = 14.0
BAR = 7.0

Words = tuple[tuple[str, Face], ...]


def node_words(node: Node, also_in: tuple[str, ...] = ()) -> Words:
    """The lines under a node's name: its note, what it runs, further groups it is in."""
    lines = [(line, Face.NOTE) for line in wrap(node.note, 30, 3)]
    if node.services:
        names = ", ".join(service.name for service in node.services)
        lines += [(line, Face.SERVICE) for line in wrap(f"runs {names}", 30, 3)]
    for title in also_in:
        lines += [(line, Face.NOTE) for line in wrap(f"also in {title}", 30, 2)]
    return tuple(lines)


def port_words(port: Port) -> Words:
    """Interface name, addresses, and what this end does to packets it sends."""
    if port.end is None:
        return ()
    lines = [(printable(port.end.name), Face.INTERFACE)]
    lines += [(str(address), Face.ADDRESS) for address in port.end.addresses]
    lines += [(word, Face.IMPAIRMENT) for word in impairment_words(port.end.impairment)]
    return tuple(lines)


def link_label(link: Link) -> Words:
    """A link's name, then what is special about it."""
    lines = [(printable(link.name), Face.LINK)]
    lines += [(word, Face.LINK_DETAIL) for word in link_words(link)]
    lines += [(line, Face.NOTE) for line in wrap(link.note, 22, 3)]
    return tuple(lines)


def words_height(words: Words) -> float:
    """Height of the lines under each other, px."""
    return sum(face.line_height for _, face in words)


def words_width(words: Words) -> float:
    """Width of the widest line, px."""
    return max((text_width(text, face) for text, face in words), default=0.0)


def measure(item: Item) -> None:
    """Set the size of an item and the offsets of its ports, from the present order of its ports."""
    if isinstance(item, Card):
        _measure_card(item)
    elif isinstance(item, Bus):
        _measure_bus(item)
    elif isinstance(item, Bend):
        item.height = BEND_HEIGHT
        for port in item.ports:
            port.offset = BEND_HEIGHT / 2


def header_height(card: Card) -> float:
    """Height of a card above its first row of ports."""
    words = node_words(card.node, card.also_in)
    return PADDING + ICON + (3 + words_height(words) if words else 0.0) + PADDING * 0.7


def _measure_card(card: Card) -> None:
    node = card.node
    name = text_width(printable(node.name), Face.NAME) + text_width(node.role, Face.ROLE)
    width = max(ICON + 6 + name + 12, words_width(node_words(node, card.also_in)))
    previous, following = card.side(Side.PREVIOUS), card.side(Side.NEXT)
    left = max((words_width(port_words(port)) for port in previous), default=0.0)
    right = max((words_width(port_words(port)) for port in following), default=0.0)
    between = 16.0 if previous and following else 0.0
    pairs: list[tuple[Port | None, Port | None]]
    if left + between + right <= max(PAIRED_WIDTH, width):
        pairs = _paired(previous, following)
        width = max(width, left + between + right)
    else:
        pairs = _stacked(previous, following, card.column)
        width = max(width, left, right)
    top = header_height(card)
    card.rows = []
    for one, two in pairs:
        above, below = zip(_row_halves(one), _row_halves(two), strict=True)
        level = top + max(above)
        for port in (one, two):
            if port is not None:
                port.offset = level
        card.rows.append(Row(top, level, one, two))
        top = level + max(below)
    card.width = width + 2 * PADDING
    card.height = top + PADDING * 0.3


def _paired(previous: list[Port], following: list[Port]) -> list[tuple[Port | None, Port | None]]:
    """One row for a port at each side; the shorter side in the middle of the longer one."""
    lead: list[Port | None] = [None] * (abs(len(previous) - len(following)) // 2)
    if len(previous) < len(following):
        return list(zip_longest([*lead, *previous], following))
    return list(zip_longest(previous, [*lead, *following]))


def _stacked(
    previous: list[Port], following: list[Port], column: int
) -> list[tuple[Port | None, Port | None]]:
    """Rows of their own; neighbouring columns take turns, so that facing ports are level."""
    one: list[tuple[Port | None, Port | None]] = [(port, None) for port in previous]
    two: list[tuple[Port | None, Port | None]] = [(None, port) for port in following]
    return one + two if column % 2 == 0 else two + one


def _row_halves(port: Port | None) -> tuple[float, float]:
    """Room a port needs above and below the level of its cable."""
    if port is None:
        return 0.0, 0.0
    above = below = max((words_height(port_words(port)) + ROW_GAP) / 2, MIN_ROW / 2)
    if port.labelled:
        # The cable's name stands above the line, everything else below it.
        (name, *details) = link_label(port.link)
        above = max(above, words_height((name,)) + 4)
        below = max(below, words_height(tuple(details)) + 4)
    return above, below


def _measure_bus(bus: Bus) -> None:
    label = link_label(bus.link)
    bus.label_height = words_height(label) + 6
    stubs = max(len(bus.side(Side.PREVIOUS)), len(bus.side(Side.NEXT)), 1)
    bus.bar_top = bus.label_height
    bus.height = bus.bar_top + max(44.0, (stubs + 1) * STUB_GAP)
    bus.width = max(words_width(label), BAR + 24)
    for port in bus.ports:
        port.offset = (bus.bar_top + bus.height) / 2
