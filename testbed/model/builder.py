"""A topology written in Python reads like the drawing: nodes, and links with addresses at each end.

    lab = Builder("two-hosts", "Two hosts on a cable")
    lab.host("alice")
    lab.host("bob")
    lab.link("cable", "alice:eth0 192.0.2.1/24", "bob:eth0 192.0.2.2/24", mtu=1500)
    topology = lab.build()

``build()`` validates and raises :class:`~testbed.errors.TopologyError` with *all* problems, each at
the author's own line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path

from testbed.errors import Place, Problem, TopologyError
from testbed.model.fault import Fault
from testbed.model.impairment import Impairment
from testbed.model.service import Service
from testbed.model.topology import (
    HOST,
    ROUTER,
    SWITCH,
    Interface,
    InterfaceAddress,
    Link,
    Node,
    Prefix,
    Route,
    Topology,
    parse_address,
)

RouteText = str | Route


def _author_place() -> Place | None:
    """The nearest line of code outside this module: where the author wrote the thing."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename == __file__:
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


class Builder:
    """Collects nodes and links; nothing is checked before :meth:`build`, then everything is."""

    def __init__(self, name: str, title: str = "", *, seed: int = 0) -> None:
        place = _author_place()
        self._source = place.file if place else None
        self._name, self._title, self._seed = name, title, seed
        self._nodes: list[Node] = []
        self._links: list[Link] = []
        self._groups: list[tuple[str, tuple[str, ...]]] = []
        self._faults: list[Fault] = []
        self._problems: list[Problem] = []

    def host(self, name: str, **options: object) -> None:
        """Add a node that originates and receives packets. Options as for :meth:`node`."""
        self.node(name, role=HOST, **options)  # type: ignore[arg-type]  # forwarded as they are

    def router(self, name: str, **options: object) -> None:
        """Add a node that forwards IPv4 and IPv6. Options as for :meth:`node`."""
        self.node(name, role=ROUTER, **options)  # type: ignore[arg-type]  # forwarded as they are

    def switch(self, name: str, **options: object) -> None:
        """Add an Ethernet switch: its interfaces are ports of one bridge, without addresses."""
        self.node(name, role=SWITCH, **options)  # type: ignore[arg-type]  # forwarded as they are

    def node(
        self,
        name: str,
        *,
        role: str = HOST,
        routes: Iterable[RouteText] = (),
        services: Iterable[Service] = (),
        sysctls: Mapping[str, str | int] | None = None,
        files: Mapping[str, str] | None = None,
        firewall: str | None = None,
        backend: str | None = None,
        image: str | None = None,
        note: str = "",
    ) -> None:
        """Add a node.

        ``routes`` are :class:`Route` objects or text: ``"default via 192.0.2.1"``,
        ``"2001:db8::/32 via fe80::1 dev wan"``, ``"203.0.113.0/24 blackhole"``.
        """
        place = _author_place()
        self._nodes.append(
            Node(
                name=name,
                role=role,
                routes=tuple(self._routes(name, routes, place)),
                services=tuple(services),
                sysctls=tuple((key, str(value)) for key, value in (sysctls or {}).items()),
                files=tuple((files or {}).items()),
                firewall=firewall,
                backend=backend,
                image=image,
                note=note,
                place=place,
            )
        )

    def link(
        self,
        name: str,
        *ends: str | Interface,
        mtu: int = 1500,
        impairment: Impairment | None = None,
        note: str = "",
    ) -> None:
        """Join interfaces: each end is ``"node:interface address address ..."`` or an Interface."""
        place = _author_place()
        built = [end if isinstance(end, Interface) else self._end(name, end, place) for end in ends]
        self._links.append(
            Link(
                name=name,
                ends=tuple(end for end in built if end is not None),
                mtu=mtu,
                impairment=impairment,
                note=note,
                place=place,
            )
        )

    def group(self, title: str, *nodes: str) -> None:
        """Draw a box with a title around these nodes."""
        self._groups.append((title, nodes))

    def fault(self, fault: Fault) -> None:
        """Add a fault that can be asked for by name or happens at its time."""
        self._faults.append(fault)

    def build(self) -> Topology:
        """The validated topology.

        Raises:
            TopologyError: with every problem found, each at its place.
        """
        from testbed.model.validate import validate

        topology = Topology(
            name=self._name,
            title=self._title,
            nodes=tuple(self._nodes),
            links=tuple(self._links),
            groups=tuple(self._groups),
            faults=tuple(self._faults),
            seed=self._seed,
            source=self._source,
        )
        problems = (*self._problems, *validate(topology))
        if problems:
            raise TopologyError(self._name, problems)
        return topology

    def _problem(self, code: str, what: str, path: str, place: Place | None, hint: str) -> None:
        self._problems.append(Problem(code, what, path, place, hint))

    def _end(self, link: str, text: str, place: Place | None) -> Interface | None:
        try:
            return parse_end(text, place)
        except ValueError as error:
            self._problem(
                "bad-end", str(error), f"links.{link}", place, 'write "node:interface 192.0.2.1/24"'
            )
            return None

    def _routes(
        self, node: str, routes: Iterable[RouteText], place: Place | None
    ) -> Iterable[Route]:
        for route in routes:
            if isinstance(route, Route):
                yield route
                continue
            try:
                yield parse_route(route, place)
            except ValueError as error:
                self._problem(
                    "bad-route",
                    str(error),
                    f"nodes.{node}.routes",
                    place,
                    'write "default via 192.0.2.1" or "2001:db8::/32 via fe80::1 dev wan"',
                )


def parse_end(text: str, place: Place | None = None) -> Interface:
    """``node:interface addr/len addr/len`` as an Interface; ValueError says what is wrong."""
    head, *rest = text.split()
    node, colon, interface = head.partition(":")
    if not colon or not node or not interface:
        raise ValueError(f"{head!r} is not of the form node:interface")
    addresses: list[InterfaceAddress] = [parse_address(item) for item in rest]
    return Interface(node=node, name=interface, addresses=tuple(addresses), place=place)


def parse_route(text: str, place: Place | None = None) -> Route:
    """A route as text (see :meth:`Builder.node`); ``default`` takes its family from ``via``."""
    to, *words = text.split()
    known = {"via": None, "dev": None, "metric": None, "mtu": None}
    options: dict[str, str | None] = dict(known)
    kind = "unicast"
    index = 0
    while index < len(words):
        word = words[index]
        if word in ("blackhole", "unreachable", "prohibit"):
            kind = word
            index += 1
        elif word in options and index + 1 < len(words):
            options[word] = words[index + 1]
            index += 2
        else:
            raise ValueError(f"{word!r} is not understood in route {text!r}")
    if to == "default":
        to = "::/0" if ":" in (options["via"] or "") else "0.0.0.0/0"
    elif to == "default6":
        to = "::/0"
    prefix: Prefix = ip_network(to)
    return Route(
        to=prefix,
        via=options["via"],
        dev=options["dev"],
        kind=kind,
        metric=int(options["metric"]) if options["metric"] else None,
        mtu=int(options["mtu"]) if options["mtu"] else None,
        place=place,
    )


def relative(path: str) -> str:
    """The path relative to the working folder where that is shorter, for messages."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
