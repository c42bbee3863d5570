"""The CE core: out through the tunnel, back in, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, defragment6
from scapy.packet import Raw

from testbed.components.mape.br import BorderRelay
from testbed.components.mape.br_config import BorderRelayConfig
from testbed.components.mape.calc import calculate, parse_prefix
from testbed.components.mape.ce import CustomerEdge
from testbed.components.mape.ce_config import Forward, PortAllocation
from testbed.components.mape.describe import parse_rule
from testbed.components.mape.errors import ConfigError
from testbed.components.napt.policy import Filtering, Timeouts
from testbed.components.napt.ports import PortNotInPoolError
from testbed.components.packet.fragments import fragment_ipv6
from testbed.components.packet.ipv4 import parse_ipv4
from testbed.components.packet.transport import TCP as TCP_NUMBER
from testbed.components.packet.transport import UDP as UDP_NUMBER
from testbed.events import MappingCreated, PortsExhausted
from tests.components.mape.ce_home import (
    BR,
    CE_A,
    CE_B,
    FIRST_A,
    LAN,
    PC,
    PC2,
    SHARED,
    V6PLUS,
    WWW,
    accounted,
    config,
    drop_of,
    edge,
    one_inside,
    one_tunnelled,
    parameters,
    swapped,
    tunnelled,
)
from tests.components.napt.helpers import ping, tcp, udp


def test_home_a_has_psid_71() -> None:
    ours = parameters("a")
    assert (ours.psid, str(ours.ipv4), str(ours.ce_ipv6), len(ours.ports)) == (
        71,
        SHARED,
        CE_A,
        240,
    )
    assert ours.ports.ranges()[0] == (5232, 5247)


def test_out_to_the_br_and_back() -> None:
    ce = edge()
    outer, inner = one_tunnelled(ce.receive(udp(PC, 63942, WWW, 80, ttl=63, tos=0xB8), 0.0))
    assert (outer.src, outer.dst, outer.hlim, outer.tc, outer.fl) == (CE_A, BR, 64, 0xB8, 0)
    assert (inner.src, inner.sport, inner.dst, inner.dport) == (SHARED, FIRST_A, WWW, 80)
    assert inner.ttl == 63  # the kernel has counted the hop
    back = one_inside(
        ce.receive(tunnelled(udp(WWW, 80, SHARED, FIRST_A, ttl=50), **swapped(outer)), 0.1)
    )
    assert (back.dst, back.dport, back.ttl) == (PC, 63942, 50)
    assert accounted(ce)


def test_ports_come_from_the_set_however_they_are_chosen() -> None:
    ports = set(parameters("a").ports)
    for allocation in PortAllocation:
        ce = edge(port_allocation=allocation, seed=7)
        used = [
            one_tunnelled(ce.receive(udp(PC, 5200 + n, WWW, 80), 0.0))[1].sport for n in range(240)
        ]
        assert set(used) == ports
    keeping = edge(port_allocation=PortAllocation.KEEP_SOURCE_PORT)
    assert one_tunnelled(keeping.receive(udp(PC, 5240, WWW, 80), 0.0))[1].sport == 5240
    assert one_tunnelled(keeping.receive(udp(PC, 500, WWW, 500), 0.0))[1].sport == FIRST_A


def test_exhaustion_of_240_ports_and_recovery() -> None:
    ce = edge(timeouts=Timeouts(udp=100))
    for n in range(240):
        assert ce.receive(udp(PC, 1000 + n, WWW, 80), 0.0).packets
    outcome = ce.receive(udp(PC2, 1, WWW, 80), 1.0)
    told = one_inside(outcome)
    assert (told.src, told.dst, told[ICMP].type, told[ICMP].code) == (LAN, PC2, 3, 13)
    assert drop_of(outcome).reason == "ports-exhausted"
    (full,) = (e for e in outcome.events if isinstance(e, PortsExhausted))
    assert (full.in_use, full.size) == (240, 240)
    assert ce.receive(udp(PC, 1000, WWW, 80), 50.0).packets
    assert ce.next_timer() == 100.0
    assert len(ce.handle_timer(100.0).events) == 239
    one_tunnelled(ce.receive(udp(PC2, 1, WWW, 80), 100.0))
    assert accounted(ce)


# What comes in


def test_inbound_without_a_mapping_is_dropped() -> None:
    ce = edge()
    drop = drop_of(ce.receive(tunnelled(udp(WWW, 1, SHARED, 5247)), 0.0))
    assert (drop.component, drop.reason, drop.place) == ("mape-ce", "no-mapping", "napt inbound")
    assert drop.packet is not None
    assert drop.packet.destination_port == 5247
    outside = drop_of(ce.receive(tunnelled(udp(WWW, 1, SHARED, 500)), 0.0))
    assert outside.reason == "port-outside-set"
    assert accounted(ce)


def test_ping_from_outside_is_dropped_with_its_reason() -> None:
    ce = edge()
    assert drop_of(ce.receive(tunnelled(ping(WWW, SHARED, FIRST_A)), 0.0)).reason == (
        "icmp-unsolicited-query"
    )
    assert drop_of(ce.receive(tunnelled(ping(WWW, SHARED, 7)), 0.0)).reason == "port-outside-set"


def test_static_forward() -> None:
    ce = edge(forwards=(Forward(TCP_NUMBER, 5233, IPv4Address(PC2), 80),))
    (made,) = ce.startup
    assert isinstance(made, MappingCreated)
    assert (made.outside, made.outside_port, made.inside, made.inside_port) == (
        SHARED,
        5233,
        PC2,
        80,
    )
    got = one_inside(ce.receive(tunnelled(tcp(WWW, 9, SHARED, 5233)), 0.0))
    assert (got.dst, got.dport) == (PC2, 80)
    assert len(ce.close()) == 1
    with pytest.raises(PortNotInPoolError, match=r"106\.72\.18\.52:8080 is not in"):
        edge(forwards=(Forward(TCP_NUMBER, 8080, IPv4Address(PC2), 80),))


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (tunnelled(udp(WWW, 1, "106.72.18.53", 5247)), "not-for-us"),
        (tunnelled(udp(WWW, 1, SHARED, 5247), destination=CE_B), "not-for-us"),
        (tunnelled(udp(WWW, 1, SHARED, 5247), tc=3), "congestion-lost"),
        (tunnelled(b"\x45junk"), "malformed"),
        (bytes(IPv6(src=BR, dst=CE_A) / UDP()), "unknown-tunnel-protocol"),
        (b"\x60", "malformed"),
        (b"", "malformed"),
        (b"\x50" * 40, "malformed"),
        (bytes(IP(src=PC, dst=WWW, proto=47) / Raw(b"gre")), "protocol-without-ports"),
        (
            tunnelled(bytes(IP(src=WWW, dst=SHARED, proto=50) / Raw(b"esp!"))),
            "protocol-without-ports",
        ),
        (udp("192.168.1.255", 1, "224.0.0.1", 2), "bad-address"),
    ],
)
def test_what_is_refused(packet: bytes, reason: str) -> None:
    ce = edge()
    outcome = ce.receive(packet, 0.0)
    assert outcome.packets == ()
    drop = drop_of(outcome)
    assert drop.reason == reason
    assert drop.clause
    assert accounted(ce)


def test_congestion_marks_are_carried_inside() -> None:
    ce = edge()
    ce.receive(udp(PC, 1, WWW, 80), 0.0)
    got = one_inside(ce.receive(tunnelled(udp(WWW, 80, SHARED, FIRST_A, tos=2), tc=3), 0.0))
    assert got.tos == 3


def test_destination_options_before_the_inner_packet_are_passed_over() -> None:
    ce = edge()
    ce.receive(udp(PC, 1, WWW, 80), 0.0)
    packet = bytes(IPv6(src=BR, dst=CE_A) / IPv6ExtHdrDestOpt(nh=4) / udp(WWW, 80, SHARED, FIRST_A))
    assert one_inside(ce.receive(packet, 0.0)).dst == PC


# Tunnel MTU


def test_too_big_with_df_is_answered_about_the_original() -> None:
    ce = edge()
    fits = udp(PC, 1, WWW, 80, bytes(1460 - 28), flags="DF")
    assert len(ce.receive(fits, 0.0).packets[0]) == 1500
    big = udp(PC, 1, WWW, 80, bytes(1461 - 28), flags="DF")
    outcome = ce.receive(big, 0.0)
    told = one_inside(outcome)
    assert (told.src, told.dst) == (LAN, PC)
    assert (told[ICMP].type, told[ICMP].code, told[ICMP].nexthopmtu) == (3, 4, 1460)
    assert outcome.packets[0][28:] == big[:548]
    drop = drop_of(outcome)
    assert (drop.reason, drop.detail) == ("too-big", "1461 bytes, tunnel MTU 1460")
    assert drop.packet is not None
    assert drop.packet.source == PC
    assert accounted(ce)


def test_too_big_without_df_is_cut_inside() -> None:
    ce = edge()
    payload = bytes(i % 251 for i in range(3000))
    pieces = [bytes(f) for f in IP(udp(PC, 1, WWW, 80, payload)).fragment(1480)]
    sent = [p for piece in reversed(pieces) for p in ce.receive(piece, 0.0).packets]
    assert all(len(p) <= 1500 for p in sent)
    inner = [p[40:] for p in sent]
    assert {parse_ipv4(p).identification for p in inner} == {FIRST_A}  # RFC 7597 section 8.3.3
    whole = b"".join(p[20:] for p in sorted(inner, key=lambda p: parse_ipv4(p).fragment_offset))
    assert whole[8:] == payload
    assert accounted(ce)


def test_too_big_without_df_is_cut_outside_when_asked_for() -> None:
    ce = edge(outer_fragments=True)
    sent = ce.receive(udp(PC, 1, WWW, 80, bytes(1472)), 0.0).packets
    assert [len(p) <= 1500 for p in sent] == [True, True]
    assert all(IPv6ExtHdrFragment in IPv6(p) for p in sent)
    whole = bytes(defragment6([IPv6(p) for p in sent]))
    assert parse_ipv4(whole[40:]).total_length == 1500


def test_hairpin_is_not_bound_by_the_tunnel_mtu() -> None:
    ce = edge(forwards=(Forward(UDP_NUMBER, 5233, IPv4Address(PC2), 80),))
    outcome = ce.receive(udp(PC, 1, SHARED, 5233, bytes(1472), flags="DF"), 0.0)
    got = one_inside(outcome)
    assert (got.src, got.sport, got.dst, got.dport) == (SHARED, FIRST_A, PC2, 80)
    assert accounted(ce)


@pytest.mark.parametrize(("clamp", "expected"), [(0, 1460), (1420, 1420), (1000, 1000)])
def test_mss_is_clamped_both_ways(clamp: int, expected: int) -> None:
    ce = edge(mss_clamp=clamp)
    syn = bytes(IP(src=PC, dst=WWW) / TCP(sport=1, dport=80, flags="S", options=[("MSS", 1460)]))
    _, inner = one_tunnelled(ce.receive(syn, 0.0))
    assert inner[TCP].options == [("MSS", expected)]
    answer = IP(src=WWW, dst=SHARED) / TCP(
        sport=80, dport=FIRST_A, flags="SA", options=[("MSS", 1460)]
    )
    got = one_inside(ce.receive(tunnelled(bytes(answer)), 0.0))
    assert got[TCP].options == [("MSS", expected)]


def test_data_that_looks_like_a_syn_is_not_clamped() -> None:
    ce = edge(mss_clamp=1000)
    first = IP(src=PC, dst=WWW, id=1, flags="MF") / TCP(sport=1, dport=80, flags="S", dataofs=6)
    ce.receive(bytes(first / Raw(bytes(28))), 0.0)
    trap = bytes(TCP(flags="S", options=[("MSS", 1460)]))
    _, later = one_tunnelled(
        ce.receive(bytes(IP(src=PC, dst=WWW, id=1, frag=6, proto=6) / Raw(trap)), 0.0)
    )
    assert bytes(later.payload) == trap


# Outer fragments


@given(st.data())
def test_outer_fragments_are_put_together_in_any_order(draw: st.DataObject) -> None:
    ce = edge()
    ce.receive(udp(PC, 1000, WWW, 80), 0.0)
    payload = bytes(range(250)) * 5
    whole = tunnelled(udp(WWW, 80, SHARED, FIRST_A, payload))
    pieces = draw.draw(st.permutations(fragment_ipv6(whole, 500, 99)))
    got = [p for piece in pieces for p in ce.receive(piece, 0.0).packets]
    assert [bytes(IP(p)[UDP].payload) for p in got] == [payload]
    assert accounted(ce)
    assert ce.counters()["merged"] == len(pieces) - 1


def test_outer_fragments_time_out() -> None:
    ce = edge()
    piece, *_ = fragment_ipv6(tunnelled(udp(WWW, 80, SHARED, FIRST_A, bytes(900))), 500, 1)
    ce.receive(piece, 5.0)
    assert ce.next_timer() == 65.0
    drop = drop_of(ce.handle_timer(65.0))
    assert (drop.reason, drop.place) == ("fragment-timeout", "tunnel ingress")
    assert ce.next_timer() is None
    assert accounted(ce)


# With the BR


def _br() -> BorderRelay:
    return BorderRelay(
        BorderRelayConfig(
            address=IPv6Address(BR),
            ipv4_address=IPv4Address("198.51.100.1"),
            rules=V6PLUS.table,
            iid=V6PLUS.iid,
        )
    )


@given(
    build=st.sampled_from(["udp", "tcp", "ping"]),
    sport=st.integers(1, 65535),
    size=st.integers(0, 4000),
    home=st.sampled_from("ab"),
)
def test_what_the_ce_sends_the_br_believes_and_answers_come_home(
    build: str, sport: int, size: int, home: str
) -> None:
    ce, br = edge(home), _br()
    if build == "udp":
        packet = udp(PC, sport, WWW, 80, bytes(size))
    elif build == "tcp":
        packet = tcp(PC, sport, WWW, 80)
    else:
        packet = ping(PC, WWW, sport)
    inside = [bytes(f) for f in IP(packet).fragment(1480)]
    tunnel = [p for one in inside for p in ce.receive(one, 0.0).packets]
    internet = [p for one in tunnel for p in br.receive(one, 0.0).packets]
    assert not br.drops.counts
    assert sum(len(p) - 20 for p in internet) == len(packet) - 20
    first = IP(internet[0])
    if build == "ping":
        answer = ping(WWW, first.src, first[ICMP].id, kind=0)
    else:
        layer = UDP if build == "udp" else TCP
        answer = bytes(
            IP(src=WWW, dst=first.src, id=9)
            / layer(sport=80, dport=first[layer].sport)
            / Raw(bytes(size))
        )
    outside = [bytes(f) for f in IP(answer).fragment(1480)]
    down = [p for one in reversed(outside) for p in br.receive(one, 0.0).packets]
    home_again = [p for one in down for p in ce.receive(one, 0.0).packets]
    assert {IP(p).dst for p in home_again} == {PC}
    assert sum(len(p) - 20 for p in home_again) == len(answer) - 20
    assert accounted(ce)


def test_filtering_is_an_option() -> None:
    ce = edge(filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT)
    ce.receive(udp(PC, 1, WWW, 80), 0.0)
    assert ce.receive(tunnelled(udp(WWW, 80, SHARED, FIRST_A)), 0.0).packets
    assert drop_of(ce.receive(tunnelled(udp(WWW, 81, SHARED, FIRST_A)), 0.0)).reason == "filtered"


def test_a_whole_address_of_ones_own() -> None:
    rule = parse_rule(f"ipv6=2001:db8::/40,ipv4=192.0.2.0/24,ea=8,offset=6,br={BR}")
    own = calculate(parse_prefix("2001:db8:12::/48"), rule)
    ce = CustomerEdge(replace(config(), parameters=own))
    _, inner = one_tunnelled(ce.receive(udp(PC, 53, WWW, 80, id=77), 0.0))
    assert (inner.src, inner.sport, inner.id) == ("192.0.2.18", 1024, 77)


def test_a_prefix_is_refused() -> None:
    rule = parse_rule(f"ipv6=2001:db8::/40,ipv4=192.0.2.0/24,ea=4,offset=6,br={BR}")
    prefix = calculate(parse_prefix("2001:db8:10::/44"), rule)
    with pytest.raises(ConfigError, match=r"192\.0\.2\.16/28"):
        replace(config(), parameters=prefix)
