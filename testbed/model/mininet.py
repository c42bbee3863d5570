"""Topologies that Mininet builds: where the class is, and what it said it would build."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from testbed.model.impairment import Impairment
from testbed.model.topology import (
    HOST,
    MININET,
    ROUTER,
    SWITCH,
    Interface,
    Link,
    MininetSource,
    Node,
    Topology,
    parse_address,
)

_TC_TIMES = {
    **dict.fromkeys(("s", "sec", "secs"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs"), 1e-3),
    **dict.fromkeys(("us", "usec", "usecs", ""), 1e-6),  # tc takes a mere number for microseconds
}
_TC_TIME = re.compile(r"\s*([0-9.]+)\s*([a-z]*)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Words:
    """What the Mininet side told of a network, as it came over its channel or output."""

    nodes: Sequence[Mapping[str, Any]]
    links: Sequence[Mapping[str, Any]]


def topology_of(words: Words, source: MininetSource, name: str) -> Topology:
    """The topology in those words; nothing is checked.

    Args:
        words: ``nodes`` with ``name``, ``role`` and ``class``; ``links`` with two ``ends``:
            ``node``, ``interface``, ``addresses``, ``mac`` and ``tc``, the parameters of TCIntf.
        source: where the class is.
        name: of the topology.
    """
    return Topology(
        name=name,
        title=f"{source.topo}, built by Mininet",
        nodes=tuple(_node(node) for node in words.nodes),
        links=tuple(_links(words.links)),
        mininet=source,
    )


def _node(words: Mapping[str, Any]) -> Node:
    role = words["role"] if words["role"] in (SWITCH, ROUTER) else HOST
    return Node(name=words["name"], role=role, backend=MININET, note=str(words.get("class", "")))


def _links(links: Sequence[Mapping[str, Any]]) -> Iterator[Link]:
    taken: set[str] = set()
    for link in links:
        left, right = (_end(end) for end in link["ends"])
        name = stem = f"{left.node}-{right.node}"
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        yield Link(name, (left, right), mtu=int(link.get("mtu") or 1500))


def _end(words: Mapping[str, Any]) -> Interface:
    return Interface(
        node=words["node"],
        name=words["interface"],
        addresses=tuple(parse_address(text) for text in words.get("addresses", ())),
        mac=words.get("mac"),
        impairment=impairment_of(words.get("tc") or {}),
    )


def impairment_of(parameters: Mapping[str, Any]) -> Impairment | None:
    """What Mininet's TCIntf makes of its parameters; None where that is nothing.

    ``bw`` is in Mbit/s, ``delay`` and ``jitter`` are times of tc(8) (``5ms``), ``loss`` per cent,
    ``max_queue_size`` packets.

    Raises:
        ValueError: a time is none.
    """
    rate, loss = parameters.get("bw"), parameters.get("loss")
    found = Impairment(
        rate=None if rate is None else round(float(rate) * 1e6),
        delay=_seconds(parameters.get("delay")),
        jitter=_seconds(parameters.get("jitter")),
        loss=0.0 if loss is None else float(loss) / 100,
        queue=parameters.get("max_queue_size"),
    )
    return None if found == Impairment() else found


def _seconds(value: object) -> float:
    if value is None:
        return 0.0
    match = _TC_TIME.fullmatch(str(value))
    unit = None if match is None else _TC_TIMES.get(match[2].lower())
    if match is None or unit is None:
        raise ValueError(f"{value!r} is no time for tc")
    return round(float(match[1]) * unit, 9)


def with_contents_of(built: Topology, wanted: Topology) -> Topology:
    """What Mininet built, with the name, services, firewalls, faults and impairments asked for."""
    asked = {node.name: node for node in wanted.nodes}
    worse = {end.label: impairment for end, impairment in impaired_besides(built, wanted)}
    links = (
        replace(
            link,
            ends=tuple(
                replace(end, impairment=worse.get(end.label, end.impairment)) for end in link.ends
            ),
        )
        for link in built.links
    )
    nodes = (
        replace(asked[node.name], role=node.role, note=node.note) if node.name in asked else node
        for node in built.nodes
    )
    return replace(wanted, nodes=tuple(nodes), links=tuple(links))


def impaired_besides(built: Topology, wanted: Topology) -> Iterator[tuple[Interface, Impairment]]:
    """The interfaces that are to be worse than Mininet made them, and how bad."""
    asked = {
        end.label: end.impairment or link.impairment for link in wanted.links for end in link.ends
    }
    for link in built.links:
        for end in link.ends:
            impairment = asked.get(end.label)
            if impairment is not None and impairment != end.impairment:
                yield end, impairment
