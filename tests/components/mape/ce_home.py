"""A home behind a CE on the v6plus rule, for tests; addresses as in topologies/v6plus."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from scapy.layers.inet6 import IPv6

from testbed.components.mape.calc import MapParameters, calculate, parse_prefix
from testbed.components.mape.ce import CustomerEdge
from testbed.components.mape.ce_config import CustomerEdgeConfig
from testbed.components.mape.tables import shipped_table
from testbed.components.packet.outcome import Outcome
from testbed.events import Drop
from tests.components.napt.helpers import judge

V6PLUS = shipped_table("v6plus")
BR = "2404:9200:225:100::64"
SHARED = "106.72.18.52"
LAN = "192.168.1.1"
PC, PC2 = "192.168.1.11", "192.168.1.12"
WWW = "203.0.113.80"
CE_A = "240b:10:1234:4700:6a:4812:3400:4700"
CE_B = "240b:10:1234:b200:6a:4812:3400:b200"
FIRST_A, FIRST_B = 5232, 6944
"""The first port of PSID 71 (home A) and of PSID 178 (home B)."""


def parameters(home: str) -> MapParameters:
    prefix = parse_prefix({"a": "240b:10:1234:4700::/56", "b": "240b:10:1234:b200::/56"}[home])
    return calculate(prefix, V6PLUS.table.for_prefix(prefix), iid=V6PLUS.iid)


def config(home: str = "a", **options: Any) -> CustomerEdgeConfig:
    return CustomerEdgeConfig(
        parameters=parameters(home),
        br=IPv6Address(BR),
        lan_address=IPv4Address(LAN),
        rules=V6PLUS.table,
        **options,
    )


def edge(home: str = "a", **options: Any) -> CustomerEdge:
    return CustomerEdge(config(home, **options))


def tunnelled(inner: bytes, source: str = BR, destination: str = CE_A, **fields: Any) -> bytes:
    """``inner`` in an IPv6 packet built by scapy."""
    return bytes(IPv6(src=source, dst=destination, nh=4, **fields) / inner)


def one_tunnelled(outcome: Outcome) -> tuple[Any, Any]:
    """The one packet of an outcome: its outer header as scapy reads it, and the judged inside."""
    (packet,) = outcome.packets
    outer = IPv6(packet)
    assert outer.nh == 4
    assert outer.plen == len(packet) - 40
    return outer, judge(packet[40:])


def one_inside(outcome: Outcome) -> Any:
    (packet,) = outcome.packets
    assert packet[0] >> 4 == 4
    return judge(packet)


def drop_of(outcome: Outcome) -> Drop:
    (drop,) = (event for event in outcome.events if isinstance(event, Drop))
    return drop


def accounted(ce: CustomerEdge) -> bool:
    """Every packet that came in has one fate."""
    c = ce.counters()
    fates = ("encapsulated", "decapsulated", "hairpinned", "icmpv6", "merged", "waiting")
    drops = sum(number for name, number in c.items() if name.startswith("drop."))
    return c["received"] == sum(c[fate] for fate in fates) + drops


def swapped(outer: Any) -> dict[str, str]:
    """Addresses for an answer to a tunnelled packet."""
    return {"source": outer.dst, "destination": outer.src}
