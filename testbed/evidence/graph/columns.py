"""Which column each item stands in.

The cells (groups, and items without one) get a layer by their distance from the first groups, so
that every cable joins the same or neighbouring layers; the items of a cell get columns inside its
layer by their distance from where cables enter the cell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import TypeVar

from testbed.evidence.graph.scene import Bend, Bus, Cell, Edge, Item, Port, Scene, Side, join

T = TypeVar("T", bound=Hashable)
Graph = dict[T, list[T]]


def components(scene: Scene) -> list[Scene]:
    """The parts of a scene that no cable joins, in the order of the author's file."""
    graph = _cell_graph(scene)
    seen: set[Cell] = set()
    parts: list[Scene] = []
    for cell in sorted(scene.cells, key=_reading_order):
        if cell in seen:
            continue
        members = set(_distances(graph, [cell]))
        seen |= members
        cells = [other for other in scene.cells if other in members]
        edges = [edge for edge in scene.edges if scene.cell_of[edge[0].item] in members]
        parts.append(Scene(cells, edges, scene.cell_of))
    return parts


def assign_columns(scene: Scene) -> int:
    """Give every item of a connected scene its column; returns how many columns there are."""
    _assign_layers(scene)
    inner = {cell: _inner_columns(cell, scene) for cell in scene.cells}
    layers = max(cell.layer for cell in scene.cells) + 1
    base = 0
    for layer in range(layers):
        members = [cell for cell in scene.cells if cell.layer == layer]
        width = max(max(inner[cell].values()) + 1 for cell in members)
        for cell in members:
            used = max(inner[cell].values()) + 1
            shift = width - used if _faces(cell, scene) == {Side.NEXT} else 0
            for item, column in inner[cell].items():
                item.column = base + shift + column
        base += width
    _insert_bends(scene)
    for cell in scene.cells:
        for item in cell.items:
            cell.columns.setdefault(item.column, []).append(item)
    return base


def _reading_order(cell: Cell) -> tuple[int, int]:
    return (0, cell.rank) if cell.rank is not None else (1, cell.order)


def _cell_graph(scene: Scene) -> Graph[Cell]:
    graph: dict[Cell, dict[Cell, None]] = {cell: {} for cell in scene.cells}
    for first, second in scene.edges:
        a, b = scene.cell_of[first.item], scene.cell_of[second.item]
        if a is not b:
            graph[a][b] = graph[b][a] = None
    return {cell: sorted(near, key=_reading_order) for cell, near in graph.items()}


def _assign_layers(scene: Scene) -> None:
    graph = _cell_graph(scene)
    groups = [cell for cell in scene.cells if cell.rank is not None]
    if groups:
        distance = _distances(graph, _first_groups(graph, groups))
    else:
        distance = _spread(graph, sorted(scene.cells, key=_reading_order))
    for cell in scene.cells:
        cell.layer = distance[cell]


def _first_groups(graph: Graph[Cell], groups: Sequence[Cell]) -> list[Cell]:
    """The groups that no earlier group is next to (ungrouped items between them do not count)."""
    first = []
    for group in groups:
        near: set[Cell] = set()
        seen = {group}
        queue = deque([group])
        while queue:
            for other in graph[queue.popleft()]:
                if other in seen:
                    continue
                seen.add(other)
                if other.rank is None:
                    queue.append(other)
                else:
                    near.add(other)
        ranks = [other.rank for other in near if other.rank is not None]
        if group.rank is not None and all(rank > group.rank for rank in ranks):
            first.append(group)
    return first


def _distances(graph: Graph[T], sources: Iterable[T]) -> dict[T, int]:
    distance = dict.fromkeys(sources, 0)
    queue = deque(distance)
    while queue:
        here = queue.popleft()
        for there in graph[here]:
            if there not in distance:
                distance[there] = distance[here] + 1
                queue.append(there)
    return distance


