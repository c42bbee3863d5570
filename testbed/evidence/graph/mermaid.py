"""A topology as a Mermaid flowchart, for pages that render Mermaid themselves."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.evidence.graph.columns import assign_columns, components
from testbed.evidence.graph.metrics import printable
from testbed.evidence.graph.scene import Bus, Card, Cell, Item, Scene, build_scene
from testbed.evidence.graph.words import impairment_words, link_words
from testbed.model.topology import HOST, ROUTER, SWITCH, Interface, Node, Topology

_SHAPES = {HOST: ('["', '"]'), ROUTER: ('(["', '"])'), SWITCH: ('[["', '"]]')}
_SEGMENT = ('{{"', '"}}')


def draw_mermaid(topology: Topology) -> str:
    """The topology as ``flowchart LR`` text.

    Mermaid has no labels at the ends of a line: a cable's label names both ends with their
    addresses, a LAN segment is a node of its own whose stubs carry one end each.

    Raises:
        DrawingError: a link or group names a node that does not exist, or two nodes share a name.
    """
    return "\n".join(_lines(topology)) + "\n"


def _lines(topology: Topology) -> Iterator[str]:
    scene = build_scene(topology)
    names = _identifiers(scene)
    if topology.title:
        yield from ("---", f'title: "{_title(topology.title)}"', "---")
    yield "flowchart LR"
    for number, cell in enumerate(scene.cells):
        yield from _cell(cell, number, names)
    for part in components(scene):
        assign_columns(part)  # so that lines can be written from left to right
    for low, high in (sorted(edge, key=lambda port: port.item.column) for edge in scene.edges):
        ends = [_end(port.end) for port in (low, high) if port.end is not None]
        if len(ends) == 2:
            ends = [_quoted(low.link.name), *map(_quoted, link_words(low.link)), *ends]
        yield f'  {names[low.item]} ---|"{"<br/>".join(ends)}"| {names[high.item]}'


def _identifiers(scene: Scene) -> dict[Item, str]:
    names: dict[Item, str] = {}
    buses = 0
    for cell in scene.cells:
        for item in cell.items:
            if isinstance(item, Bus):
                names[item] = f"segment{buses}"
                buses += 1
            else:
                names[item] = f"node{item.order}"
    return names


def _cell(cell: Cell, number: int, names: dict[Item, str]) -> Iterator[str]:
    indent = "  "
    if cell.title is not None:
        yield f'  subgraph group{number}["{_quoted(cell.title)}"]'
        indent = "    "
    for item in cell.items:
        if isinstance(item, Card):
            start, end = _SHAPES.get(item.node.role, _SHAPES[HOST])
            yield f"{indent}{names[item]}{start}{_node(item.node)}{end}"
        elif isinstance(item, Bus):
            words = [f"<b>{_quoted(item.link.name)}</b>", *map(_quoted, link_words(item.link))]
            yield f"{indent}{names[item]}{_SEGMENT[0]}{'<br/>'.join(words)}{_SEGMENT[1]}"
    if cell.title is not None:
        yield "  end"


def _node(node: Node) -> str:
    words = [f"<b>{_quoted(node.name)}</b>"]
    if node.note:
        words.append(f"<i>{_quoted(node.note)}</i>")
    if node.services:
        words.append("runs " + _quoted(", ".join(service.name for service in node.services)))
    return "<br/>".join(words)


def _end(end: Interface) -> str:
    words = [end.label, *map(str, end.addresses), *impairment_words(end.impairment)]
    return " ".join(_quoted(word) for word in words)


def _quoted(text: str) -> str:
    """Text for a quoted label: letters and digits as they are, what Mermaid reads as entities."""
    return "".join(
        c if c.isalnum() or c in " .:/,_-±%+" else f"#{ord(c)};" for c in printable(text)
    )


def _title(text: str) -> str:
    """Text for the YAML front matter, double-quoted."""
    return printable(text).replace("\\", "\\\\").replace('"', '\\"')
