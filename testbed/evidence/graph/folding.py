"""Horizontal positions: column and channel widths, and a long row of columns folded like a snake.

In a folded drawing the first row of columns runs to the right, the second to the left, and so on;
the cables between two rows turn outside their common edge.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from testbed.evidence.graph.channels import Net, assign_tracks, straighten
from testbed.evidence.graph.metrics import Face, text_width
from testbed.evidence.graph.placement import GROUP_PADDING, foot_room, head_room
from testbed.evidence.graph.scene import Card, Cell, Item, Scene
from testbed.evidence.graph.sizes import link_label, words_width

TRACK = 13.0
CHANNEL_MARGIN = 9.0
MIN_CHANNEL = 40.0
ROW_OF_COLUMNS_GAP = 44.0
PAGE = 1100.0


@dataclass(eq=False, slots=True)
class Column:
    """A column and the channel behind it; ``u`` runs along the row of columns."""

    index: int
    items: list[Item]
    starts: list[Cell] = field(default_factory=list)  # groups that begin in it
    ends: list[Cell] = field(default_factory=list)
    u: float = 0.0
    width: float = 0.0
    nets: list[Net] = field(default_factory=list)
    label_width: float = 0.0
    tracks: int = 0

    @property
    def before(self) -> float:
        """Room for the border of a group that begins here."""
        return GROUP_PADDING if self.starts else 0.0

    @property
    def after(self) -> float:
        """Room for the border of a group that ends here."""
        return GROUP_PADDING if self.ends else 0.0

    @property
    def channel(self) -> float:
        """Width of the labels and tracks in the channel behind, px."""
        label = self.label_width + 12 if self.label_width else 0.0
        return label + self.tracks * TRACK + 2 * CHANNEL_MARGIN

    def track_at(self, track: int) -> float:
        """Distance of a track from this column's end, px."""
        label = self.label_width + 12 if self.label_width else 0.0
        return self.after + CHANNEL_MARGIN + label + (track + 0.5) * TRACK


@dataclass(eq=False, slots=True)
class Strip:
    """Columns side by side; ``mirrored`` when they run to the left. ``x`` is its left edge."""

    columns: list[Column]
    mirrored: bool = False
    x: float = 0.0
    width: float = 0.0
    height: float = 0.0

    def at(self, u: float) -> float:
        """The x of a distance along the row."""
        return self.x + (self.width - u if self.mirrored else u)


def strips_of(scene: Scene, count: int) -> list[Strip]:
    """All columns in their strips, with widths, tracks and positions; moves items vertically."""
    columns = _columns(scene, count)
    _nets(scene, columns, set())
    for column in columns:
        _measure(column)
    strips = _fold(columns, _height(scene), _cuts(scene, count))
    _stack(strips, scene)
    turns = {strip.columns[-1].index for strip in strips}
    _nets(scene, columns, turns)  # again: in a folded drawing the heights have changed
    for strip in strips:
        for column in strip.columns:
            _measure(column)
        _lay_out(strip)
    for index, strip in enumerate(strips[1:], start=1):
        before = strips[index - 1]
        # Strips share the edge at which the cables turn.
        strip.x = before.x + before.width - strip.width if strip.mirrored else before.x
    return strips


def _columns(scene: Scene, count: int) -> list[Column]:
    columns = [Column(index, []) for index in range(count)]
    for cell in scene.cells:
        for index, items in cell.columns.items():
            columns[index].items.extend(items)
        if cell.title is not None:
            first, last = columns[min(cell.columns)], columns[max(cell.columns)]
            first.starts.append(cell)
            last.ends.append(cell)
    return columns


def _nets(scene: Scene, columns: list[Column], turns: set[int]) -> None:
    """The nets of every channel; those behind a column of ``turns`` come back on the same side."""
    for column in columns:
        column.nets.clear()
    for low, high in scene.edges:
        returns = low.item.column == high.item.column or low.item.column in turns
        straighten(low, high, returns)
        columns[low.item.column].nets.append(Net(low, high, low.y, high.y, returns))


def _measure(column: Column) -> None:
    titles = [text_width(cell.title or "", Face.GROUP) for cell in column.starts]
    column.width = max([item.width for item in column.items] + titles, default=0.0)
    cards = [item for item in column.items if isinstance(item, Card)]
    widths = [card.width for card in cards]
    if cards and column.width == max(widths) < 1.6 * min(widths):
        for card in cards:
            card.width = column.width  # cards of nearly the same width look better as wide
    labelled = [net for net in column.nets if net.low.labelled]
    column.label_width = max((words_width(link_label(net.low.link)) for net in labelled), default=0)
    column.tracks = assign_tracks(column.nets)


def _height(scene: Scene) -> float:
    top = min(item.y - head_room(cell) for cell in scene.cells for item in cell.items)
    bottom = max(item.bottom + foot_room(cell) for cell in scene.cells for item in cell.items)
    return bottom - top


def _cuts(scene: Scene, count: int) -> set[int]:
    """Columns before which a new strip may begin: where no group would be torn apart."""
    torn = {
        column
        for cell in scene.cells
        for column in range(min(cell.columns) + 1, max(cell.columns) + 1)
    }
    return set(range(1, count)) - torn


def _span(column: Column) -> float:
    return column.before + column.width + column.after + max(column.channel, MIN_CHANNEL)


def _fold(columns: list[Column], height: float, cuts: set[int]) -> list[Strip]:
    total = sum(map(_span, columns))
    page = max(PAGE, math.sqrt(1.7 * total * (height + ROW_OF_COLUMNS_GAP)))
    if total <= page * 1.45:
        return [Strip(columns)]
    room = total / math.ceil(total / page) * 1.04
    strips: list[Strip] = []
    used = 0.0
    for column in columns:
        if not strips or (column.index in cuts and used + _span(column) > room):
            strips.append(Strip([], mirrored=len(strips) % 2 == 1))
            used = 0.0
        strips[-1].columns.append(column)
        used += _span(column)
    return strips


def _stack(strips: list[Strip], scene: Scene) -> None:
    """Put the strips under each other."""
    top = 0.0
    cells: dict[int, list[Cell]] = defaultdict(list)
    for cell in scene.cells:
        cells[min(cell.columns)].append(cell)
    for strip in strips:
        members = [cell for column in strip.columns for cell in cells[column.index]]
        part = Scene(members, [], {})
        first = min(item.y - head_room(cell) for cell in members for item in cell.items)
        strip.height = _height(part)
        for cell in members:
            for item in cell.items:
                item.y += top - first
        top += strip.height + ROW_OF_COLUMNS_GAP


def _lay_out(strip: Strip) -> None:
    u = 0.0
    for column in strip.columns:
        column.u = u + column.before
        last = column is strip.columns[-1]
        u = column.u + column.width + column.after
        strip.width = u
        following = 0.0 if last else strip.columns[strip.columns.index(column) + 1].before
        u += max(column.channel, MIN_CHANNEL - following)