def _spread(graph: Graph[T], ordered: Sequence[T]) -> dict[T, int]:
    """Layers along the longest way through a connected graph; leaves at both sides of a hub."""
    rank = {element: index for index, element in enumerate(ordered)}

    def far_end(start: T) -> T:
        distance = _distances(graph, [start])
        return max(ordered, key=lambda element: (distance[element], -rank[element]))

    one = far_end(ordered[0])
    other = far_end(one)
    start = min(one, other, key=lambda element: rank[element])
    distance = _distances(graph, [start])
    for hub in ordered:
        leaves = [near for near in graph[hub] if len(graph[near]) == 1]
        if distance[hub] != 1 or len(graph[hub]) < 3:
            continue
        leaves.sort(key=lambda element: rank[element])
        if len(leaves) == len(graph[hub]):
            leaves = leaves[: (len(leaves) + 1) // 2]
        distance.update(dict.fromkeys(leaves, 0))
        for leaf in graph[hub]:
            if len(graph[leaf]) == 1 and leaf not in leaves:
                distance[leaf] = 2
    return distance


def _faces(cell: Cell, scene: Scene) -> set[Side]:
    """Towards which neighbouring layers the cell has cables."""
    faces = set()
    for item in cell.items:
        for port in item.ports:
            other = scene.cell_of[port.peer.item]
            if other is not cell and other.layer != cell.layer:
                faces.add(Side.NEXT if other.layer > cell.layer else Side.PREVIOUS)
    return faces


def _inner_columns(cell: Cell, scene: Scene) -> dict[Item, int]:
    members = dict.fromkeys(sorted(cell.items, key=lambda item: item.order))
    graph: Graph[Item] = {
        item: list(
            dict.fromkeys(
                port.peer.item
                for port in item.ports
                if port.peer.item in members and port.peer.item is not item
            )
        )
        for item in members
    }
    faces = _faces(cell, scene)
    side = Side.PREVIOUS if Side.PREVIOUS in faces else Side.NEXT
    doors = [item for item in members if _is_door(item, side, cell, scene)]
    columns = _distances(graph, doors)
    if side is Side.NEXT and columns:
        deepest = max(columns.values())
        columns = {item: deepest - column for item, column in columns.items()}
    for item in members:
        if item not in columns:
            island = _distances(graph, [item])
            columns |= _spread(graph, [other for other in members if other in island])
    _clear_segments(columns)
    return columns


def _clear_segments(columns: dict[Item, int]) -> None:
    """Move leaves out of a segment's column, so that its bar can reach all its stubs."""
    with_bus = {column for item, column in columns.items() if isinstance(item, Bus)}
    for item, column in list(columns.items()):
        near = {port.peer.item for port in item.ports}
        if isinstance(item, Bus) or column not in with_bus or len(near) != 1:
            continue
        (hub,) = near
        further = column + (column - columns.get(hub, column))
        if further != column and further in columns.values():
            columns[item] = further


def _is_door(item: Item, side: Side, cell: Cell, scene: Scene) -> bool:
    others = (scene.cell_of[port.peer.item] for port in item.ports)
    return any((other.layer - cell.layer) * side.value > 0 for other in others)


def _insert_bends(scene: Scene) -> None:
    edges: list[Edge] = []
    for first, second in scene.edges:
        low, high = (first, second) if first.item.column <= second.item.column else (second, first)
        low.side = Side.NEXT
        # A cable's name stands beside its first port; a segment's at its bar.
        low.labelled = len(low.link.ends) == 2
        high.side = Side.NEXT if low.item.column == high.item.column else Side.PREVIOUS
        edges.extend(_pieces(low, high, scene))
    scene.edges[:] = edges


def _pieces(low: Port, high: Port, scene: Scene) -> Iterable[Edge]:
    """The cable cut into pieces that each join neighbouring columns, with bends between them."""
    # Cables only join cells of the same or of neighbouring layers, so every column on the way
    # belongs to the layer of one of the two.
    home, away = scene.cell_of[low.item], scene.cell_of[high.item]
    away_columns: Collection[int] = _columns_of_layer(scene, away.layer)
    here = low
    for column in range(low.item.column + 1, high.item.column):
        bend = Bend(low.item.order, column=column)
        cell = away if column in away_columns and home.layer != away.layer else home
        cell.items.append(bend)
        scene.cell_of[bend] = cell
        enter = Port(bend, low.link, side=Side.PREVIOUS)
        leave = Port(bend, low.link, side=Side.NEXT)
        bend.ports += [enter, leave]
        yield join(here, enter)
        here = leave
    yield join(here, high)


def _columns_of_layer(scene: Scene, layer: int) -> range:
    columns = [
        item.column
        for cell in scene.cells
        if cell.layer == layer
        for item in cell.items
        if not isinstance(item, Bend)
    ]
    return range(min(columns), max(columns) + 1)
