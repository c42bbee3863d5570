"""Requests about routes and policy rules; pure functions.

Sources: ``linux/rtnetlink.h``, ``linux/fib_rules.h``, rtnetlink(7).  Scopes are those
iproute2 chooses.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Literal

from testbed.kernel.addresses import Address, PackedPrefix, Prefix, pack_address, pack_prefix
from testbed.kernel.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Request
from testbed.kernel.netlink_codec import attribute, nested, text, u8, u32

RouteType = Literal["unicast", "local", "blackhole", "unreachable", "prohibit", "throw"]
RuleAction = Literal["table", "blackhole", "unreachable", "prohibit"]
Family = Literal[4, 6]

RTM_NEWROUTE = 24
RTM_DELROUTE = 25
RTM_NEWRULE = 32
RTM_DELRULE = 33

TABLE_MAIN = 254
TABLE_LOCAL = 255

RTA_DST = 1
RTA_OIF = 4
RTA_GATEWAY = 5
RTA_PRIORITY = 6
RTA_PREFSRC = 7
RTA_METRICS = 8
RTA_TABLE = 15
RTA_VIA = 18
RTAX_MTU = 2
RTNH_F_ONLINK = 4

ROUTE_TYPES: dict[RouteType, int] = {
    "unicast": 1,
    "local": 2,
    "blackhole": 6,
    "unreachable": 7,
    "prohibit": 8,
    "throw": 9,
}
_RTPROT_STATIC = 4
_RTPROT_UNSPEC = 0
SCOPE_UNIVERSE = 0
SCOPE_LINK = 253
SCOPE_HOST = 254
SCOPE_NOWHERE = 255

FRA_DST = 1
FRA_SRC = 2
FRA_IIFNAME = 3
FRA_PRIORITY = 6
FRA_FWMARK = 10
FRA_SUPPRESS_PREFIXLEN = 14
FRA_TABLE = 15
FRA_FWMASK = 16
FRA_OIFNAME = 17
FRA_PROTOCOL = 21
RULE_ACTIONS: dict[RuleAction, int] = {
    "table": 1,
    "blackhole": 6,
    "unreachable": 7,
    "prohibit": 8,
}

_RTMSG = struct.Struct("=BBBBBBBBI")
_RULE = struct.Struct("=BBBBBBBBI")
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def _destination(destination: Prefix, family: Family | None) -> PackedPrefix:
    if destination != "default":
        return pack_prefix(destination)
    chosen = _FAMILY[family or 4]
    return PackedPrefix(chosen, b"", 0)


def _table_number(table: int) -> int:
    """The old one-byte field: real number if it fits, else 0 (the attribute tells)."""
    return table if table < 256 else 0


def _scope(packed: PackedPrefix, kind: RouteType, direct: bool) -> int:
    if packed.family == socket.AF_INET6:
        return SCOPE_UNIVERSE
    if kind == "local":
        return SCOPE_HOST
    if kind == "unicast" and direct:
        return SCOPE_LINK
    return SCOPE_UNIVERSE


def _infer_family(via: Address | None, family: Family | None) -> Family | None:
    if family is not None or via is None:
        return family
    return 4 if pack_address(via).family == socket.AF_INET else 6


def _gateway(packed: PackedPrefix, via: Address) -> bytes:
    gateway = pack_address(via)
    if gateway.family == packed.family:
        return attribute(RTA_GATEWAY, gateway.data)
    if gateway.family == socket.AF_INET:
        raise ValueError(f"an IPv6 route cannot go through the IPv4 gateway {via}")
    # An IPv4 prefix through an IPv6 next hop (RFC 8950, section 3).
    return attribute(RTA_VIA, struct.pack("=H", gateway.family) + gateway.data)


def add_route(
    destination: Prefix,
    *,
    via: Address | None = None,
    link: int | None = None,
    kind: RouteType = "unicast",
    family: Family | None = None,
    onlink: bool = False,
    metric: int | None = None,
    mtu: int | None = None,
    source: Address | None = None,
    table: int = TABLE_MAIN,
    replace: bool = False,
) -> Request:
    """Add a route.

    ``destination`` ``default`` takes its family from ``via``, else from ``family``, else IPv4.
    ``link`` is an interface index.  ``onlink`` accepts a gateway no address of the link covers.
    ``mtu`` in bytes is the path MTU of the route; ``source`` the preferred source address.

    Raises:
        ValueError: an address is not one, or the families do not fit.
    """
    packed = _destination(destination, _infer_family(via, family))
    scope = _scope(packed, kind, direct=via is None)
    body = _RTMSG.pack(
        packed.family,
        packed.length,
        0,
        0,
        _table_number(table),
        _RTPROT_STATIC,
        scope,
        ROUTE_TYPES[kind],
        RTNH_F_ONLINK if onlink else 0,
    )
    if packed.length:
        body += attribute(RTA_DST, packed.data)
    if via is not None:
        body += _gateway(packed, via)
    if link is not None:
        body += u32(RTA_OIF, link)
    if metric is not None:
        body += u32(RTA_PRIORITY, metric)
    if source is not None:
        body += attribute(RTA_PREFSRC, pack_address(source).data)
    if mtu is not None:
        body += nested(RTA_METRICS, u32(RTAX_MTU, mtu))
    if table >= 256:
        body += u32(RTA_TABLE, table)
    through = f" via {via}" if via is not None else ""
    on = f" on interface number {link}" if link is not None else ""
    special = "" if kind == "unicast" else f"{kind} "
    return Request(
        RTM_NEWROUTE,
        NLM_F_CREATE | (NLM_F_REPLACE if replace else NLM_F_EXCL),
        body,
        f"add the {special}route to {destination}{through}{on}",
    )


def delete_route(
    destination: Prefix,
    *,
    via: Address | None = None,
    link: int | None = None,
    kind: RouteType | None = None,
    family: Family | None = None,
    metric: int | None = None,
    table: int = TABLE_MAIN,
) -> Request:
    """Delete the first route that matches everything given."""
    packed = _destination(destination, _infer_family(via, family))
    body = _RTMSG.pack(
        packed.family,
        packed.length,
        0,
        0,
        _table_number(table),
        _RTPROT_UNSPEC,
        SCOPE_NOWHERE,
        ROUTE_TYPES[kind] if kind is not None else 0,
        0,
    )
    if packed.length:
        body += attribute(RTA_DST, packed.data)
    if via is not None:
        body += _gateway(packed, via)
    if link is not None:
        body += u32(RTA_OIF, link)
    if metric is not None:
        body += u32(RTA_PRIORITY, metric)
    if table >= 256:
        body += u32(RTA_TABLE, table)
    return Request(RTM_DELROUTE, 0, body, f"delete the route to {destination}")


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy rule: packets that match all given use ``table``, or meet another ``action``.

    ``priority`` None lets the kernel choose one before all present rules; lower ones are asked
    first.  ``suppress_prefix_length`` ignores a found route whose prefix is not longer.
    """

    family: Family
    priority: int | None = None
    table: int = TABLE_MAIN
    action: RuleAction = "table"
    source: Prefix | None = None
    destination: Prefix | None = None
    iif: str | None = None
    oif: str | None = None
    fwmark: int | None = None
    fwmask: int = 0xFFFFFFFF
    suppress_prefix_length: int | None = None

    def __str__(self) -> str:
        words = [f"IPv{self.family} rule"]
        for word, value in (
            ("from", self.source),
            ("to", self.destination),
            ("iif", self.iif),
            ("oif", self.oif),
            ("fwmark", self.fwmark),
            ("priority", self.priority),
        ):
            if value is not None:
                words.append(f"{word} {value}")
        words.append(f"table {self.table}" if self.action == "table" else self.action)
        return " ".join(words)


