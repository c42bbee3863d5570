"""A topology as plain data and back, in the form people write in files.

:data:`TOPOLOGY` declares the whole format; the published JSON Schema is made from it.  Addresses,
routes, link ends and readiness are texts, durations ``20ms``, rates ``100mbit``, losses ``1%``;
the long forms are read too.  Writing leaves out what has its default, and reading what was written
gives an equal topology.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from testbed.errors import Place, Problem, TestbedError, TopologyError
from testbed.model.checks.gaps import Gaps
from testbed.model.fault import FAULT_KINDS, Fault
from testbed.model.impairment import Impairment
from testbed.model.service import READY_KINDS, Ready, Service
from testbed.model.shapes import (
    Field,
    ListOf,
    MapOf,
    Parsed,
    Quantity,
    Reader,
    Record,
    Shape,
    ShortOr,
    Text,
    Unreadable,
    Whole,
)
from testbed.model.text_forms import (
    FRACTION_PATTERN,
    RATE_PATTERN,
    SECONDS_PATTERN,
    format_end,
    format_fraction,
    format_rate,
    format_ready,
    format_route,
    format_seconds,
    parse_end,
    parse_fraction,
    parse_prefix,
    parse_rate,
    parse_ready,
    parse_route,
    parse_seconds,
    split_end,
)
from testbed.model.topology import (
    ROLES,
    ROUTE_KINDS,
    SWITCHES,
    Interface,
    InterfaceAddress,
    Link,
    MininetSource,
    Node,
    Route,
    Topology,
    parse_address,
)
from testbed.model.tree import Leaf, Tree, from_plain
from testbed.model.validate import in_order, misread, require_valid

_SIMPLE = re.compile(r"[!-~]+")
_END_HINT = 'write "node:interface 192.0.2.1/24"'
_ROUTE_HINT = 'write "default via 192.0.2.1" or "2001:db8::/32 via fe80::1 dev wan"'
_COMMAND_HINT = 'write ["program", "argument"]; a shell line is ["sh", "-c", "..."]'

TEXT = Text()
SECONDS = Quantity(
    float,
    parse_seconds,
    format_seconds,
    SECONDS_PATTERN,
    limits={"minimum": 0},
    words='a duration such as "20ms", or a number of seconds,',
)
RATE = Quantity(
    int,
    parse_rate,
    format_rate,
    RATE_PATTERN,
    limits={"exclusiveMinimum": 0},
    words='a rate such as "100mbit", or a whole number of bit/s,',
)
FRACTION = Quantity(
    float,
    parse_fraction,
    format_fraction,
    FRACTION_PATTERN,
    limits={"minimum": 0, "maximum": 1},
    words='a fraction such as "1%", or a number from 0 to 1,',
)
ADDRESS: Parsed[InterfaceAddress] = Parsed(
    parse_address, "bad-address", r"^[0-9A-Fa-f:.]+/[0-9]+$", 'write "192.0.2.1/24"'
)
PREFIX = Parsed(parse_prefix, "bad-route", r"^[0-9A-Fa-f:.]+(/[0-9A-Fa-f:.]+)?$")


def _taking(*names: str) -> Any:
    """A function from an object to those attributes by name."""
    return lambda value: {name: attrgetter(name)(value) for name in names}


IMPAIRMENT = Record(
    "How bad a direction of a link is.",
    {
        "rate": Field(RATE, 'rate limit: "100mbit", or bit/s'),
        "delay": Field(SECONDS, 'one-way delay: "20ms", or seconds', 0.0),
        "jitter": Field(SECONDS, "how far the delay varies either way", 0.0),
        "loss": Field(FRACTION, 'packets lost: "1%", or 0 to 1', 0.0),
        "reorder": Field(FRACTION, "packets sent without the delay, before others", 0.0),
        "duplicate": Field(FRACTION, "packets sent twice", 0.0),
        "corrupt": Field(FRACTION, "packets with one bit flipped", 0.0),
        "queue": Field(Whole(1), "queue limit in packets"),
    },
    lambda values, _: Impairment(**values),
    _taking("rate", "delay", "jitter", "loss", "reorder", "duplicate", "corrupt", "queue"),
)


def _read_route(leaf: Leaf, path: str, reader: Reader) -> Route:
    try:
        return parse_route(str(leaf.value), leaf.place)
    except ValueError as error:
        reader.problem("bad-route", str(error), path, leaf.place, _ROUTE_HINT)
        raise Unreadable from None


ROUTE: Shape[Route] = ShortOr(
    _read_route,
    format_route,
    r"\S",
    Record(
        "A static route.",
        {
            "to": Field(PREFIX, "destination prefix", required=True),
            "via": Field(TEXT, "next hop address"),
            "dev": Field(TEXT, "interface it leads out of"),
            "kind": Field(Text(choices=ROUTE_KINDS), "what happens to packets", "unicast"),
            "metric": Field(Whole(0, 2**32 - 1), "lower is preferred"),
            "mtu": Field(Whole(68, 65535), "path MTU in bytes"),
        },
        lambda values, place: Route(**values, place=place),
        _taking("to", "via", "dev", "kind", "metric", "mtu"),
    ),
    "a route",
)


def _read_ready(leaf: Leaf, path: str, reader: Reader) -> Ready:
    try:
        return parse_ready(str(leaf.value))
    except ValueError as error:
        reader.problem("bad-ready", str(error), path, leaf.place, 'write "tcp 80" or "notify"')
        raise Unreadable from None


READY: Shape[Ready] = ShortOr(
    _read_ready,
    format_ready,
    rf"^({'|'.join(READY_KINDS)})( [\s\S]*)?$",
    Record(
        "How one knows that a service is ready.",
        {
            "kind": Field(Text(choices=READY_KINDS), "what to wait for", required=True),
            "value": Field(Text(numbers=True), "port, pattern, path or command", ""),
            "timeout": Field(SECONDS, "how long to wait at most", 10.0),
        },
        lambda values, _: Ready(**values),
        _taking("kind", "value", "timeout"),
    ),
    "a readiness condition",
)

SERVICE = Record(
    "A process a node runs for as long as the lab is up.",
    {
        "command": Field(
            ListOf(TEXT, _COMMAND_HINT),
            "program and arguments; {run} is the service's own folder, {python} the interpreter",
            (),
            required=True,
        ),
        "ready": Field(READY, 'when it is ready: "tcp 80", "notify", "log PATTERN"', Ready()),
        "files": Field(MapOf(TEXT), "files written into its folder before the start", ()),
        "env": Field(MapOf(Text(numbers=True)), "environment variables", ()),
        "after": Field(ListOf(TEXT), "services (node/service) that must be ready before", ()),
        "secrets": Field(
            ListOf(Text(secret=True)), "values that must never appear in logs or reports", ()
        ),
        "stop_signal": Field(TEXT, "signal that ends it: TERM, INT...", "TERM"),
        "stop_timeout": Field(SECONDS, "how long it may take to end", 5.0),
        "needs": Field(ListOf(TEXT), "kernel features as testbed doctor names them", ()),
        "capabilities": Field(
            ListOf(TEXT), "what its container must allow it: NET_ADMIN (capabilities(7))", ()
        ),
        "devices": Field(ListOf(TEXT), "what its container must have: /dev/net/tun", ()),
    },
    lambda values, place: Service(name="", **values, place=place),
    _taking(
        "command",
        "ready",
        "files",
        "env",
        "after",
        "secrets",
        "stop_signal",
        "stop_timeout",
        "needs",
        "capabilities",
        "devices",
    ),
)


def _named(pairs: tuple[tuple[str, Any], ...]) -> tuple[Any, ...]:
    return tuple(replace(item, name=name) for name, item in pairs)


def _by_name(items: tuple[Any, ...]) -> tuple[tuple[str, Any], ...]:
    return tuple((item.name, item) for item in items)


def _build_node(values: dict[str, Any], place: Place | None) -> Node:
    services = _named(values.pop("services", ()))
    return Node(name="", services=services, **values, place=place)


NODE = Record(
    "A host, router or switch.",
    {
        "role": Field(Text(choices=ROLES), "what it does with packets of others", "host"),
        "note": Field(TEXT, "a remark for the drawing", ""),
        "routes": Field(ListOf(ROUTE), 'static routes: "default via 192.0.2.1"', ()),
        "services": Field(MapOf(SERVICE), "processes it runs, by name", ()),
        "sysctls": Field(MapOf(Text(numbers=True)), "kernel settings: net.ipv4...", ()),
        "files": Field(MapOf(TEXT), "text files laid over its own view of the file system", ()),
        "firewall": Field(TEXT, "nftables ruleset"),
        "switch": Field(Text(choices=SWITCHES), "what a switch is inside; a bridge if left out"),
        "backend": Field(TEXT, "what makes it: netns, mininet, docker; none: as the others"),
        "image": Field(TEXT, "what it is made from where it is a container"),
    },
    _build_node,
    lambda node: (
        _taking(
            "role", "note", "routes", "sysctls", "files", "firewall", "switch", "backend", "image"
        )(node)
        | {"services": _by_name(node.services)}
    ),
    may_be_empty=True,
)


def _read_end(leaf: Leaf, path: str, reader: Reader) -> Interface:
    try:
        node, name, words = split_end(str(leaf.value))
    except ValueError as error:
        reader.problem("bad-end", str(error), path, leaf.place, _END_HINT)
        raise Unreadable from None
    addresses = []
    for index, (offset, word) in enumerate(words):
        place, below = leaf.place, f"{path}.addresses[{index}]"
        if leaf.text_at is not None and leaf.text_at.column is not None:
            place = replace(leaf.text_at, column=leaf.text_at.column + offset)
        reader.see(below, place)
        try:
            addresses.append(parse_address(word))
        except ValueError as error:
            reader.problem("bad-address", str(error), below, place, _END_HINT)
            reader.gaps.add_item(f"{path}.addresses", index)
    return Interface(node=node, name=name, addresses=tuple(addresses), place=leaf.place)


def _format_end(end: Interface) -> str | None:
    text = format_end(end)
    simple = _SIMPLE.fullmatch(end.name) and ":" not in end.node and "%" not in text
    if simple and _SIMPLE.fullmatch(end.node) and (end.mac, end.impairment) == (None, None):
        return text  # reading it back, to be sure, is what costs
    try:
        return text if parse_end(text) == end else None
    except ValueError:
        return None


END: Shape[Interface] = ShortOr(
    _read_end,
    _format_end,
    r"^\s*[^\s:]+:\S+(\s+[0-9A-Fa-f:.]+/[0-9]+)*\s*$",
    Record(
        "One end of a link: an interface of a node.",
        {
            "node": Field(TEXT, "name of the node", required=True),
            "interface": Field(TEXT, "name of its interface, at most 15 bytes", required=True),
            "addresses": Field(ListOf(ADDRESS), "addresses with prefix length", ()),
            "mac": Field(TEXT, "Ethernet address: 02:00:00:00:00:01"),
            "impairment": Field(IMPAIRMENT, "impairment of what leaves this end"),
        },
        lambda values, place: Interface(
            node=values.pop("node"), name=values.pop("interface"), **values, place=place
        ),
        lambda end: {
            "node": end.node,
            "interface": end.name,
            "addresses": end.addresses,
            "mac": end.mac,
            "impairment": end.impairment,
        },
    ),
    "the end of a link",
)

LINK = Record(
    "A cable (two ends) or a LAN segment (more).",
    {
        "ends": Field(
            ListOf(END), '"node:interface address address", two or more', (), required=True
        ),
        "mtu": Field(Whole(68, 65535), "largest packet in bytes", 1500),
        "impairment": Field(IMPAIRMENT, "impairment in every direction"),
        "note": Field(TEXT, "a remark for the drawing", ""),
    },
    lambda values, place: Link(name="", **values, place=place),
    _taking("ends", "mtu", "impairment", "note"),
)

FAULT = Record(
    "What goes wrong, on demand or at a time.",
    {
        "kind": Field(Text(choices=FAULT_KINDS), "what happens", required=True),
        "target": Field(TEXT, "link, node:interface, node/service or node", required=True),
        "at": Field(SECONDS, "how long after the lab is up; left out: on demand"),
        "impairment": Field(IMPAIRMENT, "for impair: what the link becomes"),
        "addresses": Field(ListOf(TEXT), "for set-addresses: the new addresses", ()),
    },
    lambda values, place: Fault(**values, place=place),
    _taking("kind", "target", "at", "impairment", "addresses"),
)


MININET_SOURCE = Record(
    "A Topo class of Mininet's that Mininet itself builds.",
    {
        "file": Field(TEXT, "the Python file with the class, an absolute path", required=True),
        "topo": Field(TEXT, "the class, and arguments behind commas: MyTopo,3", required=True),
        "options": Field(ListOf(TEXT), "words of mn: --switch, --link, --controller...", ()),
    },
    lambda values, _: MininetSource(**values),
    _taking("file", "topo", "options"),
)


def _build_topology(values: dict[str, Any], place: Place | None) -> Topology:
    values.pop("$schema", None)
    for key in ("nodes", "links"):
        values[key] = _named(values.get(key, ()))
    return Topology(**values, source=place.file if place is not None else None)


TOPOLOGY = Record(
    "A lab: nodes joined by links.",
    {
        "$schema": Field(TEXT, "where editors find this schema; means nothing here"),
        "name": Field(TEXT, "name of the lab", "", required=True),
        "title": Field(TEXT, "one line for people", ""),
        "seed": Field(Whole(), "what chance in the lab starts from", 0),
        "mininet": Field(MININET_SOURCE, "what builds nodes and links instead of the engine"),
        "nodes": Field(MapOf(NODE), "the nodes by name", (), required=True),
        "links": Field(MapOf(LINK), "the links by name", ()),
        "groups": Field(MapOf(ListOf(TEXT)), "boxes of the drawing: title, and node names", ()),
        "faults": Field(ListOf(FAULT), "what can go wrong", ()),
    },
    _build_topology,
    lambda topology: {
        "$schema": None,
        "name": topology.name,
        "title": topology.title,
        "seed": topology.seed,
        "mininet": topology.mininet,
        "nodes": _by_name(topology.nodes),
        "links": _by_name(topology.links),
        "groups": topology.groups,
        "faults": topology.faults,
    },
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a tree says: a topology where it could be read at all, problems, and places by path."""

    topology: Topology | None
    problems: tuple[Problem, ...]
    places: Mapping[str, Place]
    gaps: Gaps


