"""What the routers have told, added up: who is adjacent now, and by which hops they forward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Known:
    """What the records up to now add up to; more of them are added in the order in which they came.

    ``up`` are the adjacencies that are up, without BFD's sessions; ``hops`` by which interfaces a
    router forwards the routes that its daemons made.
    """

    up: set[Adjacency] = field(default_factory=set)
    hops: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    _taken: int = 0

    def take(self, records: Sequence[Record]) -> Known:
        """Take in those of the records that were not there the last time."""
        for record in records[self._taken :]:
            event, node = record.event, record.node or ""
            if isinstance(event, RouteChanged):
                names = tuple(hop.rpartition("dev ")[2] for hop in event.now)
                self.hops[node, event.prefix] = names
            elif isinstance(event, AdjacencyUp | AdjacencyDown) and event.protocol != "BFD":
                place = event.address if event.protocol == "BGP" else event.interface
                change = self.up.add if isinstance(event, AdjacencyUp) else self.up.discard
                change((node, event.protocol, place or ""))
        self._taken = len(records)
        return self


def adjacencies(records: Sequence[Record]) -> set[Adjacency]:
    """All that are up by what the routers have told."""
    return Known().take(records).up


def forwarding(records: Sequence[Record]) -> Forwarding:
    """By which interfaces every router forwards."""
    return Known().take(records).hops


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
    hops, known = hops_of(way), Known()

    def there(records: list[Record]) -> bool:
        table = known.take(records).hops
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
    adjacent, hops, known = expected_adjacencies(isp), hops_of(PREFERRED), Known()

    def settled(records: list[Record]) -> bool:
        table = known.take(records).hops
        return adjacent <= known.up and all(
            table.get(key) == wanted for key, wanted in hops.items()
        )

    lab.wait_for(settled, "all adjacencies and the preferred way", timeout=_SETTLE_S)


def await_hop(lab: Lab, node: str, prefixes: Iterable[str], interface: str) -> None:
    """Wait until a router forwards these prefixes by that interface alone.

    Raises:
        LabError: it does not.
    """
    wanted, known = list(prefixes), Known()

    def there(records: list[Record]) -> bool:
        table = known.take(records).hops
        return all(table.get((node, prefix)) == (interface,) for prefix in wanted)

    lab.wait_for(there, f"{node} to forward by {interface}", timeout=_SETTLE_S)


def await_down(lab: Lab, gone: Iterable[Adjacency]) -> None:
    """Wait until the routers have given up these neighbours.

    Raises:
        LabError: they do not.
    """
    wanted, known = set(gone), Known()
    lab.wait_for(
        lambda records: not wanted & known.take(records).up,
        f"the end of {sorted(wanted)}",
        timeout=2 * _SETTLE_S,
    )
