"""A topology in which everything occurs, without the weight of the test tools."""

from __future__ import annotations

from testbed.model.topology import Interface, Link, Node, Topology


def busy() -> Topology:
    """A topology with groups, segments, loops and cables between all parts."""
    names = [f"n{index}" for index in range(12)]
    links = [
        Link(
            f"c{index}",
            (
                Interface(names[index * 5 % 12], f"a{index}"),
                Interface(names[(index * 7 + 1) % 12], f"b{index}"),
            ),
        )
        for index in range(14)
    ]
    lan = Link("lan", tuple(Interface(name, "lan") for name in names[:4]))
    groups = (("One", tuple(names[:4])), ("Two", tuple(names[4:7])), ("Three", tuple(names[7:9])))
    return Topology("busy", "Busy", tuple(map(Node, names)), (*links, lan), groups)
