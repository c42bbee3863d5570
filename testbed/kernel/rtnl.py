"""The route socket: links, addresses, routes, rules, neighbours and queueing of one namespace.

Requests are made by the functions of :mod:`~testbed.kernel.links`, ``addresses``, ``routes`` and
``tc``, and queued here::

    with RouteSocket("node r1") as kernel:
        kernel.queue(links.change("lo", up=True))
        kernel.queue(addresses.add_address(10, "192.0.2.1/24"))
        kernel.flush()
        print(kernel.addresses())
"""

from __future__ import annotations

import socket

from testbed.kernel import state
from testbed.kernel.netlink import NetlinkSocket


class RouteSocket(NetlinkSocket):
    """An rtnetlink socket of the namespace the calling thread is in when it is made."""

    def __init__(self, where: str | None = None) -> None:
        super().__init__(socket.NETLINK_ROUTE, where)

    def links(self) -> list[state.LinkState]:
        """All links of the namespace, by index."""
        return [state.parse_link(entry.body) for entry in self.dump(state.LINKS)]

    def addresses(self) -> list[state.AddressState]:
        """All addresses of the namespace."""
        return [state.parse_address(entry.body) for entry in self.dump(state.ADDRESSES)]

    def routes(self, table: int | None = None) -> list[state.RouteState]:
        """All IPv4 and IPv6 routes, of one table or of all."""
        entries = self.dump(state.ROUTES_V4) + self.dump(state.ROUTES_V6)
        parsed = [state.parse_route(entry.body) for entry in entries]
        return [route for route in parsed if table is None or route.table == table]

    def rules(self) -> list[state.RuleState]:
        """All IPv4 and IPv6 policy rules."""
        entries = self.dump(state.RULES_V4) + self.dump(state.RULES_V6)
        return [state.parse_rule(entry.body) for entry in entries]

    def neighbours(self) -> list[state.NeighbourState]:
        """The ARP and neighbour tables, with proxy entries."""
        entries = self.dump(state.NEIGHBOURS) + self.dump(state.PROXY_NEIGHBOURS)
        return [state.parse_neighbour(entry.body) for entry in entries]

    def qdiscs(self) -> list[state.QdiscState]:
        """All queueing disciplines with their counters."""
        return [state.parse_qdisc(entry.body) for entry in self.dump(state.QDISCS)]
