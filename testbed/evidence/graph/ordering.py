"""The order of cells in a layer, of items in a column and of ports on an item.

Repeated sweeps put everything near the mean height of its neighbours (Sugiyama, Tagawa and Toda,
1981) and keep the order with the fewest crossings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import fmean

from testbed.evidence.graph.placement import Layers, stack
from testbed.evidence.graph.scene import Cell, Edge, Item, Scene, Side

SWEEPS = 8


def order_scene(scene: Scene, layers: Layers) -> None:
    """Choose all orders; ``layers`` and the cells' columns are sorted in place."""
    for cells in layers:
        cells.sort(key=lambda cell: (cell.rank is None, cell.rank or 0, cell.order))
    for cell in scene.cells:
        for items in cell.columns.values():
            items.sort(key=lambda item: item.order)
    _settle_all(layers)
    best = crossings(scene.edges)
    kept = _snapshot(scene, layers)
    for sweep in range(SWEEPS):
        if best == 0:
            break
        side = Side.PREVIOUS if sweep % 2 == 0 else Side.NEXT
        _sweep(scene, layers, side)
        count = crossings(scene.edges)
        if count < best:
            best, kept = count, _snapshot(scene, layers)
    kept()
    _settle_all(layers)


def crossings(edges: Iterable[Edge]) -> int:
    """How many pairs of cables cross between the columns, at the present heights."""
    channels: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for low, high in edges:
        if high.side is Side.PREVIOUS:
            channels[low.item.column].append((low.y, high.y))
    total = 0
    for ends in channels.values():
        ends.sort()
        for index, (start, end) in enumerate(ends):
            total += sum(
                other_end < end and other_start > start
                for other_start, other_end in ends[index + 1 :]
            )
    return total


def sort_ports(items: Iterable[Item]) -> None:
    """Sort every item's ports by the height of what they lead to."""
    items = list(items)
    keys = {port: (port.peer.item.y, port.peer.offset) for item in items for port in item.ports}
    for item in items:
        item.ports.sort(key=lambda port: keys[port])


def _settle_all(layers: Layers) -> None:
    for _ in range(2):  # twice: the order of ports follows the heights of the other layers
        for cells in layers:
            _settle(cells)


def _settle(cells: Iterable[Cell]) -> None:
    """Heights in one layer for the present order, then ports in the order of those heights."""
    cells = list(cells)
    stack(cells)
    sort_ports(item for cell in cells for item in cell.items)
    stack(cells)


def _sweep(scene: Scene, layers: Layers, side: Side) -> None:
    forward = side is Side.PREVIOUS
    for cells in layers if forward else reversed(layers):
        place = {cell: _mean(cell.items, side, cell, scene) for cell in cells}
        cells.sort(key=place.__getitem__)
        columns = sorted({column for cell in cells for column in cell.columns})
        for column in columns if forward else reversed(columns):
            for cell in cells:
                items = cell.columns.get(column, [])
                wish = {item: _wish(item, side) for item in items}
                items.sort(key=wish.__getitem__)
            _settle(cells)


def _mean(items: Iterable[Item], side: Side, cell: Cell, scene: Scene) -> float:
    """Mean height of what lies beyond the cell on that side; its own middle if nothing does."""
    heights = [
        port.peer.y
        for item in items
        for port in item.side(side)
        if scene.cell_of[port.peer.item] is not cell
    ]
    return fmean(heights) if heights else cell.y + cell.height / 2


def _wish(item: Item, side: Side) -> float:
    heights = [port.peer.y for port in item.side(side)]
    return fmean(heights) if heights else item.y + item.height / 2


def _snapshot(scene: Scene, layers: Layers) -> Callable[[], None]:
    """Remember the present order; calling the result restores it."""
    cells = [list(members) for members in layers]
    columns = [
        (cell, {column: list(items) for column, items in cell.columns.items()})
        for cell in scene.cells
    ]

    def restore() -> None:
        layers[:] = cells
        for cell, items in columns:
            cell.columns = items

    return restore
