"""What the kernel says is there: dump requests, and its answers as small frozen values.

Sources: ``linux/if_link.h``, ``linux/if_addr.h``, ``linux/rtnetlink.h``, ``linux/neighbour.h``,
``linux/fib_rules.h``, ``linux/gen_stats.h``.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)

from testbed.kernel import addresses as ifa
from testbed.kernel import links as ifl
from testbed.kernel import routes as rta
from testbed.kernel.netlink import Request
from testbed.kernel.netlink_codec import find_attribute, split_attributes, u32

_RTM_GETLINK = 18
_RTM_GETADDR = 22
_RTM_GETROUTE = 26
_RTM_GETNEIGH = 30
_RTM_GETRULE = 34
_RTM_GETQDISC = 38

_IFINFO = struct.Struct("=BBHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_NDMSG = struct.Struct("=BxxxiHBB")
_TCMSG = struct.Struct("=BxxxiIII")
_U32 = struct.Struct("=I")
_S32 = struct.Struct("=i")

_IFLA_OPERSTATE = 16
_IFLA_LINK_NETNSID = 37
_IFLA_EXT_MASK = 29
_RTEXT_FILTER_SKIP_STATS = 8
_IFF_LOWER_UP = 0x10000
_TCA_KIND = 1
_TCA_STATS2 = 7
_TCA_STATS_BASIC = 1
_TCA_STATS_QUEUE = 3
_OPERSTATES = (
    "unknown",
    "notpresent",
    "down",
    "lowerlayerdown",
    "testing",
    "dormant",
    "up",
)
_NUD = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}
_TYPE_NAMES = {number: name for name, number in rta.ROUTE_TYPES.items()} | {
    3: "broadcast",
    4: "anycast",
    5: "multicast",
}
_ACTION_NAMES = {number: name for name, number in rta.RULE_ACTIONS.items()}
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}

LINKS = Request(_RTM_GETLINK, 0, ifl.ifinfo(), "list the links")
ADDRESSES = Request(_RTM_GETADDR, 0, _IFADDR.pack(0, 0, 0, 0, 0), "list the addresses")
ROUTES_V4 = Request(
    _RTM_GETROUTE, 0, _RTMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0), "list the IPv4 routes"
)
ROUTES_V6 = Request(
    _RTM_GETROUTE, 0, _RTMSG.pack(socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0), "list the IPv6 routes"
)
RULES_V4 = Request(
    _RTM_GETRULE, 0, _RTMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0), "list the IPv4 rules"
)
RULES_V6 = Request(
    _RTM_GETRULE, 0, _RTMSG.pack(socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0), "list the IPv6 rules"
)
NEIGHBOURS = Request(_RTM_GETNEIGH, 0, _NDMSG.pack(0, 0, 0, 0, 0), "list the neighbours")
PROXY_NEIGHBOURS = Request(
    _RTM_GETNEIGH, 0, _NDMSG.pack(0, 0, 0, ifa.NTF_PROXY, 0), "list the proxy neighbours"
)
QDISCS = Request(_RTM_GETQDISC, 0, _TCMSG.pack(0, 0, 0, 0, 0), "list the queueing disciplines")


def one_link(index: int) -> Request:
    """Ask for one link, without its counters."""
    body = ifl.ifinfo(index) + u32(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS)
    return Request(_RTM_GETLINK, 0, body, f"look at interface number {index}")


@dataclass(frozen=True, slots=True)
class LinkState:
    """A link.

    ``kind`` is empty for hardware and loopback; ``parent`` the index of the veth peer or lower
    link, in the namespace with the id ``parent_netns`` when that is not None; ``running`` means
    up with carrier.
    """

    index: int
    name: str
    kind: str
    up: bool
    running: bool
    operstate: str
    mtu: int
    mac: str | None
    master: int | None
    parent: int | None
    parent_netns: int | None
    txqlen: int
    group: int


@dataclass(frozen=True, slots=True)
class AddressState:
    """An address of a link; lifetimes in seconds, None is for ever."""

    link: int
    address: IPv4Interface | IPv6Interface
    peer: IPv4Address | IPv6Address | None
    scope: str
    nodad: bool
    tentative: bool
    dad_failed: bool
    permanent: bool
    prefix_route: bool
    preferred_s: int | None
    valid_s: int | None


@dataclass(frozen=True, slots=True)
class RouteState:
    """A route; ``protocol`` is the number of who made it (2 kernel, 4 static)."""

    destination: IPv4Network | IPv6Network
    kind: str
    table: int
    via: IPv4Address | IPv6Address | None
    link: int | None
    source: IPv4Address | IPv6Address | None
    metric: int | None
    mtu: int | None
    scope: str
    protocol: int
    onlink: bool


@dataclass(frozen=True, slots=True)
class RuleState:
    """A policy rule."""

    family: int
    priority: int
    action: str
    table: int
    source: IPv4Network | IPv6Network | None
    destination: IPv4Network | IPv6Network | None
    iif: str | None
    oif: str | None
    fwmark: int | None
    fwmask: int | None


@dataclass(frozen=True, slots=True)
class NeighbourState:
    """An entry of the ARP or neighbour table."""

    link: int
    address: IPv4Address | IPv6Address
    mac: str | None
    state: str
    proxy: bool
    router: bool


@dataclass(frozen=True, slots=True)
class QdiscState:
    """A queueing discipline and its counters since it was made."""

    link: int
    kind: str
    handle: int
    parent: int
    sent_bytes: int
    sent_packets: int
    dropped: int
    overlimits: int
    requeued: int
    queued_packets: int
    queued_bytes: int


def _ip(data: bytes) -> IPv4Address | IPv6Address:
    return IPv4Address(data) if len(data) == 4 else IPv6Address(data)


def _interface(data: bytes, length: int) -> IPv4Interface | IPv6Interface:
    if len(data) == 4:
        return IPv4Interface((data, length))
    return IPv6Interface((data, length))


def _network(family: int, data: bytes | None, length: int) -> IPv4Network | IPv6Network:
    if family == socket.AF_INET:
        return IPv4Network((data or bytes(4), length), strict=False)
    return IPv6Network((data or bytes(16), length), strict=False)


def _number(found: dict[int, bytes], kind: int) -> int | None:
    data = found.get(kind)
    return None if data is None or len(data) < 4 else int(_U32.unpack_from(data)[0])


def _signed(found: dict[int, bytes], kind: int) -> int | None:
    data = found.get(kind)
    return None if data is None or len(data) < 4 else int(_S32.unpack_from(data)[0])


def _word(found: dict[int, bytes], kind: int) -> str | None:
    data = found.get(kind)
    return None if data is None else data.rstrip(b"\0").decode(errors="replace")


def parse_link(body: bytes) -> LinkState:
    """Read an ``RTM_NEWLINK`` body."""
    _, _, _, index, flags, _ = _IFINFO.unpack_from(body)
    found = split_attributes(body, _IFINFO.size)
    info = split_attributes(found.get(ifl.IFLA_LINKINFO, b""))
    mac = found.get(ifl.IFLA_ADDRESS)
    return LinkState(
        index=index,
        name=_word(found, ifl.IFLA_IFNAME) or "",
        kind=_word(info, ifl.IFLA_INFO_KIND) or "",
        up=bool(flags & ifl.IFF_UP),
        running=bool(flags & ifl.IFF_UP and flags & _IFF_LOWER_UP),
        operstate=_operstate(found.get(_IFLA_OPERSTATE)),
        mtu=_number(found, ifl.IFLA_MTU) or 0,
        mac=mac.hex(":") if mac else None,
        master=_number(found, ifl.IFLA_MASTER),
        parent=_number(found, ifl.IFLA_LINK),
        parent_netns=_signed(found, _IFLA_LINK_NETNSID),
        txqlen=_number(found, ifl.IFLA_TXQLEN) or 0,
        group=_number(found, ifl.IFLA_GROUP) or 0,
    )


def parse_operstate(body: bytes) -> str:
    """Only the ``operstate`` of an ``RTM_NEWLINK`` body: a tenth of the work of all of it."""
    return _operstate(find_attribute(body, _IFLA_OPERSTATE, _IFINFO.size))


def _operstate(payload: bytes | None) -> str:
    number = payload[0] if payload else 0
    return _OPERSTATES[number] if number < len(_OPERSTATES) else str(number)


def parse_address(body: bytes) -> AddressState:
    """Read an ``RTM_NEWADDR`` body."""
    _, length, old_flags, scope, link = _IFADDR.unpack_from(body)
    found = split_attributes(body, _IFADDR.size)
    flags = _number(found, ifa.IFA_FLAGS)
    flags = old_flags if flags is None else flags
    far = found[ifa.IFA_ADDRESS]
    local = found.get(ifa.IFA_LOCAL, far)
    preferred = valid = None
    cache = found.get(ifa.IFA_CACHEINFO)
    if cache is not None:
        preferred, valid = (
            None if seconds == ifa.FOREVER else seconds
            for seconds in struct.unpack_from("=II", cache)
        )
    return AddressState(
        link=link,
        address=_interface(local, length),
        peer=_ip(far) if far != local else None,
        scope=_SCOPES.get(scope, str(scope)),
        nodad=bool(flags & ifa.IFA_F_NODAD),
        tentative=bool(flags & 0x40),
        dad_failed=bool(flags & 0x08),
        permanent=bool(flags & 0x80),
        prefix_route=not flags & ifa.IFA_F_NOPREFIXROUTE,
        preferred_s=preferred,
        valid_s=valid,
    )


def parse_route(body: bytes) -> RouteState:
    """Read an ``RTM_NEWROUTE`` body."""
    family, length, _, _, table, protocol, scope, kind, flags = _RTMSG.unpack_from(body)
    found = split_attributes(body, _RTMSG.size)
    metrics = split_attributes(found.get(rta.RTA_METRICS, b""))
    gateway = found.get(rta.RTA_GATEWAY)
    if gateway is None and rta.RTA_VIA in found:
        gateway = found[rta.RTA_VIA][2:]
    source = found.get(rta.RTA_PREFSRC)
    wide_table = _number(found, rta.RTA_TABLE)
    return RouteState(
        destination=_network(family, found.get(rta.RTA_DST), length),
        kind=_TYPE_NAMES.get(kind, str(kind)),
        table=table if wide_table is None else wide_table,
        via=_ip(gateway) if gateway else None,
        link=_number(found, rta.RTA_OIF),
        source=_ip(source) if source else None,
        metric=_number(found, rta.RTA_PRIORITY),
        mtu=_number(metrics, rta.RTAX_MTU),
        scope=_SCOPES.get(scope, str(scope)),
        protocol=protocol,
        onlink=bool(flags & rta.RTNH_F_ONLINK),
    )


def parse_rule(body: bytes) -> RuleState:
    """Read an ``RTM_NEWRULE`` body."""
    family, to_length, from_length, _, table, _, _, action, _ = _RTMSG.unpack_from(body)
    found = split_attributes(body, _RTMSG.size)
    wide_table = _number(found, rta.FRA_TABLE)
    source, destination = found.get(rta.FRA_SRC), found.get(rta.FRA_DST)
    return RuleState(
        family=4 if family == socket.AF_INET else 6,
        priority=_number(found, rta.FRA_PRIORITY) or 0,
        action=_ACTION_NAMES.get(action, str(action)),
        table=table if wide_table is None else wide_table,
        source=_network(family, source, from_length) if source else None,
        destination=_network(family, destination, to_length) if destination else None,
        iif=_word(found, rta.FRA_IIFNAME),
        oif=_word(found, rta.FRA_OIFNAME),
        fwmark=_number(found, rta.FRA_FWMARK),
        fwmask=_number(found, rta.FRA_FWMASK),
    )


def parse_neighbour(body: bytes) -> NeighbourState:
    """Read an ``RTM_NEWNEIGH`` body."""
    _, link, number, flags, _ = _NDMSG.unpack_from(body)
    found = split_attributes(body, _NDMSG.size)
    mac = found.get(ifa.NDA_LLADDR)
    return NeighbourState(
        link=link,
        address=_ip(found[ifa.NDA_DST]),
        mac=mac.hex(":") if mac else None,
        state=_NUD.get(number, "none" if number == 0 else str(number)),
        proxy=bool(flags & ifa.NTF_PROXY),
        router=bool(flags & 0x80),
    )


def parse_qdisc(body: bytes) -> QdiscState:
    """Read an ``RTM_NEWQDISC`` body."""
    _, link, handle, parent, _ = _TCMSG.unpack_from(body)
    found = split_attributes(body, _TCMSG.size)
    stats = split_attributes(found.get(_TCA_STATS2, b""))
    basic = stats.get(_TCA_STATS_BASIC, b"").ljust(16, b"\0")
    queue = stats.get(_TCA_STATS_QUEUE, b"").ljust(20, b"\0")
    sent_bytes, sent_packets = struct.unpack_from("=QI", basic)
    queued_packets, queued_bytes, dropped, requeued, overlimits = struct.unpack_from(
        "=IIIII", queue
    )
    return QdiscState(
        link=link,
        kind=_word(found, _TCA_KIND) or "",
        handle=handle,
        parent=parent,
        sent_bytes=sent_bytes,
        sent_packets=sent_packets,
        dropped=dropped,
        overlimits=overlimits,
        requeued=requeued,
        queued_packets=queued_packets,
        queued_bytes=queued_bytes,
    )
