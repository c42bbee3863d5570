"""Subnets that overlap though they are on different segments.

A prefix in one place only is the rule of routing; but two homes behind address sharing both use
192.168.1.0/24, and that is what this testbed is about.  So an overlap is a mistake when

1. one node has an address in both: it would have two routes to the same place;
2. the prefix is globally unique (neither private, shared, unique local nor the like, see
   :func:`~testbed.model.checks.addresses.is_reusable`): it belongs to one place in the whole lab;
3. it is reusable, but the two segments are joined by routers none of which can be a translator
   (:func:`~testbed.model.checks.index.forwards_plainly`: no service, no firewall rules).

Host addresses (/32, /128) are in no subnet: anycast, unnumbered links and a MAP-E CE's own address
inside the prefix of its home stay possible.  Link-local prefixes are on every link.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from testbed.errors import Problem
from testbed.model.checks.addresses import fault_of_address, is_link_local, is_reusable
from testbed.model.checks.index import Held, Index
from testbed.model.topology import Prefix

_NODE_HINT = "give the two interfaces different subnets, or one of them a host address (/32, /128)"
_GLOBAL_HINT = (
    "give one link another subnet; only private, shared and unique local prefixes can be used twice"
)
_DOMAIN_HINT = "give one link another subnet, or let a router between them translate addresses"


@dataclass(slots=True)
class _Seen:
    """Who has an address in a subnet: first holders by node, by domain, and the very first."""

    network: Prefix
    by_node: dict[str, Held] = field(default_factory=dict)
    by_domain: dict[Hashable, Held] = field(default_factory=dict)
    first: Held | None = None

    def add(self, item: Held, domain: Hashable) -> None:
        self.by_node.setdefault(item.end.interface.node, item)
        self.by_domain.setdefault(domain, item)
        self.first = self.first or item


def check_overlaps(index: Index) -> Iterator[Problem]:
    """Overlaps by the rules above, each pair of segments and subnets once."""
    reported: set[frozenset[object]] = set()
    for item, other, rule in _candidates(index):
        networks = (item.address.network, other.address.network)
        segments = (_segment(index, item), _segment(index, other))
        pair = frozenset(zip(segments, networks, strict=True))
        if pair not in reported:
            reported.add(pair)
            later_first = segments[0] >= segments[1]  # the author's later line is the one to mend
            yield _overlap(*((item, other) if later_first else (other, item)), rule)


def _segment(index: Index, item: Held) -> int:
    return index.segment_of[id(item.end.link)].number


def _candidates(index: Index) -> Iterator[tuple[Held, Held, int]]:
    """Each address that overlaps an earlier one, with that one and the rule it breaks.

    Prefixes are either nested or apart, so walking them in order with those that contain the
    present one on a stack finds every overlap without comparing all with all.
    """
    held = [
        item
        for segment in index.segments
        for item in segment.held
        if item.is_subnet
        and not is_link_local(item.address.network)
        and fault_of_address(item.address.ip) is None
    ]
    held.sort(key=_walking_order)  # stable: equal subnets stay in the author's order
    stack: list[_Seen] = []
    for item in held:
        network = item.address.network
        while stack and not _contains(stack[-1].network, network):
            stack.pop()
        if not stack or stack[-1].network != network:
            stack.append(_Seen(network))
        domain = index.domain_of[_segment(index, item)]
        for seen in stack:
            found = _broken_rule(index, item, seen, domain)
            if found is not None:
                yield item, *found
        stack[-1].add(item, domain)


def _walking_order(item: Held) -> tuple[int, int, int]:
    network = item.address.network
    return (network.version, int(network.network_address), network.prefixlen)


def _contains(outer: Prefix, inner: Prefix) -> bool:
    return outer.version == inner.version and inner.network_address in outer


def _broken_rule(
    index: Index, item: Held, seen: _Seen, domain: Hashable
) -> tuple[Held, int] | None:
    node = seen.by_node.get(item.end.interface.node)
    if node is not None and node.end.interface is not item.end.interface:
        return node, 1
    here = _segment(index, item)
    both_reusable = is_reusable(seen.network) and is_reusable(item.address.network)
    if not both_reusable and seen.first is not None and _apart(index, here, seen.first):
        return seen.first, 2
    near = seen.by_domain.get(domain)
    if near is not None and _apart(index, here, near):
        return near, 3
    return None


def _apart(index: Index, here: int, item: Held) -> bool:
    """True when it is on another segment, and nothing unread can make them one."""
    there = _segment(index, item)
    return there != here and not (index.segments[here].may_grow and index.segments[there].may_grow)


def _overlap(item: Held, other: Held, rule: int) -> Problem:
    mine, theirs = item.address.network, other.address.network
    subnets = f"{mine}" if mine == theirs else f"{mine}, which overlaps {theirs},"
    first, second = item.end.interface.label, other.end.interface.label
    links = f"on link {item.end.link.name!r} and on link {other.end.link.name!r}"
    if rule == 1:
        what = f"one node has {subnets} twice: {first} and {second}"
        hint = _NODE_HINT
    elif rule == 2:
        what = f"the subnet {subnets} is {links} ({first}, {second})"
        hint = _GLOBAL_HINT
    else:
        what = f"the subnet {subnets} is {links}, and plain routing joins them ({first}, {second})"
        hint = _DOMAIN_HINT
    return Problem("overlapping-subnets", what, item.path, item.end.place, hint)
