"""Where the drawing puts things: nothing overlaps, no line runs through a box or a word."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, settings

from testbed.evidence.graph import layout
from testbed.evidence.graph.drawing import Drawing, LinkShape, Point, Rect, Text
from testbed.model.topology import Topology
from tests.evidence.strategies import topologies

MANY = settings(max_examples=40, deadline=None)
Segment = tuple[Point, Point]


def segments(link: LinkShape) -> list[Segment]:
    return [piece for path in link.paths for piece in pairwise(path)]


def area(segment: Segment, width: float = 0.0) -> Rect:
    """The rectangle a level or upright line covers."""
    (x, y), (x2, y2) = segment
    assert x == x2 or y == y2, "lines are level or upright"
    return Rect(
        min(x, x2) - width / 2, min(y, y2) - width / 2, abs(x - x2) + width, abs(y - y2) + width
    )


def crosses(segment: Segment, rect: Rect) -> bool:
    """True when the line enters the inside of the rectangle."""
    line = area(segment)
    return (
        line.x < rect.x + rect.width - 0.5
        and rect.x + 0.5 < line.x + line.width
        and line.y < rect.y + rect.height - 0.5
        and rect.y + 0.5 < line.y + line.height
    )


def near(one: Point, two: Point) -> bool:
    return abs(one[0] - two[0]) < 0.01 and abs(one[1] - two[1]) < 0.01


def texts(drawing: Drawing) -> list[Text]:
    found = list(drawing.heading)
    found += [group.title for group in drawing.groups]
    for link in drawing.links:
        found += [link.title, *link.texts]
    for node in drawing.nodes:
        found += [node.title, *node.texts]
        found += [text for port in node.ports for text in port.texts]
    return found


def inside(inner: Rect, outer: Rect) -> bool:
    return (
        outer.x <= inner.x + 0.01
        and outer.y <= inner.y + 0.01
        and inner.x + inner.width <= outer.x + outer.width + 0.01
        and inner.y + inner.height <= outer.y + outer.height + 0.01
    )


@MANY
@given(topologies())
def test_boxes_never_overlap(topology: Topology) -> None:
    drawing = layout(topology)
    assert [node.name for node in drawing.nodes] == [node.name for node in topology.nodes]
    for one, two in combinations(drawing.nodes, 2):
        assert not one.box.overlaps(two.box), (one.name, two.name)
    for group, other in combinations(drawing.groups, 2):
        assert not group.box.overlaps(other.box)
    bars = [link.bar for link in drawing.links if link.bar]
    for node in drawing.nodes:
        assert not any(node.box.overlaps(bar) for bar in bars)
    for bar, another in combinations(bars, 2):
        assert not bar.overlaps(another)


@MANY
@given(topologies())
def test_groups_hold_their_members_and_nobody_else(topology: Topology) -> None:
    drawing = layout(topology)
    first_group: dict[str, int] = {}
    for rank, (_, members) in enumerate(topology.groups):
        for name in members:
            first_group.setdefault(name, rank)
    for group in drawing.groups:
        for node in drawing.nodes:
            if first_group.get(node.name) == group.rank:
                assert inside(node.box, group.box), node.name
            else:
                assert not node.box.overlaps(group.box), node.name
    assert {group.rank for group in drawing.groups} == set(first_group.values())


@MANY
@given(topologies())
def test_words_never_overlap_and_stay_in_their_box(topology: Topology) -> None:
    drawing = layout(topology)
    for one, two in combinations(texts(drawing), 2):
        assert not one.rect.overlaps(two.rect), (one, two)
    for node in drawing.nodes:
        own = [node.title, *node.texts, *(text for port in node.ports for text in port.texts)]
        assert all(inside(text.rect, node.box) for text in own)
        for link in drawing.links:
            assert not any(text.rect.overlaps(node.box) for text in (link.title, *link.texts))
    for group in drawing.groups:
        assert inside(group.title.rect, group.box)
    page = Rect(0, 0, drawing.width, drawing.height)
    assert all(inside(text.rect, page) for text in texts(drawing))


@MANY
@given(topologies())
def test_lines_run_through_no_box_and_no_word(topology: Topology) -> None:
    drawing = layout(topology)
    page = Rect(0, 0, drawing.width, drawing.height)
    words = texts(drawing)
    for link in drawing.links:
        for segment in segments(link):
            assert inside(area(segment), page)
            for node in drawing.nodes:
                assert not crosses(segment, node.box), (link.name, node.name)
            for text in words:
                assert not crosses(segment, text.rect), (link.name, text)


@MANY
@given(topologies())
def test_every_cable_runs_from_dot_to_dot(topology: Topology) -> None:
    drawing = layout(topology)
    dots = {port.label: port.dot for node in drawing.nodes for port in node.ports}
    boxes = {node.name: node.box for node in drawing.nodes}
    shapes = {shape.name: shape for shape in drawing.links}
    assert sorted(shapes) == sorted(link.name for link in topology.links)
    for link in topology.links:
        shape = shapes[link.name]
        ends = [end for path in shape.paths for end in (path[0], path[-1])]
        for end in link.ends:
            dot = dots[end.label]
            box = boxes[end.node]
            assert any(near(dot, place) for place in ends)
            assert min(abs(dot[0] - box.x), abs(dot[0] - box.x - box.width)) < 0.01
            assert box.y < dot[1] < box.y + box.height
        if shape.bar is None:
            assert len(link.ends) == 2
            assert len(shape.paths) == 1
        else:
            assert len(shape.paths) == len(link.ends)
            for path in shape.paths:
                assert any(inside(Rect(x, y, 0, 0), shape.bar) for x, y in (path[0], path[-1])), (
                    link.name
                )


@MANY
@given(topologies())
def test_no_two_links_lie_on_each_other(topology: Topology) -> None:
    drawing = layout(topology)
    for one, two in combinations(drawing.links, 2):
        for a in segments(one):
            for b in segments(two):
                upright = a[0][0] == a[1][0]
                if upright == (b[0][0] == b[1][0]):
                    # Parallel lines: together less than 3 px apart they would look like one.
                    first, second = area(a, 1.5), area(b, 1.5)
                    assert not first.overlaps(second, slack=1.6), (one.name, two.name, a, b)
