"""Heights: every item as level with its neighbours as the order in its column allows.

Each step solves "as near as possible to where each would like to be, in this order, with these
gaps" exactly, by pooling adjacent violators (isotonic regression).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median_low

from testbed.evidence.graph.scene import Bend, Bus, Cell, Item, Port, Scene, Side
from testbed.evidence.graph.sizes import STUB_GAP, measure

Layers = list[list[Cell]]

ITEM_GAP = 22.0
CELL_GAP = 26.0
BEND_GAP = 8.0
GROUP_PADDING = 14.0
GROUP_TITLE = 24.0
_INDIFFERENT = 0.05  # weight of staying put, for an item without neighbours on that side


@dataclass(frozen=True, slots=True)
class Wish:
    """Something ``height`` tall that would like its top at ``top``; ``weight`` says how much."""

    top: float
    height: float
    weight: float = 1.0


def spread(wishes: Sequence[Wish], gap: float) -> list[float]:
    """Tops in the given order, at least ``gap`` apart, least squares from the wishes."""
    blocks: list[tuple[float, float, int]] = []  # (mean, weight, members)
    offset = 0.0
    offsets = []
    for wish in wishes:
        offsets.append(offset)
        mean, weight, count = wish.top - offset, wish.weight, 1
        while blocks and blocks[-1][0] > mean:
            other, other_weight, other_count = blocks.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight += other_weight
            count += other_count
        blocks.append((mean, weight, count))
        offset += wish.height + gap
    means = [mean for mean, _, count in blocks for _ in range(count)]
    return [mean + shift for mean, shift in zip(means, offsets, strict=True)]


def stack(cells: Iterable[Cell]) -> None:
    """Heights in one layer without regard to neighbours: everything as high up as it can be."""
    top = 0.0
    for cell in cells:
        for items in cell.columns.values():
            y = 0.0
            for item in items:
                measure(item)
                item.y = y
                y += item.height + ITEM_GAP
        _fit(cell)
        move(cell, top)
        top += outer_height(cell) + CELL_GAP


def place(scene: Scene, layers: Layers) -> None:
    """Final heights, the top of the scene being 0."""
    for cells in layers:
        stack(cells)
    for cell in scene.cells:
        for sweep in range(6):
            _sweep_cell(cell, scene, Side.PREVIOUS if sweep % 2 == 0 else Side.NEXT)
        _stretch_buses(cell, float("-inf"), float("inf"))
        _fit(cell)
    for sweep in range(6):
        side = Side.PREVIOUS if sweep % 2 == 0 else Side.NEXT
        for cells in layers if side is Side.PREVIOUS else reversed(layers):
            _sweep_layer(cells, side, scene)
    for cell in scene.cells:
        for item in cell.items:
            if isinstance(item, Bus):
                measure(item)
    for side in (Side.NEXT, Side.PREVIOUS):
        for cells in layers if side is Side.PREVIOUS else reversed(layers):
            for cell in cells:
                _sweep_cell(cell, scene, None, bounded=True)
    for cell in scene.cells:
        for item in cell.items:
            item.y = round(item.y)
    for cells in layers:
        for index, cell in enumerate(cells):
            free = _free_range(cells, index)
            for items in cell.columns.values():
                _level_bends(items, *free)
            _stretch_buses(cell, *free)
            if cell.title is None:  # what it took is not free for the next one
                cell.y = min(item.y for item in cell.items)
                cell.height = max(item.bottom for item in cell.items) - cell.y
    top = min(min(item.y for item in cell.items) - head_room(cell) for cell in scene.cells)
    for cell in scene.cells:
        move(cell, cell.y - top)


def _free_range(cells: Sequence[Cell], index: int) -> tuple[float, float]:
    """How far up and down the items of a cell may grow."""
    cell = cells[index]
    if cell.title is not None:
        return cell.y, cell.y + cell.height
    low, high = float("-inf"), float("inf")
    if index:
        before = cells[index - 1]
        low = before.y + before.height + foot_room(before) + CELL_GAP
    if index + 1 < len(cells):
        after = cells[index + 1]
        high = after.y - head_room(after) - CELL_GAP
    return low, high


def move(cell: Cell, y: float) -> None:
    """Move a cell and all in it so that its first item may stand at ``y``."""
    by = y - cell.y
    cell.y = y
    for item in cell.items:
        item.y += by


def head_room(cell: Cell) -> float:
    """What a group needs above its items for its border and title."""
    return GROUP_PADDING + GROUP_TITLE if cell.title is not None else 0.0


def foot_room(cell: Cell) -> float:
    """What a group needs below its items for its border."""
    return GROUP_PADDING if cell.title is not None else 0.0


def outer_height(cell: Cell) -> float:
    """Height of a cell with its border and title."""
    return head_room(cell) + cell.height + foot_room(cell)


def _fit(cell: Cell) -> None:
    top = min(item.y for item in cell.items)
    cell.height = max(item.bottom for item in cell.items) - top
    for item in cell.items:
        item.y += cell.y - top


def _sweep_cell(cell: Cell, scene: Scene, side: Side | None, *, bounded: bool = False) -> None:
    columns = sorted(cell.columns, reverse=side is Side.NEXT)
    for column in columns:
        items = cell.columns[column]
        wishes = []
        for item in items:
            ports = item.ports if side is None else item.side(side)
            if not bounded:
                ports = [port for port in ports if scene.cell_of[port.peer.item] is cell]
            wishes.append(_wish(item, ports))
        tops = spread(wishes, ITEM_GAP)
        if bounded:
            tops = _clip(items, tops, cell.y, cell.y + cell.height)
        for item, top in zip(items, tops, strict=True):
            item.y = top


def _wish(item: Item, ports: Iterable[Port]) -> Wish:
    tops = [port.peer.y - port.offset for port in ports if port.peer.item is not item]
    if not tops:
        return Wish(item.y, item.height, _INDIFFERENT)
    top = sum(tops) / len(tops) if isinstance(item, Bus) else median_low(tops)
    return Wish(top, item.height, 4.0 if isinstance(item, Bend) else 1.0)


def _clip(items: Sequence[Item], tops: Sequence[float], low: float, high: float) -> list[float]:
    # Clipping the solution without bounds gives the solution with bounds (isotonic regression).
    room = sum(item.height for item in items) + ITEM_GAP * (len(items) - 1)
    clipped = []
    before = 0.0
    for item, top in zip(items, tops, strict=True):
        first, last = low + before, high - room + before
        clipped.append(max(first, min(top, last)))
        before += item.height + ITEM_GAP
    return clipped


def _sweep_layer(cells: Sequence[Cell], side: Side, scene: Scene) -> None:
    wishes = []
    for cell in cells:
        shifts = [
            port.peer.y - port.y
            for item in cell.items
            for port in item.side(side)
            if scene.cell_of[port.peer.item] is not cell
        ]
        top = cell.y - head_room(cell)
        if shifts:
            middle = median_low(shifts) if len(shifts) % 2 else sum(shifts) / len(shifts)
            wishes.append(Wish(top + middle, outer_height(cell)))
        else:
            wishes.append(Wish(top, outer_height(cell), _INDIFFERENT))
    for cell, top in zip(cells, spread(wishes, CELL_GAP), strict=True):
        move(cell, top + head_room(cell))


def _level_bends(items: Sequence[Item], low: float, high: float) -> None:
    """Level passing cables with one of their ends where there is room, out of the way of bars."""
    for index, bend in enumerate(items):
        if not isinstance(bend, Bend):
            continue
        above = items[index - 1] if index else None
        below = items[index + 1] if index + 1 < len(items) else None
        top = low if above is None else above.bottom + BEND_GAP
        bottom = (high if below is None else below.y - BEND_GAP) - bend.height
        goals = [port.peer.y - port.offset for port in bend.ports]
        goals = [goal for goal in goals if top <= goal <= bottom]
        if not goals:
            continue
        if isinstance(above, Bus):
            bend.y = max(goals)
        elif isinstance(below, Bus):
            bend.y = min(goals)
        else:
            bend.y = min(goals, key=lambda goal: abs(goal - bend.y))


def _stretch_buses(cell: Cell, low: float, high: float) -> None:
    """Let each bar reach as far up and down as its stubs, where nothing is in the way."""
    for items in cell.columns.values():
        for index, bus in enumerate(items):
            if not isinstance(bus, Bus):
                continue
            levels = [port.peer.y for port in bus.ports]
            if not levels:
                continue
            free_top = items[index - 1].bottom + ITEM_GAP if index else low
            last = index + 1 == len(items)
            free_bottom = high if last else items[index + 1].y - ITEM_GAP
            bottom = max(bus.bottom, min(max(levels) + STUB_GAP, free_bottom))
            top = min(bus.y, max(min(levels) - STUB_GAP - bus.label_height, free_top))
            bus.y, bus.height = top, bottom - top
            _attach(bus)


def _attach(bus: Bus) -> None:
    """Each stub level with its card where the bar reaches, and no two of a side at one place."""
    low, high = bus.y + bus.bar_top + STUB_GAP / 2, bus.bottom - STUB_GAP / 2
    for side in Side:
        ports = sorted(bus.side(side), key=lambda port: port.peer.y)
        gap = min(STUB_GAP, (high - low) / max(len(ports), 1))
        tops = spread([Wish(port.peer.y, 0.0) for port in ports], gap)
        room = gap * (len(ports) - 1)
        for index, (port, top) in enumerate(zip(ports, tops, strict=True)):
            level = max(low + gap * index, min(top, high - room + gap * index))
            port.offset = level - bus.y
