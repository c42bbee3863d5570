"""ICMPv6 about the CE's tunnel: what hosts are told, what is believed, what is not."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_RA,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
)

from testbed.components.mape.ce import CustomerEdge
from testbed.components.packet.fragments import fragment_ipv6
from testbed.events import Note
from tests.components.mape.ce_home import (
    BR,
    CE_A,
    FIRST_B,
    LAN,
    PC,
    SHARED,
    WWW,
    accounted,
    drop_of,
    edge,
    one_inside,
    one_tunnelled,
    tunnelled,
)
from tests.components.napt.helpers import error, udp

ROUTER = "2001:db8:a::1"


def _report(kind: Any, quote: bytes, source: str = ROUTER) -> bytes:
    return bytes(IPv6(src=source, dst=CE_A) / kind / quote)


def _sent(ce: CustomerEdge, packet: bytes) -> bytes:
    (sent,) = ce.receive(packet, 0.0).packets
    return sent


def test_packet_too_big_is_learnt_and_told() -> None:
    ce = edge()
    original = udp(PC, 1, WWW, 80, bytes(1400), flags="DF")
    sent = _sent(ce, original)
    outcome = ce.receive(_report(ICMPv6PacketTooBig(mtu=1400), sent[:1232]), 1.0)
    told = one_inside(outcome)
    assert (told.src, told.dst, told[ICMP].type, told[ICMP].code) == (LAN, PC, 3, 4)
    assert told[ICMP].nexthopmtu == 1360
    assert outcome.packets[0][28:] == original[:548]
    (note,) = (e for e in outcome.events if isinstance(e, Note))
    assert note.text.startswith(f"path MTU to {BR} is 1400")
    # The next packet does not even set out.
    again = ce.receive(original, 2.0)
    assert drop_of(again).detail == "1428 bytes, tunnel MTU 1360"
    assert one_inside(again)[ICMP].nexthopmtu == 1360
    smaller = udp(PC, 1, WWW, 80, bytes(1300))
    assert len(ce.receive(smaller, 2.0).packets) == 1
    # Ten minutes later a larger packet may try again.
    ce.handle_timer(601.0)
    assert ce.receive(original, 601.0).packets[0][0] >> 4 == 6
    assert accounted(ce)


def test_packet_too_big_without_df_needs_no_telling() -> None:
    ce = edge()
    original = udp(PC, 1, WWW, 80, bytes(1400))
    sent = _sent(ce, original)
    outcome = ce.receive(_report(ICMPv6PacketTooBig(mtu=1300), sent), 1.0)
    assert outcome.packets == ()
    assert len(ce.receive(original, 2.0).packets) == 2
    assert ce.counters()["icmpv6"] == 1
    assert accounted(ce)


def test_packet_too_big_never_goes_below_1280() -> None:
    ce = edge()
    sent = _sent(ce, udp(PC, 1, WWW, 80, bytes(1400), flags="DF"))
    assert one_inside(ce.receive(_report(ICMPv6PacketTooBig(mtu=68), sent), 1.0))[
        ICMP
    ].nexthopmtu == (1280 - 40)


def test_packet_too_big_can_be_disbelieved() -> None:
    ce = edge(path_mtu_discovery=False)
    sent = _sent(ce, udp(PC, 1, WWW, 80, bytes(1400), flags="DF"))
    outcome = ce.receive(_report(ICMPv6PacketTooBig(mtu=1400), sent), 1.0)
    assert drop_of(outcome).reason == "icmpv6-ignored"


@pytest.mark.parametrize("kind", [ICMPv6DestUnreach(code=0), ICMPv6TimeExceeded()])
def test_other_errors_become_host_unreachable(kind: Any) -> None:
    ce = edge()
    original = udp(PC, 1, WWW, 80)
    outcome = ce.receive(_report(kind, _sent(ce, original)), 1.0)
    told = one_inside(outcome)
    assert (told.src, told.dst, told[ICMP].type, told[ICMP].code) == (LAN, PC, 3, 1)
    quoted = IP(outcome.packets[0][28:])
    assert (quoted.src, quoted.sport, quoted.dst, quoted.dport) == (PC, 1, WWW, 80)
    assert accounted(ce)


def test_an_error_about_the_first_outer_fragment_is_told_too() -> None:
    ce = edge(outer_fragments=True)
    first, second = ce.receive(udp(PC, 1, WWW, 80, bytes(1472)), 0.0).packets
    told = one_inside(ce.receive(_report(ICMPv6DestUnreach(), first[:1232]), 1.0))
    assert told.dst == PC
    outcome = ce.receive(_report(ICMPv6DestUnreach(), second), 1.0)
    assert drop_of(outcome).reason == "icmpv6-unreportable"


def test_an_error_about_a_packet_to_another_home() -> None:
    ce = edge()
    sent = _sent(ce, udp(PC, 1, SHARED, FIRST_B))
    assert one_inside(ce.receive(_report(ICMPv6DestUnreach(), sent), 1.0)).dst == PC
    hub = edge(mesh=False)
    hub.receive(udp(PC, 1, WWW, 80), 0.0)
    outcome = hub.receive(_report(ICMPv6DestUnreach(), sent), 1.0)
    assert drop_of(outcome).reason == "icmpv6-unrelated"


def test_what_we_never_sent_is_not_believed() -> None:
    ce = edge()
    sent = _sent(ce, udp(PC, 1, WWW, 80))
    inner = sent[40:]
    too_big = ICMPv6PacketTooBig(mtu=1280)
    forged = [
        tunnelled(inner, source="2001:db8::9", destination=BR),  # not from us
        tunnelled(inner, source=CE_A, destination="2001:db8::9"),  # to no tunnel end
        tunnelled(udp("106.72.18.53", 5232, WWW, 80), source=CE_A, destination=BR),
        bytes(IPv6(src=CE_A, dst=BR) / ICMPv6EchoRequest()),
    ]
    for quote in forged:
        outcome = ce.receive(_report(too_big, quote), 1.0)
        assert outcome.packets == ()
        assert drop_of(outcome).reason == "icmpv6-unrelated"
    # Our address, but a port that no mapping has: there is nobody to tell.
    nobody = tunnelled(udp(SHARED, 5240, WWW, 80), source=CE_A, destination=BR)
    outcome = ce.receive(_report(ICMPv6DestUnreach(), nobody), 1.0)
    assert drop_of(outcome).reason == "icmp-error-no-mapping"
    assert accounted(ce)


def test_no_error_about_an_error() -> None:
    ce = edge()
    ce.receive(udp(PC, 1, WWW, 80), 0.0)
    got = ce.receive(tunnelled(udp(WWW, 80, SHARED, 5232)), 0.0).packets[0]
    refused = _sent(ce, error(PC, WWW, got))
    outcome = ce.receive(_report(ICMPv6DestUnreach(), refused), 1.0)
    assert drop_of(outcome).reason == "icmpv6-unreportable"
    assert accounted(ce)


def test_the_tunnel_address_answers_pings() -> None:
    ce = edge()
    request = bytes(IPv6(src=ROUTER, dst=CE_A) / ICMPv6EchoRequest(id=5, seq=6, data=b"hi"))
    (reply,) = ce.receive(request, 0.0).packets
    read = IPv6(reply)
    assert (read.src, read.dst) == (CE_A, ROUTER)
    assert (read[ICMPv6EchoReply].id, read[ICMPv6EchoReply].data) == (5, b"hi")
    assert ce.counters()["icmpv6"] == 1
    large = bytes(IPv6(src=ROUTER, dst=CE_A) / ICMPv6EchoRequest(data=bytes(2000)))
    answers = [p for f in fragment_ipv6(large, 1280, 1) for p in ce.receive(f, 0.0).packets]
    assert len(answers) == 1
    assert accounted(ce)


def test_other_icmpv6_is_ignored_and_damage_is_noticed() -> None:
    ce = edge()
    assert drop_of(ce.receive(_report(ICMPv6ND_RA(), b""), 0.0)).reason == "icmpv6-ignored"
    damaged = bytearray(_report(ICMPv6DestUnreach(), _sent(ce, udp(PC, 1, WWW, 80))))
    damaged[-1] ^= 1
    drop = drop_of(ce.receive(bytes(damaged), 0.0))
    assert (drop.reason, drop.detail) == ("malformed", "ICMPv6 checksum")


def test_a_report_does_not_keep_a_mapping_alive() -> None:
    ce = edge()
    sent = _sent(ce, udp(PC, 1, WWW, 80))
    for now in (100.0, 200.0, 299.0):
        assert ce.receive(_report(ICMPv6DestUnreach(), sent), now).packets
    assert len(ce.handle_timer(300.0).events) == 1
    _, inner = one_tunnelled(ce.receive(udp(PC, 1, WWW, 80), 301.0))
    assert inner.src == SHARED
