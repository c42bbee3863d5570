"""A small NAPT to test, and scapy as the judge of what comes out of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP

from testbed.components.napt.engine import Napt
from testbed.components.napt.identification import Identifications
from testbed.components.napt.policy import IcmpPolicy, NaptPolicy
from testbed.components.napt.ports import PortStrategy, RangePortPool, Sequential
from testbed.components.napt.translation import Translation
from testbed.events import Drop, Event

OUTSIDE = "198.51.100.7"
ROUTER = "192.168.0.1"
A, B = "192.168.0.10", "192.168.0.11"
SERVER, OTHER = "203.0.113.80", "203.0.113.81"
RANGES = ((5000, 5003), (6000, 6003))
PORTS = [*range(5000, 5004), *range(6000, 6004)]


def number(address: str) -> int:
    return int(IPv4Address(address))


POLICY = NaptPolicy(icmp=IcmpPolicy(source=number(ROUTER)))


def make(
    policy: NaptPolicy = POLICY,
    *,
    strategy: PortStrategy | None = None,
    ranges: Iterable[tuple[int, int]] = RANGES,
    identifications: Identifications | None = None,
    **changes: Any,
) -> Napt:
    pool = RangePortPool(number(OUTSIDE), ranges, strategy or Sequential())
    return Napt(pool, replace(policy, **changes), identifications=identifications)


def judge(packet: bytes) -> Any:
    """The packet as scapy reads it, after scapy has computed every checksum to the same value.

    Also the header checksum of the packet an ICMP error quotes; what follows it may be cut off, so
    the tests compare the quote itself with what had been sent.
    """
    read = IP(packet)
    copy = read.copy()
    layer: Any = copy
    while layer:
        quoted = layer.name in {"UDP in ICMP", "TCP in ICMP", "ICMP in ICMP"}
        no_checksum = isinstance(layer, UDP) and layer.chksum == 0
        if hasattr(layer, "chksum") and not quoted and not no_checksum:
            del layer.chksum
        layer = layer.payload
    assert bytes(copy) == packet
    return read


def one_out(translation: Translation) -> Any:
    (packet,) = translation.to_outside
    assert translation.to_inside == ()
    return judge(packet.packet)


def one_in(translation: Translation) -> Any:
    (packet,) = translation.to_inside
    assert translation.to_outside == ()
    return judge(packet)


def drop_of(translation: Translation) -> Drop:
    (drop,) = (event for event in translation.events if isinstance(event, Drop))
    return drop


def events_of(translation: Translation, kind: type[Event]) -> list[Any]:
    return [event for event in translation.events if isinstance(event, kind)]


def udp(src: str, sport: int, dst: str, dport: int, payload: bytes = b"data", **ip: Any) -> bytes:
    return bytes(IP(src=src, dst=dst, **ip) / UDP(sport=sport, dport=dport) / payload)


def tcp(src: str, sport: int, dst: str, dport: int, flags: str = "S", **ip: Any) -> bytes:
    return bytes(IP(src=src, dst=dst, **ip) / TCP(sport=sport, dport=dport, flags=flags))


def ping(src: str, dst: str, identifier: int, kind: int = 8, **ip: Any) -> bytes:
    return bytes(IP(src=src, dst=dst, **ip) / ICMP(type=kind, id=identifier, seq=1) / b"ping")


def error(src: str, dst: str, quote: bytes, kind: int = 3, code: int = 3, **ip: Any) -> bytes:
    return bytes(IP(src=src, dst=dst, **ip) / ICMP(type=kind, code=code) / quote)


def balanced(napt: Napt) -> bool:
    """Every packet was sent on, dropped or is waiting."""
    c = napt.counters
    sent = c.translated_out + c.translated_in + c.hairpinned
    return c.outbound + c.inbound == sent + napt.drops.total + napt.waiting_fragments
