"""The CE's or BR's place in the kernel: a TUN device, its settings and the routes into it.

The kernel routes IPv4 to be encapsulated and IPv6 to be decapsulated into the same device, and
routes on whatever the core writes back to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from testbed.components.mape.errors import ConfigError
from testbed.events import Note
from testbed.kernel import links, routes, sysctl
from testbed.kernel.netlink import Request
from testbed.kernel.rtnl import RouteSocket
from testbed.kernel.tun import TunDevice

Prefix = IPv4Network | IPv6Network

NAME = "mape0"

_SETTINGS = (
    # The core sends ICMP errors from an address of this node, which the kernel would otherwise
    # take for a forgery when they come in through the device.
    ("net/ipv4/conf/{name}/accept_local", "1"),
    ("net/ipv4/conf/{name}/rp_filter", "0"),
    # A packet from home to home leaves by the device it came in by: no reason for a redirect.  The
    # kernel sends one if either value allows it; "all" off leaves the other interfaces their own.
    ("net/ipv4/conf/{name}/send_redirects", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv6/conf/{name}/accept_ra", "0"),
)
_IFF_MULTICAST = 0x1000
_NO_IPV6_MTU = 1279
"""Below IPv6's minimum: the kernel takes IPv6 off such an interface."""


@dataclass(frozen=True, slots=True)
class InterfacePlan:
    """What the device should be: ``mtu`` in bytes, and the prefixes routed into it."""

    mtu: int
    routes: tuple[Prefix, ...]
    name: str = NAME


class Interface:
    """The device of a running CE or BR; it disappears with the process."""

    def __init__(self, device: TunDevice, plan: InterfacePlan) -> None:
        self.device = device
        self._plan = plan

    @classmethod
    def create(cls, plan: InterfacePlan) -> Interface:
        """Make the device, set it up and install its routes.

        Raises:
            ConfigError: this node does not forward packets.
            MissingFeatureError, KernelError: the kernel refuses the device, a setting or a route.
        """
        _require_forwarding()
        device = TunDevice.create(plan.name)
        try:
            index = device.index
            with RouteSocket(plan.name) as kernel:
                _silence(kernel, index, plan.mtu)
                for key, value in _SETTINGS:
                    sysctl.write(key.format(name=plan.name), value, where=plan.name)
                kernel.queue(links.change(index, up=True))
                kernel.queue(*(routes.add_route(to, link=index) for to in plan.routes))
                kernel.flush()
        except BaseException:
            device.close()
            raise
        return cls(device, plan)

    def change(self, plan: InterfacePlan) -> None:
        """Bring MTU and routes to another plan, touching only what differs."""
        index = self.device.index
        old, new = self._plan.routes, plan.routes
        with RouteSocket(plan.name) as kernel:
            if plan.mtu != self._plan.mtu:
                kernel.queue(links.change(index, mtu=plan.mtu))
            for gone in (to for to in old if to not in new):
                kernel.queue(routes.delete_route(gone, link=index))
            for come in (to for to in new if to not in old):
                kernel.queue(routes.add_route(come, link=index))
            kernel.flush()
        self._plan = plan


def _silence(kernel: RouteSocket, index: int, mtu: int) -> None:
    """Keep the kernel from talking to neighbours that the device does not have.

    No link-local address, so no neighbour discovery; and no multicast, so no listener reports.  A
    forwarding interface joins the group of all routers when it gets IPv6, unless its multicast flag
    is off by then; so IPv6 is taken off it and comes back with the final MTU.
    """
    without_multicast = links.ifinfo(index, 0, _IFF_MULTICAST)
    kernel.run(
        links.change(index, mtu=_NO_IPV6_MTU),
        Request(links.RTM_NEWLINK, 0, without_multicast, "take the multicast flag from the device"),
        links.change(index, mtu=mtu),
        links.change(index, link_local=False),
    )


def _require_forwarding() -> None:
    for key in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
        if sysctl.read(key) != "1":
            raise ConfigError(
                f"this node does not forward packets ({key.replace('/', '.')} is not 1)",
                hint="make the node a router of the topology, or set it with sysctl",
            )


def warnings() -> list[Note]:
    """What in this node will get in the way although it is not ours to change."""
    if sysctl.read("net/ipv4/conf/all/rp_filter") == "1":
        text = (
            "net.ipv4.conf.all.rp_filter is 1 (strict): the kernel will drop the ICMP errors "
            "that the tunnel end sends; set it to 0"
        )
        return [Note(text)]
    return []
