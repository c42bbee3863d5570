"""What routing daemons do as events: adjacencies and sessions, and routes in the kernel.

The contract of whoever emits them (a watcher of a daemon):

* An event tells what **one router** saw, the node of the record; its neighbour tells of the same
  adjacency in an event of its own, at a time of its own.
* ``neighbor`` is the neighbour's node name where it is known, its router ID or address where not;
  ``address`` always the latter.
* Only going into and out of service is told (RFC 2328 section 10.1: Full; RFC 4271 section 8.2.2:
  Established; RFC 5880 section 6.2: Up), not the states on the way there.
* A route is what the kernel says it forwards by, not what a daemon would like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from testbed.events.kinds import Event

Protocol = Literal["OSPFv2", "OSPFv3", "BGP", "BFD"]


@dataclass(frozen=True, slots=True)
class AdjacencyUp(Event):
    """Two routers have become fully adjacent, or their session is established.

    ``interface`` is where an adjacency of OSPF is; a BGP session has none.
    """

    kind: ClassVar[str] = "adjacency-up"
    component: str
    protocol: Protocol
    neighbor: str
    address: str
    interface: str | None = None


@dataclass(frozen=True, slots=True)
class AdjacencyDown(Event):
    """They are no longer; ``why`` in the daemon's own words (``InactivityTimer``...)."""

    kind: ClassVar[str] = "adjacency-down"
    component: str
    protocol: Protocol
    neighbor: str
    address: str
    interface: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class RouteChanged(Event):
    """The kernel forwards a prefix by other next hops than before (RFC 3549 section 3.1.1).

    ``now`` and ``was`` are next hops as ``192.0.2.1 dev wan`` or ``dev wan``, several for equal
    costs, none where there is no route.  ``by`` is whose route it is (``ospf``, ``bgp``...), of one
    that went, whose it was.
    """

    kind: ClassVar[str] = "route-changed"
    prefix: str
    by: str
    now: tuple[str, ...] = ()
    was: tuple[str, ...] = ()
