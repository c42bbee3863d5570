"""What the routers have told, added up: who is adjacent now, and by which hops they forward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from testbed.events import AdjacencyDown, AdjacencyUp, Record, RouteChanged
from testbed.lab import Lab
from topologies.dual_stack_isp.addresses import CONTENT_V4, CONTENT_V6, CUSTOMERS_V4, CUSTOMERS_V6
from topologies.dual_stack_isp.core import Isp, isp_routers
from topologies.dual_stack_isp.internet import CONTENT, outside_routers
from topologies.dual_stack_isp.topology import CUSTOMER

Adjacency: TypeAlias = tuple[str, str, str]
"""Router, protocol, and the interface (OSPF, BFD) or the neighbour's address (BGP)."""

Forwarding: TypeAlias = Mapping[tuple[str, str], tuple[str, ...]]
"""Router and prefix to the names of the interfaces by which it is forwarded."""

PREFERRED = ("pc", "cpe", "pe1", "p1", "br1", "transit-a", CONTENT, "www")
"""The way from pc to www while all is well; the way back is the same."""

TO_WWW = (str(CONTENT_V4), str(CONTENT_V6))
"""The prefixes of the server's network."""

ANNOUNCED = (str(CUSTOMERS_V4), str(CUSTOMERS_V6))
"""What the world is told of the ISP."""

_SETTLE_S = 120.0
_MIN_LS_INTERVAL_S = 5.0


def expected_adjacencies(isp: Isp) -> set[Adjacency]:
    """All that must be up when all is well."""
    found: set[Adjacency] = set()
    for router in (*isp_routers(isp).values(), *outside_routers(isp)):
        for interface in router.ospf:
            found |= {(router.name, protocol, interface.name) for protocol in ("OSPFv2", "OSPFv3")}
        sessions = router.bgp.neighbors if router.bgp else ()
        found |= {(router.name, "BGP", session.address) for session in sessions}
    return found


def adjacencies(records: Iterable[Record]) -> set[Adjacency]:
    """All that are up by what the routers have told; without BFD's sessions."""
    up: set[Adjacency] = set()
    for record in records:
        event = record.event
        if not isinstance(event, AdjacencyUp | AdjacencyDown) or event.protocol == "BFD":
            continue
        place = event.address if event.protocol == "BGP" else event.interface
        key = (record.node or "", event.protocol, place or "")
        if isinstance(event, AdjacencyUp):
            up.add(key)
        else:
            up.discard(key)
    return up


def forwarding(records: Iterable[Record]) -> Forwarding:
    """By which interfaces every router forwards the routes that its daemons made."""
    table: dict[tuple[str, str], tuple[str, ...]] = {}
    for record in records:
        if isinstance(record.event, RouteChanged):
            hops = tuple(hop.rpartition("dev ")[2] for hop in record.event.now)
            table[record.node or "", record.event.prefix] = hops
    return table


def hops_of(way: Sequence[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """What :func:`forwarding` must have for packets to go that way from pc to www, and back."""
    routers = way[2:-1]
    wanted: dict[tuple[str, str], tuple[str, ...]] = {}
    for here, further in pairwise(routers):
        for prefix in TO_WWW:
            wanted[here, prefix] = (further,)
    for further, here in pairwise(routers):
        # Inside the ISP the customer's own prefixes count, outside what it announces.
        outside = here == CONTENT or here.startswith("transit")
        for prefix in ANNOUNCED if outside else CUSTOMER.prefixes:
            wanted[here, prefix] = (further,)
    return wanted


def await_way(lab: Lab, way: Sequence[str]) -> None:
    """Wait until every router on a way forwards by it, there and back.

    Raises:
        LabError: one does not.
    """
    hops = hops_of(way)

    def there(records: list[Record]) -> bool:
        table = forwarding(records)
        return all(table.get(key) == wanted for key, wanted in hops.items())

    lab.wait_for(there, f"the way by {' '.join(way)}", timeout=_SETTLE_S)


def await_quiet(lab: Lab, isp: Isp) -> None:
    """As :func:`await_settled`, and until no router has told of a change for a while.

    A router that has just told of one tells of the next only after MinLSInterval (5 s, RFC 2328
    appendix B): a failure that comes too early is another experiment.

    Raises:
        LabError: the network does not settle.
    """
    await_settled(lab, isp)
    told = [
        record.time_ns
        for record in lab.events()
        if isinstance(record.event, AdjacencyUp | AdjacencyDown)
    ]
    since_s = (lab.clock.now_ns() - max(told)) / 1e9
    lab.sleep(max(0.0, _MIN_LS_INTERVAL_S + 1 - since_s))


def await_settled(lab: Lab, isp: Isp) -> None:
    """Wait until every adjacency is up and packets go the preferred way.

    Raises:
        LabError: they do not.
    """
    adjacent, hops = expected_adjacencies(isp), hops_of(PREFERRED)

    def settled(records: list[Record]) -> bool:
        table = forwarding(records)
        return adjacent <= adjacencies(records) and all(
            table.get(key) == wanted for key, wanted in hops.items()
        )

    lab.wait_for(settled, "all adjacencies and the preferred way", timeout=_SETTLE_S)


def await_hop(lab: Lab, node: str, prefixes: Iterable[str], interface: str) -> None:
    """Wait until a router forwards these prefixes by that interface alone.

    Raises:
        LabError: it does not.
    """
    wanted = list(prefixes)

    def there(records: list[Record]) -> bool:
        table = forwarding(records)
        return all(table.get((node, prefix)) == (interface,) for prefix in wanted)

    lab.wait_for(there, f"{node} to forward by {interface}", timeout=_SETTLE_S)


def await_down(lab: Lab, gone: Iterable[Adjacency]) -> None:
    """Wait until the routers have given up these neighbours.

    Raises:
        LabError: they do not.
    """
    wanted = set(gone)
    lab.wait_for(
        lambda records: not wanted & adjacencies(records),
        f"the end of {sorted(wanted)}",
        timeout=2 * _SETTLE_S,
    )