def decode(tree: Tree) -> Decoded:
    """Read a tree; no check beyond the form is made."""
    reader = Reader()
    try:
        topology = TOPOLOGY.read(tree, "", reader)
    except Unreadable:
        topology = None
    reader.gaps.settle()
    return Decoded(topology, tuple(reader.problems), reader.places, reader.gaps)


def valid_topology(tree: Tree, early: list[Problem], name: str) -> Topology:
    """The topology a tree says, checked; ``name`` is for messages when it does not say its own.

    Raises:
        TopologyError: with every problem found, each at its place.
    """
    decoded = decode(tree)
    topology = decoded.topology
    form = (*early, *decoded.problems)
    if topology is None:
        raise TopologyError(name, in_order(form))
    if form:
        raise misread(topology.name or name, form, topology, decoded.places, decoded.gaps)
    return require_valid(topology, decoded.places)


def from_dict(data: object) -> Topology:
    """A checked topology from plain data (see :func:`to_dict`).

    Raises:
        TopologyError: with every problem found.
    """
    problems: list[Problem] = []
    return valid_topology(from_plain(data, problems), problems, "topology")


def to_dict(topology: Topology) -> dict[str, Any]:
    """The topology as dicts, lists and scalars; ``from_dict`` gives an equal one back.

    The secrets of services are in it, as they are in the author's file: not for logs or reports.

    Raises:
        TestbedError: two things have one name, which this form cannot hold.
    """
    try:
        data: dict[str, Any] = TOPOLOGY.write(topology)
    except ValueError as error:
        raise TestbedError(str(error), where=topology.name, hint="validate the topology") from None
    return data
