"""Whatever comes in: nothing is raised, every packet has one fate, nothing broken goes out."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption_Timestamp
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6
from scapy.packet import Raw

from testbed.components.mape.ce_config import Forward
from testbed.components.mape.reasons import Reason
from testbed.components.napt.policy import Timeouts
from testbed.components.napt.reasons import DropReason
from testbed.components.packet.fragments import fragment_ipv6
from testbed.components.packet.transport import TCP as TCP_NUMBER
from testbed.events import Drop
from tests.components.mape.ce_home import (
    BR,
    CE_A,
    CE_B,
    FIRST_A,
    FIRST_B,
    PC,
    PC2,
    SHARED,
    WWW,
    accounted,
    edge,
    parameters,
    tunnelled,
)
from tests.components.napt.helpers import error, ping, tcp, udp
from tests.components.napt.test_napt_model import words_sum

PORTS = set(parameters("a").ports)
REASONS = {reason.value for reason in Reason} | {reason.value for reason in DropReason}

_WENT_OUT = udp(SHARED, FIRST_A, WWW, 80, bytes(1400), flags="DF")
_SYN = IP(src=PC, dst=WWW) / TCP(sport=9, dport=80, flags="S", options=[("MSS", 1460)])
_LONG = udp(PC, 4, WWW, 80, bytes(3000), id=4)
_LONG_BACK = udp(WWW, 80, SHARED, FIRST_A, bytes(3000), id=5)

FROM_LAN = [
    udp(PC, 1, WWW, 80),
    udp(PC, 2, SHARED, FIRST_A),
    udp(PC, 2, SHARED, FIRST_B),
    udp(PC, 3, WWW, 80, bytes(1472)),
    udp(PC, 3, WWW, 80, bytes(1472), flags="DF"),
    bytes(_SYN),
    tcp(PC, 9, WWW, 80, "A"),
    tcp(PC, 9, WWW, 80, "FA"),
    tcp(PC, 9, WWW, 80, "R"),
    tcp(PC, 9, SHARED, 5233),
    ping(PC, WWW, 77),
    ping(PC, SHARED, 77),
    error(PC, WWW, udp(WWW, 80, PC, 1)),
    error(PC, SHARED, udp(SHARED, FIRST_A, PC, 2)),
    bytes(IP(src=PC, dst=WWW, options=[IPOption_Timestamp()]) / UDP(sport=1, dport=2)),
    bytes(IP(src=PC, dst=WWW, proto=50) / Raw(b"esp")),
    *[bytes(f) for f in IP(_LONG).fragment(1480)],
]
FROM_TUNNEL = [
    tunnelled(udp(WWW, 80, SHARED, FIRST_A)),
    tunnelled(udp(WWW, 80, SHARED, FIRST_B)),
    tunnelled(udp(SHARED, FIRST_B, SHARED, FIRST_A), source=CE_B),
    tunnelled(tcp(WWW, 80, SHARED, FIRST_A, "SA")),
    tunnelled(tcp(WWW, 80, SHARED, 5233)),
    tunnelled(ping(WWW, SHARED, FIRST_A, kind=0)),
    tunnelled(ping(WWW, SHARED, FIRST_A)),
    tunnelled(error(WWW, SHARED, _WENT_OUT, 3, 4)),
    tunnelled(error("192.0.2.1", SHARED, tcp(SHARED, FIRST_A, WWW, 80)[:28], 11, 0), tc=3),
    *[tunnelled(bytes(f)) for f in IP(_LONG_BACK).fragment(1400)],
    *fragment_ipv6(tunnelled(udp(WWW, 80, SHARED, FIRST_A, bytes(1000))), 600, 7),
    bytes(IPv6(src="2001:db8::1", dst=CE_A) / ICMPv6EchoRequest(data=b"hello")),
    bytes(
        IPv6(src="2001:db8::1", dst=CE_A)
        / ICMPv6PacketTooBig(mtu=1300)
        / tunnelled(_WENT_OUT, source=CE_A, destination=BR)[:1200]
    ),
    bytes(
        IPv6(src="2001:db8::1", dst=CE_A)
        / ICMPv6DestUnreach()
        / tunnelled(_WENT_OUT, source=CE_A, destination=CE_B)[:1200]
    ),
]


@dataclass(frozen=True)
class Damage:
    """A template with bytes changed, cut or grown, and perhaps its checksums repaired."""

    template: bytes
    bytes_at: list[tuple[int, int]] = field(default_factory=list)
    cut: int | None = None
    grown: bytes = b""
    repair: bool = False

    def packet(self) -> bytes:
        data = bytearray(self.template)
        for at, value in self.bytes_at:
            data[at % len(data)] = value
        if self.cut is not None:
            del data[self.cut % len(data) :]
        data += self.grown
        if self.repair:
            repair(data, 0)
        return bytes(data)


def repair(data: bytearray, at: int) -> None:
    """Make IPv4 and ICMP checksums right again, so that damage gets past them."""
    if len(data) < at + 20:
        return
    if data[at] >> 4 == 6:
        if data[at + 6] == 4:
            repair(data, at + 40)
        return
    length = (data[at] & 15) * 4
    total = int.from_bytes(data[at + 2 : at + 4], "big")
    if not 20 <= length <= total <= len(data) - at:
        return
    if data[at + 9] == 1 and total >= length + 8:
        repair(data, at + length + 8)
        _sum_into(data, at + length, at + total, at + length + 2)
    _sum_into(data, at, at + length, at + 10)


def _sum_into(data: bytearray, start: int, end: int, field_at: int) -> None:
    data[field_at : field_at + 2] = b"\0\0"
    data[field_at : field_at + 2] = struct.pack("!H", words_sum(bytes(data[start:end])) ^ 0xFFFF)


# Small offsets are drawn more often: that is where the headers are.
places = st.one_of(st.integers(0, 80), st.integers(0, 127), st.integers(0, 1600))
damaged = st.builds(
    Damage,
    template=st.sampled_from(FROM_LAN + FROM_TUNNEL),
    bytes_at=st.lists(st.tuples(places, st.integers(0, 255)), max_size=3),
    cut=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 1600)),
    grown=st.sampled_from([b"", b"", b"", b"\0" * 7]),
    repair=st.booleans(),
)
anything = st.one_of(
    damaged.map(Damage.packet),
    damaged.map(Damage.packet),
    damaged.map(Damage.packet),
    st.binary(max_size=100),
)


def check_sent(packet: bytes) -> None:
    """What goes out is well formed; into the tunnel only from our address and port set."""
    inner = packet
    if packet[0] >> 4 == 6:
        assert int.from_bytes(packet[4:6], "big") == len(packet) - 40
        if packet[6] == 58:  # an echo reply of the tunnel's own
            return
        assert packet[6] == 4
        assert len(packet) <= 1500
        inner = packet[40:]
    length = (inner[0] & 15) * 4
    assert words_sum(inner[:length]) == 0xFFFF
    assert int.from_bytes(inner[2:4], "big") == len(inner)
    if packet is inner:
        return
    assert inner[12:16] == IPv4Address(SHARED).packed
    if int.from_bytes(inner[6:8], "big") & 0x1FFF == 0:
        at = length
        if inner[9] in {6, 17}:
            assert int.from_bytes(inner[at : at + 2], "big") in PORTS
        elif inner[at] == 8:
            assert int.from_bytes(inner[at + 4 : at + 6], "big") in PORTS


@settings(max_examples=250, deadline=None)
@given(st.lists(st.tuples(anything, st.sampled_from([0.0, 0.0, 1.0, 40.0])), max_size=20))
def test_nothing_is_raised_and_nothing_is_lost(history: list[tuple[bytes, float]]) -> None:
    ce = edge(
        timeouts=Timeouts(udp=60, tcp_opening=30, tcp_closing=30, tcp_established=90),
        forwards=(Forward(TCP_NUMBER, 5233, IPv4Address(PC2), 80),),
        mss_clamp=1400,
    )
    now = 0.0
    for template in (FROM_LAN[0], bytes(_SYN), ping(PC, WWW, 77)):
        ce.receive(template, now)
    dropped = 0
    for packet, wait in history:
        now += wait
        outcome = ce.receive(packet, now)
        if wait:
            timer = ce.handle_timer(now)
            assert timer.packets == ()
            outcome = type(outcome)(outcome.packets, outcome.events + timer.events)
        for sent in outcome.packets:
            check_sent(sent)
        drops = [event for event in outcome.events if isinstance(event, Drop)]
        dropped += len(drops)
        assert {drop.reason for drop in drops} <= REASONS
        assert all(drop.clause and drop.place and drop.packet for drop in drops)
        counted = sum(n for name, n in ce.counters().items() if name.startswith("drop."))
        assert counted == dropped
        assert accounted(ce)
    ce.handle_timer(now + 1e6)
    assert ce.counters()["waiting"] == 0
    assert accounted(ce)
    assert [m.static for m in ce.mappings(now + 1e6)] == [True]
    assert ce.next_timer() is None


def test_the_templates_themselves_get_through() -> None:
    """The fuzzing starts from packets that reach every corner, not only the door."""
    ce = edge(forwards=(Forward(TCP_NUMBER, 5233, IPv4Address(PC2), 80),))
    for packet in FROM_LAN + FROM_TUNNEL:
        for sent in ce.receive(packet, 0.0).packets:
            check_sent(sent)
    counters = ce.counters()
    assert min(counters["encapsulated"], counters["decapsulated"], counters["hairpinned"]) > 0
    assert counters["icmpv6"] >= 2
    assert counters["merged"] >= 1
    assert accounted(ce)
