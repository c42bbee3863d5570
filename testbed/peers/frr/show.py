"""What a router answers when it is asked, typed: commands for ``vtysh``, and readers of their JSON.

    neighbors = read_ospf_neighbors(lab.run("p1", OSPF_NEIGHBORS, check=True).stdout)

Formats of FRR 8.4.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.errors import TestbedError

OSPF_NEIGHBORS = ("vtysh", "-d", "ospfd", "-c", "show ip ospf neighbor json")
OSPF6_NEIGHBORS = ("vtysh", "-d", "ospf6d", "-c", "show ipv6 ospf6 neighbor json")
BGP_SESSIONS = ("vtysh", "-d", "bgpd", "-c", "show bgp summary json")
IPV4_ROUTES = ("vtysh", "-d", "zebra", "-c", "show ip route json")
IPV6_ROUTES = ("vtysh", "-d", "zebra", "-c", "show ipv6 route json")

FULL = "Full"
ESTABLISHED = "Established"


class AnswerError(TestbedError):
    """What a daemon answered is not what FRR 8.4 answers."""


@dataclass(frozen=True, slots=True)
class OspfNeighbor:
    """A neighbour of OSPFv2 or OSPFv3 by its router ID; ``state`` as in RFC 2328 section 10.1."""

    router_id: str
    interface: str
    state: str


@dataclass(frozen=True, slots=True)
class BgpSession:
    """A session with the neighbour of this address, and how many prefixes came over it."""

    address: str
    remote_as: int
    state: str
    received: int


@dataclass(frozen=True, slots=True)
class ZebraRoute:
    """A route that zebra has been told of; ``installed``: the kernel forwards by it.

    ``hops`` are address (None on a link of its own) and interface (None where it leads nowhere).
    """

    prefix: str
    protocol: str
    distance: int
    metric: int
    installed: bool
    hops: tuple[tuple[str | None, str | None], ...]


def read_ospf_neighbors(text: str) -> tuple[OspfNeighbor, ...]:
    """The answer to :data:`OSPF_NEIGHBORS`.

    Raises:
        AnswerError: it is none.
    """
    return _read(text, "show ip ospf neighbor", _ospf)


def read_ospf6_neighbors(text: str) -> tuple[OspfNeighbor, ...]:
    """The answer to :data:`OSPF6_NEIGHBORS`.

    Raises:
        AnswerError: it is none.
    """
    return _read(text, "show ipv6 ospf6 neighbor", _ospf6)


def read_bgp_sessions(text: str) -> tuple[BgpSession, ...]:
    """The answer to :data:`BGP_SESSIONS`, both families.

    Raises:
        AnswerError: it is none.
    """
    return _read(text, "show bgp summary", _bgp)


def read_routes(text: str) -> tuple[ZebraRoute, ...]:
    """The answer to :data:`IPV4_ROUTES` or :data:`IPV6_ROUTES`, selected routes only.

    Raises:
        AnswerError: it is none.
    """
    return _read(text, "show route", _routes)


def _read(text: str, what: str, reader: Any) -> tuple[Any, ...]:
    try:
        return tuple(reader(json.loads(text)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        first = next(iter(text.strip().splitlines()), "nothing")
        raise AnswerError(
            f"not an answer that can be read: {type(error).__name__}: {error}",
            where=what,
            hint=f"it begins with {first!r}",
        ) from error


def _ospf(answer: Mapping[str, Any]) -> Iterator[OspfNeighbor]:
    for router_id, adjacencies in answer["neighbors"].items():
        for one in adjacencies:
            state, _, _ = str(one["nbrState"]).partition("/")
            interface, _, _ = str(one["ifaceName"]).partition(":")
            yield OspfNeighbor(router_id, interface, state)


def _ospf6(answer: Mapping[str, Any]) -> Iterator[OspfNeighbor]:
    for one in answer["neighbors"]:
        yield OspfNeighbor(one["neighborId"], one["interfaceName"], one["state"])


def _bgp(answer: Mapping[str, Any]) -> Iterator[BgpSession]:
    for family in answer.values():
        for address, one in family["peers"].items():
            yield BgpSession(address, int(one["remoteAs"]), one["state"], int(one["pfxRcd"]))


def _routes(answer: Mapping[str, Any]) -> Iterator[ZebraRoute]:
    for prefix, routes in answer.items():
        for one in routes:
            if one.get("selected"):
                hops = ((hop.get("ip"), hop.get("interfaceName")) for hop in one["nexthops"])
                yield ZebraRoute(
                    prefix,
                    one["protocol"],
                    int(one["distance"]),
                    int(one["metric"]),
                    bool(one.get("installed")),
                    tuple(hops),
                )