def _rule(rule: Rule) -> bytes:
    lengths = {FRA_SRC: 0, FRA_DST: 0}
    body = b""
    for kind, prefix in ((FRA_SRC, rule.source), (FRA_DST, rule.destination)):
        if prefix is None:
            continue
        packed = pack_prefix(prefix)
        if packed.family != _FAMILY[rule.family]:
            raise ValueError(f"{prefix} is not an IPv{rule.family} prefix")
        lengths[kind] = packed.length
        if packed.length:
            body += attribute(kind, packed.data)
    if rule.iif is not None:
        body += text(FRA_IIFNAME, rule.iif)
    if rule.oif is not None:
        body += text(FRA_OIFNAME, rule.oif)
    if rule.fwmark is not None:
        body += u32(FRA_FWMARK, rule.fwmark) + u32(FRA_FWMASK, rule.fwmask)
    if rule.priority is not None:
        body += u32(FRA_PRIORITY, rule.priority)
    table = 0
    if rule.action == "table":
        body += u32(FRA_TABLE, rule.table)
        table = _table_number(rule.table)
    if rule.suppress_prefix_length is not None:
        body += u32(FRA_SUPPRESS_PREFIXLEN, rule.suppress_prefix_length)
    action = RULE_ACTIONS[rule.action]
    family = _FAMILY[rule.family]
    head = _RULE.pack(family, lengths[FRA_DST], lengths[FRA_SRC], 0, table, 0, 0, action, 0)
    return head + body


_RULES_NEED = "policy routing (CONFIG_IP_MULTIPLE_TABLES, CONFIG_IPV6_MULTIPLE_TABLES)"


def add_rule(rule: Rule) -> Request:
    """Add a policy rule.

    Raises:
        ValueError: a prefix is not one, or is of the other family.
    """
    body = _rule(rule) + u8(FRA_PROTOCOL, _RTPROT_STATIC)
    return Request(
        RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, body, f"add the {rule}", None, _RULES_NEED
    )


def delete_rule(rule: Rule) -> Request:
    """Delete the first policy rule that matches everything given."""
    return Request(RTM_DELRULE, 0, _rule(rule), f"delete the {rule}")
