"""Requests about links: making them, changing them, deleting them.

Pure functions that return a :class:`~testbed.kernel.netlink.Request`.  Interface indices are chosen
by the caller wherever possible, so that nothing has to be looked up afterwards.

Sources: ``linux/if_link.h``, ``linux/rtnetlink.h``, rtnetlink(7).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from testbed.kernel.netlink import NLM_F_CREATE, NLM_F_EXCL, Request
from testbed.kernel.netlink_codec import attribute, nested, text, u8, u32

RTM_NEWLINK = 16
RTM_DELLINK = 17

IFF_UP = 0x1
AF_UNSPEC = 0
AF_INET6 = 10

IFLA_ADDRESS = 1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_LINK = 5
IFLA_MASTER = 10
IFLA_TXQLEN = 13
IFLA_LINKINFO = 18
IFLA_IFALIAS = 20
IFLA_AF_SPEC = 26
IFLA_GROUP = 27
IFLA_NET_NS_FD = 28
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
IFLA_INET6_ADDR_GEN_MODE = 8
_VETH_INFO_PEER = 1
_IFLA_BR_AGEING_TIME = 4
_IFLA_BR_STP_STATE = 5
_IFLA_BR_MCAST_SNOOPING = 23
_USER_HZ = 100

_IFINFO = struct.Struct("=BBHiII")

_PROVIDED_BY = {
    "veth": "CONFIG_VETH (module veth)",
    "bridge": "CONFIG_BRIDGE (module bridge)",
    "dummy": "CONFIG_DUMMY (module dummy)",
    "ifb": "CONFIG_IFB (module ifb)",
    "vlan": "CONFIG_VLAN_8021Q (module 8021q)",
    "vrf": "CONFIG_NET_VRF (module vrf)",
    "macvlan": "CONFIG_MACVLAN (module macvlan)",
    "vxlan": "CONFIG_VXLAN (module vxlan)",
    "ip6tnl": "CONFIG_IPV6_TUNNEL (module ip6_tunnel)",
    "sit": "CONFIG_IPV6_SIT (module sit)",
    "ipip": "CONFIG_NET_IPIP (module ipip)",
    "gre": "CONFIG_NET_IPGRE (module ip_gre)",
    "xfrm": "CONFIG_XFRM_INTERFACE (module xfrm_interface)",
    "wireguard": "CONFIG_WIREGUARD (module wireguard)",
}


@dataclass(frozen=True, slots=True)
class VethEnd:
    """One end of a veth pair.

    ``index`` 0 lets the kernel choose; ``netns_fd`` None means the namespace of the socket;
    ``mac`` is ``02:00:..``, None lets the kernel choose; ``mtu`` in bytes; ``txqlen`` in
    packets.
    """

    name: str
    index: int = 0
    netns_fd: int | None = None
    mac: str | None = None
    mtu: int | None = None
    txqlen: int | None = None
    group: int | None = None


def mac_bytes(mac: str) -> bytes:
    """The six bytes of ``02:00:5e:00:53:01``.

    Raises:
        ValueError: it is not a MAC address.
    """
    data = bytes.fromhex(mac.replace(":", ""))
    if len(data) != 6:
        raise ValueError(f"{mac!r} is not a MAC address")
    return data


def ifinfo(index: int = 0, flags: int = 0, change: int = 0, family: int = AF_UNSPEC) -> bytes:
    """``struct ifinfomsg``."""
    return _IFINFO.pack(family, 0, 0, index, flags, change)


def _attributes(
    *,
    name: str | None,
    netns_fd: int | None,
    mac: str | None,
    mtu: int | None,
    txqlen: int | None,
    group: int | None,
) -> bytes:
    parts = []
    if name is not None:
        parts.append(text(IFLA_IFNAME, name))
    if netns_fd is not None:
        parts.append(u32(IFLA_NET_NS_FD, netns_fd))
    if mac is not None:
        parts.append(attribute(IFLA_ADDRESS, mac_bytes(mac)))
    if mtu is not None:
        parts.append(u32(IFLA_MTU, mtu))
    if txqlen is not None:
        parts.append(u32(IFLA_TXQLEN, txqlen))
    if group is not None:
        parts.append(u32(IFLA_GROUP, group))
    return b"".join(parts)


def _veth_end(end: VethEnd, flags: int = 0) -> bytes:
    return ifinfo(end.index, flags, flags) + _attributes(
        name=end.name,
        netns_fd=end.netns_fd,
        mac=end.mac,
        mtu=end.mtu,
        txqlen=end.txqlen,
        group=end.group,
    )


def veth(
    first: VethEnd, second: VethEnd, *, up: bool = False, master: int | None = None
) -> Request:
    """Make a veth pair, each end at once in its namespace.

    ``up`` raises the first end and ``master`` enslaves it to a bridge in its namespace.  Neither
    can be had for the second end in one step: the kernel makes that one before it has a peer.
    """
    head = _veth_end(first, IFF_UP if up else 0)
    if master is not None:
        head += u32(IFLA_MASTER, master)
    info = nested(
        IFLA_LINKINFO,
        text(IFLA_INFO_KIND, "veth"),
        nested(IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, _veth_end(second))),
    )
    return Request(
        RTM_NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        head + info,
        f"create the veth pair {first.name} - {second.name}",
        needs=_PROVIDED_BY["veth"],
    )


def create(
    kind: str,
    name: str,
    *,
    index: int = 0,
    netns_fd: int | None = None,
    mac: str | None = None,
    mtu: int | None = None,
    up: bool = False,
    txqlen: int | None = None,
    group: int | None = None,
    parent: int | None = None,
    master: int | None = None,
    data: bytes = b"",
) -> Request:
    """Make a link of any ``kind``; ``data`` is its ready packed ``IFLA_INFO_DATA`` content.

    ``parent`` is the index of the link it sits on (VLAN, macvlan).  A missing driver is loaded by
    the kernel if the machine has it as a module, as with ``ip link add``.
    """
    flags = IFF_UP if up else 0
    body = ifinfo(index, flags, flags) + _attributes(
        name=name, netns_fd=netns_fd, mac=mac, mtu=mtu, txqlen=txqlen, group=group
    )
    if parent is not None:
        body += u32(IFLA_LINK, parent)
    if master is not None:
        body += u32(IFLA_MASTER, master)
    info = text(IFLA_INFO_KIND, kind)
    if data:
        info += nested(IFLA_INFO_DATA, data)
    return Request(
        RTM_NEWLINK,
        NLM_F_CREATE | NLM_F_EXCL,
        body + nested(IFLA_LINKINFO, info),
        f"create the {kind} link {name}",
        needs=_PROVIDED_BY.get(kind, f"a kernel with {kind} links"),
    )


def bridge(
    name: str,
    *,
    index: int = 0,
    netns_fd: int | None = None,
    mac: str | None = None,
    mtu: int | None = None,
    up: bool = False,
    multicast_snooping: bool = False,
    ageing_s: int | None = None,
) -> Request:
    """Make a bridge that behaves as a plain switch: no spanning tree, so ports forward at once.

    Without ``multicast_snooping`` multicast (and with it neighbour discovery) floods all ports.
    ``ageing_s`` is how long an address is remembered, in seconds; 0 makes a hub.
    """
    data = u32(_IFLA_BR_STP_STATE, 0) + u8(_IFLA_BR_MCAST_SNOOPING, int(multicast_snooping))
    if ageing_s is not None:
        data += u32(_IFLA_BR_AGEING_TIME, ageing_s * _USER_HZ)
    return create(
        "bridge", name, index=index, netns_fd=netns_fd, mac=mac, mtu=mtu, up=up, data=data
    )


def change(
    link: int | str,
    *,
    up: bool | None = None,
    mtu: int | None = None,
    name: str | None = None,
    mac: str | None = None,
    netns_fd: int | None = None,
    txqlen: int | None = None,
    group: int | None = None,
    master: int | None = None,
    alias: str | None = None,
    link_local: bool | None = None,
) -> Request:
    """Change a link, told by index or name; only what is given is changed.

    ``master`` 0 takes it out of its bridge.  ``netns_fd`` moves it.  ``link_local`` False stops the
    kernel from making an IPv6 link-local address when the link comes up.

    Raises:
        ValueError: a new ``name`` is given for a link told by name.
    """
    if isinstance(link, str) and name is not None:
        raise ValueError("tell a link that is to be renamed by its index")
    flags = IFF_UP if up else 0
    mask = 0 if up is None else IFF_UP
    selector = link if isinstance(link, int) else 0
    label = link if isinstance(link, str) else None
    body = ifinfo(selector, flags, mask)
    body += _attributes(
        name=name or label, netns_fd=netns_fd, mac=mac, mtu=mtu, txqlen=txqlen, group=group
    )
    if master is not None:
        body += u32(IFLA_MASTER, master)
    if alias is not None:
        body += text(IFLA_IFALIAS, alias)
    if link_local is not None:
        mode = u8(IFLA_INET6_ADDR_GEN_MODE, 0 if link_local else 1)
        body += nested(IFLA_AF_SPEC, nested(AF_INET6, mode))
    what = _describe(link, up=up, mtu=mtu, name=name, netns_fd=netns_fd, master=master)
    return Request(RTM_NEWLINK, 0, body, what)


def _describe(
    link: int | str,
    *,
    up: bool | None,
    mtu: int | None,
    name: str | None,
    netns_fd: int | None,
    master: int | None,
) -> str:
    what = f"interface {link}" if isinstance(link, str) else f"interface number {link}"
    if netns_fd is not None:
        return f"move {what} to another namespace"
    if name is not None:
        return f"rename {what} to {name}"
    if master is not None:
        return f"attach {what} to bridge number {master}" if master else f"detach {what}"
    if mtu is not None:
        return f"set the MTU of {what} to {mtu}"
    if up is not None:
        return f"set {what} {'up' if up else 'down'}"
    return f"change {what}"


def delete(link: int | str) -> Request:
    """Delete a link, told by index or name; of a veth pair both ends go."""
    if isinstance(link, int):
        return Request(RTM_DELLINK, 0, ifinfo(link), f"delete interface number {link}")
    return Request(RTM_DELLINK, 0, ifinfo() + text(IFLA_IFNAME, link), f"delete interface {link}")
