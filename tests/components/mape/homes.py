"""A small MAP-E world for the tests: two homes that share an address, and the BR between them.

Packets are built and read with scapy, which shares no code with the components.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from testbed.components.mape.br import BorderRelay
from testbed.components.mape.br_config import BorderRelayConfig
from testbed.components.mape.iid import IidLayout
from testbed.components.mape.rules import MapRule
from testbed.components.mape.tables import RuleTable, shipped_table
from testbed.components.packet.outcome import Outcome
from testbed.events import Drop

BR = "2404:9200:225:100::64"
BR_IPV4 = "203.0.113.1"
SERVER = "203.0.113.80"
SHARED = "106.72.0.1"
ROUTER = "2001:db8:0:1::1"


@dataclass(frozen=True)
class Home:
    """A CE as a customer's router would know it; written out, not computed."""

    ipv6: str
    ipv4: str
    port: int
    """One port of its set."""


A = Home("240b:10:1:4700:6a:4800:100:4700", SHARED, 5232)  # PSID 0x47
B = Home("240b:10:1:4800:6a:4800:100:4800", SHARED, 5248)  # PSID 0x48
WHOLE = Home("2001:db8:100:1200:c6:3364:1200:0", "198.51.100.18", 80)  # a whole address

WHOLE_RULE = MapRule(IPv6Network("2001:db8:100::/48"), IPv4Network("198.51.100.0/24"), 8, 4)

CONFIG = BorderRelayConfig(
    address=IPv6Address(BR),
    ipv4_address=IPv4Address(BR_IPV4),
    rules=RuleTable([*shipped_table("v6plus").table, WHOLE_RULE]),
    iid=IidLayout.DRAFT03,
)


def relay(**changes: Any) -> BorderRelay:
    """A BR of this world, with changes to its configuration."""
    return BorderRelay(replace(CONFIG, **changes))


def wire(packet: Packet) -> bytes:
    """The packet's bytes, checksums and lengths filled in by scapy."""
    return bytes(packet)


def tunnelled(home: Home, inner: Packet, **outer: Any) -> bytes:
    """``inner`` as the CE of ``home`` sends it to the BR."""
    fields = {"src": home.ipv6, "dst": BR, "nh": 4, "hlim": 63} | outer
    return wire(IPv6(**fields) / inner)


def udp_from(home: Home, size: int = 30, **ip: Any) -> Packet:
    """A datagram from a home's public address and port to the server."""
    fields = {"src": home.ipv4, "dst": SERVER} | ip
    return IP(**fields) / UDP(sport=home.port, dport=443) / Raw(bytes(i & 255 for i in range(size)))


def udp_to(home: Home, size: int = 30, **ip: Any) -> Packet:
    """A datagram from the server to a home's public address and port."""
    fields = {"src": SERVER, "dst": home.ipv4} | ip
    return IP(**fields) / UDP(sport=443, dport=home.port) / Raw(bytes(i & 255 for i in range(size)))


def tcp_to(home: Home, **ip: Any) -> Packet:
    """A SYN from the server side to a home's public address and port."""
    return IP(src=SERVER, dst=home.ipv4, **ip) / TCP(sport=443, dport=home.port, flags="S")


def echo(source: str, destination: str, identifier: int, kind: str = "echo-request") -> Packet:
    """A ping, or its reply."""
    return IP(src=source, dst=destination) / ICMP(type=kind, id=identifier, seq=1) / Raw(b"ping")


def only_packet(outcome: Outcome) -> bytes:
    """The one packet of an outcome in which nothing else happened."""
    assert outcome.events == (), outcome.events
    (packet,) = outcome.packets
    return packet


def only_drop(outcome: Outcome) -> Drop:
    """The one drop of an outcome in which nothing was sent."""
    assert outcome.packets == (), outcome.packets
    (event,) = outcome.events
    assert isinstance(event, Drop)
    assert event.component == "mape-br"
    assert event.packet is not None
    assert event.clause
    return event


def inside(packet: bytes, home: Home) -> Packet:
    """The IPv4 packet inside a packet that the BR sent to ``home``, its outer header checked."""
    outer = IPv6(packet)
    assert (outer.src, outer.dst, outer.nh) == (BR, home.ipv6, 4)
    assert outer.plen == len(packet) - 40
    return IP(packet[40:])
