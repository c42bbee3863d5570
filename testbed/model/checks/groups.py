"""Groups: the boxes of the drawing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from testbed.errors import Place, Problem
from testbed.model.checks.index import Index
from testbed.model.checks.suggest import did_you_mean
from testbed.model.topology import Topology

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _place(topology: Topology) -> Place | None:
    return Place(topology.source) if topology.source else None


def check_values(topology: Topology) -> Iterator[Problem]:
    """Titles that are no titles, and boxes round nothing."""
    place = _place(topology)
    for title, members in topology.groups:
        path = f"groups.{title}"
        if not title.strip() or _CONTROL.search(title):
            what = f"{title!r} cannot be the title of a group"
            yield Problem("bad-text", what, path, place, "write one line of text")
        if not members:
            yield Problem("empty-group", f"the group {title!r} has no nodes", path, place)
        for name in dict.fromkeys(members):
            if members.count(name) > 1:
                what = f"the group {title!r} names {name!r} twice"
                yield Problem("duplicate-member", what, path, place)


def check_members(index: Index) -> Iterator[Problem]:
    """Unknown nodes, titles used twice, and boxes that cannot be drawn because they cross."""
    place = _place(index.topology)
    before: list[tuple[str, frozenset[str]]] = []
    for title, members in index.topology.groups:
        path = f"groups.{title}"
        for position, name in enumerate(members):
            if name not in index.nodes and not index.may_have_node(name):
                what = f"the group {title!r} names {name!r}, and there is no such node"
                hint = did_you_mean(name, index.nodes, "nodes")
                yield Problem("unknown-node", what, f"{path}[{position}]", place, hint)
        mine = frozenset(members)
        for other, theirs in before:
            if other == title:
                what = f"there are two groups named {title!r}"
                yield Problem("duplicate-group", what, path, place, "give each its own title")
            elif index.gaps.touch(path) or index.gaps.touch(f"groups.{other}"):
                continue  # with the members not read, one may be inside the other
            elif mine & theirs and not (mine <= theirs or theirs <= mine):
                shared = ", ".join(sorted(mine & theirs))
                what = f"the groups {other!r} and {title!r} cross: both have {shared}"
                hint = "a box can be inside another, not partly"
                yield Problem("crossing-groups", what, path, place, hint)
        before.append((title, mine))
