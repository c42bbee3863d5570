"""Static routes: where they lead, and that the next hop can be reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from testbed.errors import Place, Problem
from testbed.model.checks.addresses import fault_of_address, fault_of_host
from testbed.model.checks.index import AnyAddress, End, Index
from testbed.model.checks.links import MAX_MTU, MIN_MTU
from testbed.model.checks.suggest import did_you_mean
from testbed.model.topology import ROUTE_KINDS, SWITCH, UNICAST, Interface, Node, Route, Topology

_MAX_METRIC = 2**32 - 1
_DEFAULT_METRIC = {4: 0, 6: 1024}  # what the kernel takes when none is given


@dataclass(frozen=True, slots=True)
class _Stated:
    """A route with its node and path."""

    node: Node
    route: Route
    path: str

    @property
    def place(self) -> Place | None:
        return self.route.place or self.node.place

    @property
    def name(self) -> str:
        return f"the route of {self.node.name!r} to {self.route.to}"

    def problem(self, code: str, what: str, hint: str | None = None) -> Problem:
        return Problem(code, what, self.path, self.place, hint)


def _each(topology: Topology) -> Iterator[_Stated]:
    for node in topology.nodes:
        for position, route in enumerate(node.routes):
            yield _Stated(node, route, f"nodes.{node.name}.routes[{position}]")


def check_values(topology: Topology) -> Iterator[Problem]:
    """Routes that lead nowhere or to something that is no next hop."""
    for stated in _each(topology):
        route, name = stated.route, stated.name
        if route.kind not in ROUTE_KINDS:
            what = f"{name} is of unknown kind {route.kind!r}"
            hint = did_you_mean(route.kind, ROUTE_KINDS, "kinds")
            yield stated.problem("unknown-route-kind", what, hint)
        elif route.kind != UNICAST and (route.via is not None or route.dev is not None):
            what = f"{name} is a {route.kind} route and leads somewhere at the same time"
            yield stated.problem("route-conflict", what, "remove via and dev, or the kind")
        elif route.kind == UNICAST and route.via is None and route.dev is None:
            what = f"{name} leads nowhere"
            hint = "add via ADDRESS or dev INTERFACE, or one of blackhole, unreachable, prohibit"
            yield stated.problem("route-without-target", what, hint)
        if route.via is not None:
            yield from _check_via(stated)
        if route.metric is not None and not 0 <= route.metric <= _MAX_METRIC:
            what = f"{name} cannot have a metric of {route.metric}: 0 to {_MAX_METRIC}"
            yield stated.problem("bad-metric", what)
        if route.mtu is not None and not MIN_MTU <= route.mtu <= MAX_MTU:
            what = f"{name} cannot have an MTU of {route.mtu}: {MIN_MTU} to {MAX_MTU} bytes"
            yield stated.problem("bad-mtu", what)


def next_hop(route: Route) -> AnyAddress | None:
    """The next hop as an address; None when there is none or the text is no address."""
    try:
        return ip_address(route.via) if route.via is not None and "%" not in route.via else None
    except ValueError:
        return None


def _check_via(stated: _Stated) -> Iterator[Problem]:
    route, name = stated.route, stated.name
    via = next_hop(route)
    if via is None:
        what = f"{name} is via {route.via!r}, which is not an address"
        hint = (
            "write the neighbour's address without prefix length or zone; dev INTERFACE beside it"
        )
        yield stated.problem("bad-next-hop", what, hint)
        return
    fault = fault_of_address(via)
    if fault is not None:
        what = f"{name} cannot be via {via}: {fault}"
        yield stated.problem("bad-next-hop", what)
    elif via.version != route.to.version:
        what = f"{name} is via {via}: that is IPv{via.version} for an IPv{route.to.version} prefix"
        hint = f"name an IPv{route.to.version} next hop"
        yield stated.problem("next-hop-family", what, hint)
    elif via.version == 6 and via.is_link_local and route.dev is None:
        what = f"{name} is via {via}, a link-local address, and does not say on which interface"
        yield stated.problem("link-local-without-dev", what, f"write via {via} dev INTERFACE")


def check_next_hops(index: Index) -> Iterator[Problem]:
    """Next hops out of reach, unknown interfaces, and routes that are there twice."""
    seen: set[tuple[str, str, int]] = set()
    for stated in _each(index.topology):
        node, route = stated.node, stated.route
        if node.role == SWITCH:
            continue  # reported as a switch that routes
        ends = index.ends_of.get(node.name, [])
        metric = _DEFAULT_METRIC[route.to.version] if route.metric is None else route.metric
        key = (node.name, str(route.to), metric)
        if index.gaps.touch(f"{stated.path}.metric"):
            pass  # it may differ in that
        elif key in seen:
            what = f"{node.name!r} has a second route to {route.to} with metric {metric}"
            hint = "remove one, or give them different metrics"
            yield stated.problem("duplicate-route", what, hint)
        else:
            seen.add(key)
        names = [end.interface.name for end in ends]
        if route.dev is not None and route.dev not in names:
            if index.may_have_interface(node.name):
                continue
            what = f"{stated.name}: {node.name!r} has no interface {route.dev!r}"
            hint = did_you_mean(route.dev, names, f"interfaces of {node.name!r}")
            yield stated.problem("unknown-interface", what, hint)
            continue
        via = next_hop(route)
        if via is not None and via.version == route.to.version and fault_of_address(via) is None:
            usable = [end for end in ends if route.dev in (None, end.interface.name)]
            yield from _check_reach(index, stated, via, usable)


def _check_reach(
    index: Index, stated: _Stated, via: AnyAddress, usable: list[End]
) -> Iterator[Problem]:
    node, route = stated.node, stated.route
    own = next((end for end in index.ends_of.get(node.name, []) if _has(end.interface, via)), None)
    link_local = via.version == 6 and via.is_link_local
    unsure = link_local and index.gaps.touch(f"{stated.path}.dev")
    if own is not None and not unsure and (not link_local or own in usable):
        what = f"{stated.name} is via {via}, its own address ({own.interface.label})"
        hint = "name the neighbour's address" + _neighbours(index, usable, via)
        yield stated.problem("own-next-hop", what, hint)
        return
    if link_local:
        return  # every IPv6 interface has a link-local subnet; without dev: reported already
    reached = [
        address
        for end in usable
        for address in end.interface.addresses
        if via in address.network and address.network.prefixlen < address.max_prefixlen
    ]
    if not reached:
        if index.may_have_address(node.name):
            return
        where = f"interface {route.dev!r}" if route.dev is not None else "any of its interfaces"
        what = f"{stated.name} is via {via}, which is in no subnet of {where}"
        hint = "the next hop must be on a link of the node" + _neighbours(index, usable, via)
        yield stated.problem("unreachable-next-hop", what, hint)
        return
    fault = fault_of_host(type(reached[0])(f"{via}/{reached[0].network.prefixlen}"))
    if fault is not None:
        what = f"{stated.name} cannot be via {via}: {fault}"
        yield stated.problem("bad-next-hop", what)


def _has(interface: Interface, address: AnyAddress) -> bool:
    return any(held.ip == address for held in interface.addresses)


def _neighbours(index: Index, usable: list[End], via: AnyAddress) -> str:
    """The addresses of that family on the node's links, as the end of a hint."""
    found = [
        str(held.address.ip)
        for end in usable
        for held in index.segment_of[id(end.link)].held
        if held.end.interface.node != end.interface.node and held.address.version == via.version
    ]
    if not found or len(found) > 6:
        return ""
    return f"; neighbours: {', '.join(dict.fromkeys(found))}"
