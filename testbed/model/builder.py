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
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack

from testbed.errors import Place, Problem
from testbed.model.checks.gaps import Gaps
from testbed.model.fault import Fault
from testbed.model.impairment import Impairment
from testbed.model.service import Service
from testbed.model.text_forms import parse_route, split_end
from testbed.model.topology import (
    HOST,
    ROUTER,
    SWITCH,
    Interface,
    Link,
    Node,
    Route,
    Topology,
    parse_address,
)
from testbed.model.validate import misread, require_valid

RouteText = str | Route
_Placed = TypeVar("_Placed", Service, Interface, Fault, Route)


class NodeOptions(TypedDict, total=False):
    """What a node can be given (see :meth:`Builder.node`)."""

    routes: Iterable[RouteText]
    services: Iterable[Service]
    sysctls: Mapping[str, str | int] | None
    files: Mapping[str, str] | None
    firewall: str | None
    switch: str | None
    backend: str | None
    image: str | None
    note: str


def _author_place() -> Place | None:
    """The nearest line of code outside this module: where the author wrote the thing."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename == __file__:
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return Place(relative(frame.f_code.co_filename), frame.f_lineno)


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
        self._places: dict[str, Place] = {}
        self._gaps = Gaps()

    def host(self, name: str, **options: Unpack[NodeOptions]) -> None:
        """Add a node that originates and receives packets. Options as for :meth:`node`."""
        self.node(name, role=HOST, **options)

    def router(self, name: str, **options: Unpack[NodeOptions]) -> None:
        """Add a node that forwards IPv4 and IPv6. Options as for :meth:`node`."""
        self.node(name, role=ROUTER, **options)

    def switch(self, name: str, **options: Unpack[NodeOptions]) -> None:
        """Add an Ethernet switch: its interfaces are ports of one bridge, without addresses.

        ``switch="ovs"`` makes it Open vSwitch (see :data:`testbed.model.topology.SWITCHES`).
        """
        self.node(name, role=SWITCH, **options)

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
        switch: str | None = None,
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
                services=tuple(_placed(service, place) for service in services),
                sysctls=tuple((key, str(value)) for key, value in (sysctls or {}).items()),
                files=tuple((files or {}).items()),
                firewall=firewall,
                switch=switch,
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
        built = [
            _placed(end, place)
            if isinstance(end, Interface)
            else self._end(f"links.{name}.ends", position, end, place)
            for position, end in enumerate(ends)
        ]
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
        place = _author_place()
        if place is not None:
            self._places[f"groups.{title}"] = place
            for position in range(len(nodes)):
                self._places[f"groups.{title}[{position}]"] = place
        self._groups.append((title, nodes))

    def fault(self, fault: Fault) -> None:
        """Add a fault that can be asked for by name or happens at its time."""
        self._faults.append(_placed(fault, _author_place()))

    def build(self) -> Topology:
        """The validated topology.

        Raises:
            TopologyError: with every problem found, each at its place.
        """
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
        if self._problems:
            gaps = deepcopy(self._gaps)
            gaps.settle()
            raise misread(self._name, self._problems, topology, self._places, gaps)
        return require_valid(topology, self._places)

    def _problem(self, code: str, what: str, path: str, place: Place | None, hint: str) -> None:
        self._problems.append(Problem(code, what, path, place, hint))

    def _end(self, path: str, position: int, text: str, place: Place | None) -> Interface | None:
        below, hint = f"{path}[{position}]", 'write "node:interface 192.0.2.1/24"'
        try:
            node, name, words = split_end(text)
        except ValueError as error:
            self._problem("bad-end", str(error), below, place, hint)
            self._gaps.add_item(path, position, [text])
            return None
        addresses = []
        for number, (_, word) in enumerate(words):
            try:
                addresses.append(parse_address(word))
            except ValueError as error:
                self._problem(
                    "bad-address", str(error), f"{below}.addresses[{number}]", place, hint
                )
                self._gaps.add_item(f"{below}.addresses", number)
        return Interface(node, name, tuple(addresses), place=place)

    def _routes(
        self, node: str, routes: Iterable[RouteText], place: Place | None
    ) -> Iterator[Route]:
        path = f"nodes.{node}.routes"
        for position, route in enumerate(routes):
            if isinstance(route, Route):
                yield _placed(route, place)
                continue
            try:
                yield parse_route(route, place)
            except ValueError as error:
                self._problem(
                    "bad-route",
                    str(error),
                    f"{path}[{position}]",
                    place,
                    'write "default via 192.0.2.1" or "2001:db8::/32 via fe80::1 dev wan"',
                )
                self._gaps.add_item(path, position)


def _placed(item: _Placed, place: Place | None) -> _Placed:
    """The item with the line where it was added, unless it has a place of its own."""
    known = isinstance(item, Service | Interface | Fault | Route) and item.place is None
    return replace(item, place=place) if known else item  # else: validation names the wrong type


def relative(path: str) -> str:
    """The path relative to the working folder where it is inside, for messages."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
