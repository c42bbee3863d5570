"""Link types: each is made once."""

from __future__ import annotations

import socket
import struct

from testbed.kernel import links
from testbed.kernel.netlink_codec import attribute, u8, u16, u32
from testbed.kernel.probing.context import VETH, Context, Method

_HERE, _THERE = "192.0.2.1", "192.0.2.2"
_HERE6, _THERE6 = "2001:db8::1", "2001:db8::2"
_VLAN_ID = 1
_VRF_TABLE = 1
_MACVLAN_MODE = 1
_MACVLAN_BRIDGE = 4
_VXLAN_ID = 1
_TUNNEL_LOCAL, _TUNNEL_REMOTE = 2, 3
_GRE_LOCAL, _GRE_REMOTE = 6, 7
_IP6TNL_PROTO = 9
_IPPROTO_IPIP = 4
_XFRM_IF_ID = 2


def _ipv4(kind: int, address: str) -> bytes:
    return attribute(kind, socket.inet_aton(address))


def _ipv6(kind: int, address: str) -> bytes:
    return attribute(kind, socket.inet_pton(socket.AF_INET6, address))


def _link(kind: str, data: bytes = b"", parent: int | None = None) -> Method:
    def method(context: Context) -> str:
        context.kernel.run(links.create(kind, "probe0", parent=parent, data=data))
        context.kernel.run(links.delete("probe0"))
        return ""

    return method


def veth(context: Context) -> str:
    """Already made for the others to use, if it can be made; made here if not."""
    if any(link.index == VETH for link in context.kernel.links()):
        return ""
    context.kernel.run(links.veth(links.VethEnd("probe-a"), links.VethEnd("probe-b")))
    context.kernel.run(links.delete("probe-a"))
    return ""


_TUNNEL_ENDS = _ipv4(_TUNNEL_LOCAL, _HERE) + _ipv4(_TUNNEL_REMOTE, _THERE)

bridge = _link("bridge")
ifb = _link("ifb")
dummy = _link("dummy")
wireguard = _link("wireguard")
vlan = _link("vlan", u16(_VLAN_ID, 7), VETH)
macvlan = _link("macvlan", u32(_MACVLAN_MODE, _MACVLAN_BRIDGE), VETH)
vrf = _link("vrf", u32(_VRF_TABLE, 1000))
vxlan = _link("vxlan", u32(_VXLAN_ID, 7))
sit = _link("sit", _TUNNEL_ENDS)
ipip = _link("ipip", _TUNNEL_ENDS)
gre = _link("gre", _ipv4(_GRE_LOCAL, _HERE) + _ipv4(_GRE_REMOTE, _THERE))
ip6_tunnel = _link(
    "ip6tnl",
    _ipv6(_TUNNEL_LOCAL, _HERE6)
    + _ipv6(_TUNNEL_REMOTE, _THERE6)
    + u8(_IP6TNL_PROTO, _IPPROTO_IPIP),
)
xfrm_interface = _link("xfrm", u32(_XFRM_IF_ID, 7) + attribute(1, struct.pack("=I", VETH)))
