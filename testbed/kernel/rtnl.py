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
import time
from collections.abc import Iterable

from testbed.errors import KernelError
from testbed.kernel import state
from testbed.kernel.netlink import NetlinkSocket

_PAUSE_S = 0.001


class RouteSocket(NetlinkSocket):
    """An rtnetlink socket of the namespace the calling thread is in when it is made."""

    def __init__(self, where: str | None = None) -> None:
        super().__init__(socket.NETLINK_ROUTE, where)

    def link(self, index: int) -> state.LinkState:
        """One link.

        Raises:
            KernelError: there is no such link.
        """
        return state.parse_link(self.get(state.one_link(index)).body)

    def settle(self, links: Iterable[int], timeout_s: float = 10.0) -> None:
        """Wait until these veth ends or bridges, just set up, really carry packets.

        Setting a link up only announces its carrier; the kernel opens the queue behind it a little
        later, in the background, and until then drops without a word whatever is sent.  Asking for
        the link makes newer kernels do it at once.

        Args:
            links: indices; of veth pairs whose both ends are set up.
            timeout_s: how long to wait for all of them together.

        Raises:
            KernelError: one of them did not come up in time.
        """
        deadline = time.monotonic() + timeout_s
        for index in links:
            while state.parse_operstate(self.get(state.one_link(index)).body) != "up":
                if time.monotonic() > deadline:
                    link = self.link(index)
                    raise KernelError(
                        f"interface {link.name} has no carrier after {timeout_s:g} s "
                        f"(its state is {link.operstate})",
                        where=self._where,
                        hint="is the other end of its link set up?",
                    )
                time.sleep(_PAUSE_S)

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
