"""Names of ICMP and ICMPv6 messages (RFC 792, RFC 1812, RFC 4443, RFC 4861, RFC 3810)."""

from __future__ import annotations

_ICMP = {
    0: "echo reply",
    3: "destination unreachable",
    4: "source quench",
    5: "redirect",
    8: "echo request",
    9: "router advertisement",
    10: "router solicitation",
    11: "time exceeded",
    12: "parameter problem",
    13: "timestamp request",
    14: "timestamp reply",
}
_ICMP_CODES = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 9): "network administratively prohibited",
    (3, 10): "host administratively prohibited",
    (3, 13): "administratively prohibited",
    (11, 0): "time exceeded in transit",
    (11, 1): "reassembly time exceeded",
}
_ICMPV6 = {
    1: "destination unreachable",
    2: "packet too big",
    3: "time exceeded",
    4: "parameter problem",
    128: "echo request",
    129: "echo reply",
    130: "multicast listener query",
    131: "multicast listener report",
    132: "multicast listener done",
    133: "router solicitation",
    134: "router advertisement",
    135: "neighbour solicitation",
    136: "neighbour advertisement",
    137: "redirect",
    143: "multicast listener report",
}
_ICMPV6_CODES = {
    (1, 0): "no route",
    (1, 1): "administratively prohibited",
    (1, 2): "beyond scope of source address",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (1, 5): "source address failed policy",
    (1, 6): "route rejected",
    (3, 0): "hop limit exceeded",
    (3, 1): "reassembly time exceeded",
}

ICMP_ERRORS = frozenset({3, 4, 5, 11, 12})
ICMPV6_ERRORS = frozenset({1, 2, 3, 4})
ICMPV6_HOUSEKEEPING = frozenset({*range(130, 138), 143})
"""Messages that keep a link going by themselves: multicast listeners, neighbours, routers."""


def icmp_name(kind: int, code: int) -> str:
    """The message of that type and code, in words."""
    return _ICMP_CODES.get((kind, code)) or _ICMP.get(kind) or f"type {kind} code {code}"


def icmpv6_name(kind: int, code: int) -> str:
    """The message of that type and code, in words."""
    return _ICMPV6_CODES.get((kind, code)) or _ICMPV6.get(kind) or f"type {kind} code {code}"
