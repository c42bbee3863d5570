"""The kernel's own word on routes: which next hops a prefix has, told when that changes.

Only routes that FRR's daemons made, in the main table.  The kernel's messages say when to look, the
tables what there is: a message may name one next hop of several, and none is sent of the IPv4
routes that go because their interface was switched off.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from testbed.events import RouteChanged
from testbed.kernel import state
from testbed.kernel.netlink_codec import split_attributes
from testbed.kernel.routes import TABLE_MAIN
from testbed.kernel.rtnl import RouteSocket

MAKERS = {
    11: "zebra",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
    196: "static",
}
"""FRR's daemons by the number with which the kernel keeps their routes (``linux/rtnetlink.h``)."""

_GROUPS = 0x1 | 0x40 | 0x400  # RTMGRP_LINK, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE
_RECEIVE = 1 << 16
_RTMSG_BYTES = 12
_RTA_GATEWAY, _RTA_MULTIPATH, _RTA_VIA = 5, 9, 18
_NEXTHOP = struct.Struct("=HBBi")
_DEAD = 0x1  # RTNH_F_DEAD: its interface is off, and it is kept for the others' sake

Hop = tuple[str | None, int]
"""A next hop: its address if it has one, and the number of the interface."""


@dataclass(frozen=True, slots=True)
class Route:
    """A prefix's next hops, and whose route it is."""

    prefix: str
    by: str
    hops: tuple[Hop, ...]


def read_route(body: bytes) -> Route | None:
    """A route message's route; None if it is none of FRR's in the main table.

    Raises:
        ValueError: the message is malformed.
    """
    told = state.parse_route(body)
    if told.table != TABLE_MAIN or told.protocol not in MAKERS:
        return None
    several = split_attributes(body, _RTMSG_BYTES).get(_RTA_MULTIPATH)
    hops: tuple[Hop, ...] = ()
    if several is not None:
        hops = tuple(_several(several))
    elif told.link is not None:
        hops = ((str(told.via) if told.via else None, told.link),)
    return Route(str(told.destination), MAKERS[told.protocol], hops)


def _several(data: bytes) -> Iterator[Hop]:
    """The next hops in use of a route with more than one (``struct rtnexthop``)."""
    while len(data) >= _NEXTHOP.size:
        size, flags, _, link = _NEXTHOP.unpack_from(data)
        if not _NEXTHOP.size <= size <= len(data):
            raise ValueError(f"a next hop of impossible length {size}")
        found = split_attributes(data[:size], _NEXTHOP.size)
        gateway = found.get(_RTA_GATEWAY) or found.get(_RTA_VIA, b"")[2:]
        if not flags & _DEAD:
            yield (str(ip_address(gateway)) if gateway else None), link
        data = data[(size + 3) & ~3 :]


class RouteTable:
    """What the kernel forwarded by when it was last looked at.  Pure."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, tuple[str, ...]]] = {}

    def take(self, routes: Iterable[Route], names: Mapping[int, str]) -> Iterator[RouteChanged]:
        """All routes as they are now, and the names of the interfaces; what has changed.

        IPv6 tables list a next hop of several as a route of its own.
        """
        now: dict[str, tuple[str, tuple[str, ...]]] = {}
        for route in routes:
            words = (_words(via, link, names) for via, link in route.hops)
            _, others = now.get(route.prefix, ("", ()))
            now[route.prefix] = (route.by, tuple(sorted({*others, *words})))
        before, self._known = self._known, now
        for prefix in [*before, *(prefix for prefix in now if prefix not in before)]:
            maker, was = before.get(prefix, ("", ()))
            by, hops = now.get(prefix, (maker, ()))
            if was != hops:
                yield RouteChanged(prefix, by, hops, was)


def _words(via: str | None, link: int, names: Mapping[int, str]) -> str:
    place = f"dev {names.get(link, link)}"
    return f"{via} {place}" if via else place


class RouteEars:
    """Hears of changes in the network namespace of whoever makes this, and looks at the tables."""

    def __init__(self) -> None:
        self._bell = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            socket.NETLINK_ROUTE,
        )
        self._bell.bind((0, _GROUPS))
        self._kernel = RouteSocket()
        self._table = RouteTable()

    def fileno(self) -> int:
        """For poll: readable when something has changed."""
        return self._bell.fileno()

    def changes(self) -> list[RouteChanged]:
        """What has changed since the last look.

        Raises:
            KernelError: the tables cannot be read.
        """
        self._hush()
        names = {link.index: link.name for link in self._kernel.links()}
        entries = self._kernel.dump(state.ROUTES_V4) + self._kernel.dump(state.ROUTES_V6)
        routes = (read_route(entry.body) for entry in entries)
        return list(self._table.take((route for route in routes if route is not None), names))

    def _hush(self) -> None:
        """Take the messages away; whatever they say is in the tables that are read next."""
        while True:
            try:
                self._bell.recv(_RECEIVE)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # more came than were kept: just as good
                    raise

    def close(self) -> None:
        """Hear no more."""
        self._bell.close()
        self._kernel.close()
