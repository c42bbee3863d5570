"""Who has which number: ASes (RFC 5398), IPv4 (RFC 5737) and IPv6 (RFC 9637), all for documents.

The ISP's own routers have addresses of blocks that it announces to nobody, and not of those that it
announces to the world: the next hop of a router that is gone must not be found in the aggregate,
which leads nowhere.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

ISP_AS = 64500
CUSTOMERS_V4 = IPv4Network("198.51.100.0/24")
"""What the ISP announces, for its customers.  Those behind a CGN are to have 100.64.0.0/10."""
CUSTOMERS_V6 = IPv6Network("3fff:500::/32")
INSIDE_V4 = IPv4Network("192.0.2.0/24")
"""Loopbacks from .1 on, links from .64 on."""
INSIDE_V6 = IPv6Network("3fff:5ff::/48")

TRANSIT_AS = {"transit-a": 64501, "transit-b": 64502}
CONTENT_AS = 64510
CONTENT_V4 = IPv4Network("203.0.113.0/25")
CONTENT_V6 = IPv6Network("3fff:c00::/32")
OUTSIDE_V4 = IPv4Network("203.0.113.128/25")
"""Links between ASes."""
OUTSIDE_V6 = IPv6Network("3fff:a00::/48")

WWW, WWW_V6 = "203.0.113.80", "3fff:c00:80::80"
PC, PC_V6 = "198.51.100.138", "3fff:500:1000::10"


def ends_v4(block: IPv4Network, first: int, number: int) -> tuple[str, str]:
    """The two ends of a numbered link: a /31 of the block (RFC 3021), counted from ``first``."""
    at = int(block.network_address) + first + 2 * number
    low, high = IPv4Network((at, 31))
    return f"{low}/31", f"{high}/31"


def ends_v6(block: IPv6Network, number: int) -> tuple[str, str]:
    """The two ends of a numbered link: a /64 of the block, ::1 and ::2."""
    subnet = IPv6Network((int(block.network_address) + (number << 64), 64))
    return f"{subnet[1]}/64", f"{subnet[2]}/64"


def plain(address: str) -> str:
    """An address without its prefix length."""
    return address.partition("/")[0]
