"""The BR's way up and down: whole packets, by port, identifier and quoted packet."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.packet import Packet, Raw

from testbed.components.mape.iid import IidLayout
from testbed.components.mape.rules import MapRule
from testbed.components.mape.tables import RuleTable
from tests.components.mape.homes import (
    BR,
    CONFIG,
    SERVER,
    SHARED,
    WHOLE,
    A,
    B,
    Home,
    echo,
    inside,
    only_drop,
    only_packet,
    relay,
    tcp_to,
    tunnelled,
    udp_from,
    udp_to,
    wire,
)


@pytest.mark.parametrize("home", [A, B, WHOLE])
@pytest.mark.parametrize(
    "make",
    [
        udp_from,
        lambda home: IP(src=home.ipv4, dst=SERVER) / TCP(sport=home.port, dport=80, flags="S"),
        lambda home: echo(home.ipv4, SERVER, home.port),
        lambda home: echo(home.ipv4, SERVER, home.port, "echo-reply"),
        lambda home: IP(src=home.ipv4, dst=SERVER) / ICMP(type=13, id=home.port),
    ],
    ids=["UDP", "TCP", "echo request", "echo reply", "timestamp"],
)
def test_up_the_packet_inside_leaves_unchanged(home: Home, make: type[Packet]) -> None:
    inner = make(home)
    assert only_packet(relay().receive(tunnelled(home, inner), 0.0)) == wire(inner)


@pytest.mark.parametrize("home", [A, B, WHOLE])
@pytest.mark.parametrize(
    "make",
    [
        udp_to,
        tcp_to,
        lambda home: echo(SERVER, home.ipv4, home.port),
        lambda home: echo(SERVER, home.ipv4, home.port, "echo-reply"),
    ],
    ids=["UDP", "TCP", "echo request", "echo reply"],
)
def test_down_the_port_chooses_the_home(home: Home, make: type[Packet]) -> None:
    packet = wire(make(home))
    sent = only_packet(relay().receive(packet, 0.0))
    assert wire(inside(sent, home)) == packet


def test_down_link_padding_is_cut_off() -> None:
    packet = wire(udp_to(A))
    sent = only_packet(relay().receive(packet + bytes(6), 0.0))
    assert sent[40:] == packet


def test_hop_counts_are_the_kernels_business() -> None:
    sent = only_packet(relay(hop_limit=17).receive(wire(udp_to(A, ttl=9)), 0.0))
    assert IPv6(sent).hlim == 17
    assert inside(sent, A).ttl == 9
    sent = only_packet(relay().receive(tunnelled(A, udp_from(A, ttl=9), hlim=3), 0.0))
    assert IP(sent).ttl == 9


def test_traffic_class_follows_the_type_of_service() -> None:
    sent = only_packet(relay().receive(wire(udp_to(A, tos=0xB9)), 0.0))
    assert IPv6(sent).tc == 0xB9


def test_congestion_marks_of_the_tunnel_reach_the_inner_header() -> None:
    marked = tunnelled(A, udp_from(A, tos=2), tc=3)
    sent = only_packet(relay().receive(marked, 0.0))
    assert IP(sent).tos == 3
    assert wire(IP(sent)) == wire(udp_from(A, tos=3))
    lost = tunnelled(A, udp_from(A, tos=0), tc=3)
    assert only_drop(relay().receive(lost, 0.0)).reason == "congestion-lost"


def quoting(sender: str, receiver: str, quoted: Packet, kind: int = 3, code: int = 3) -> Packet:
    return IP(src=sender, dst=receiver) / ICMP(type=kind, code=code) / quoted


@pytest.mark.parametrize("home", [A, B])
def test_icmp_errors_go_by_the_packet_they_quote(home: Home) -> None:
    about = [udp_from(home), echo(home.ipv4, SERVER, home.port)]
    for original in about:
        # Eight bytes of the original payload are all that old routers quote (RFC 792).
        error = quoting("192.0.2.7", home.ipv4, IP(wire(original)[:28]), kind=11, code=0)
        sent = only_packet(relay().receive(wire(error), 0.0))
        assert wire(inside(sent, home)) == wire(error)
    # A CE complains about what came to it: there its own port is the quoted destination.
    for original in [udp_to(home), echo(SERVER, home.ipv4, home.port)]:
        error = quoting(home.ipv4, SERVER, original)
        assert only_packet(relay().receive(tunnelled(home, error), 0.0)) == wire(error)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (udp_to(Home("", "192.0.2.1", 80)), "no-rule"),
        (udp_to(replace(A, port=80)), "port-unassigned"),
        (udp_to(replace(A, port=4095)), "port-unassigned"),
        (echo(SERVER, SHARED, 1), "port-unassigned"),
        (IP(src=SERVER, dst=SHARED, proto=50) / Raw(bytes(40)), "protocol-without-ports"),
        (IP(src=SERVER, dst=SHARED, proto=47) / Raw(bytes(40)), "protocol-without-ports"),
        (IP(src=SERVER, dst=SHARED) / ICMP(type=9) / Raw(bytes(8)), "protocol-without-ports"),
        (udp_to(A, src="127.0.0.1"), "invalid-source"),
        (udp_to(A, src="224.0.0.1"), "invalid-source"),
        (quoting(SERVER, SHARED, IP(src="106.72.0.2", dst=SERVER) / UDP()), "quote-mismatch"),
        (
            quoting(SERVER, SHARED, IP(src=SHARED, dst=SERVER, proto=50) / Raw(bytes(8))),
            "quote-without-ports",
        ),
        (
            quoting(SERVER, SHARED, IP(src=SHARED, dst=SERVER, frag=9, proto=17) / Raw(bytes(8))),
            "quote-without-ports",
        ),
        (quoting(SERVER, SHARED, Raw(wire(udp_from(A))[:20])), "quote-without-ports"),
        (quoting(SERVER, SHARED, Raw(wire(udp_from(A))[:19])), "malformed"),
        (IP(src=SERVER, dst=SHARED, proto=17) / Raw(b"abc"), "malformed"),
        (IP(src=SERVER, dst=SHARED, proto=1) / Raw(b"\x08\0\0\0\0\0\0"), "malformed"),
    ],
)
def test_down_drops_have_their_reason(packet: Packet, reason: str) -> None:
    br = relay()
    drop = only_drop(br.receive(wire(packet), 0.0))
    assert drop.reason == reason
    assert drop.place == "internet ingress"
    assert br.counters()[f"drop.{reason}"] == 1
    assert br.counters()["encapsulated"] == 0


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (tunnelled(A, udp_from(B)), "source-port-mismatch"),
        (tunnelled(A, udp_from(replace(A, port=1024))), "source-port-mismatch"),
        (tunnelled(A, udp_from(replace(A, ipv4="106.72.0.2"))), "source-address-mismatch"),
        (tunnelled(A, udp_from(replace(A, ipv4="8.8.8.8"))), "source-address-mismatch"),
        (tunnelled(A, udp_from(WHOLE)), "source-address-mismatch"),
        (tunnelled(WHOLE, udp_from(A)), "source-address-mismatch"),
        (tunnelled(replace(A, ipv6="2001:db8:1::1"), udp_from(A)), "source-outside-domain"),
        (tunnelled(replace(A, ipv6=A.ipv6[:-4] + "4800"), udp_from(A)), "source-iid-mismatch"),
        (
            tunnelled(replace(A, ipv6="240b:10:1:4712:6a:4800:100:4700"), udp_from(A)),
            "source-iid-mismatch",
        ),
        (tunnelled(A, IP(src=SHARED, dst=SERVER, proto=50)), "protocol-without-ports"),
        (
            tunnelled(A, IP(src="106.72.0.2", dst=SERVER, proto=50)),
            "source-address-mismatch",
        ),
        (tunnelled(A, echo(SHARED, SERVER, 512)), "source-port-mismatch"),
        (tunnelled(A, quoting(SHARED, SERVER, udp_to(B))), "source-port-mismatch"),
        (tunnelled(A, quoting(SHARED, SERVER, udp_to(WHOLE))), "quote-mismatch"),
        (tunnelled(A, udp_from(A), dst="2404:9200:225:100::65"), "not-for-us"),
        (wire(IPv6(src=A.ipv6, dst=BR) / UDP(dport=53)), "unknown-tunnel-protocol"),
        (wire(IPv6(src=A.ipv6, dst=BR, nh=4) / Raw(b"E")), "malformed"),
        (wire(IPv6(src=A.ipv6, dst=BR, nh=4)), "malformed"),
        (tunnelled(A, IP(src=SHARED, dst=SERVER, chksum=1) / UDP()), "malformed"),
        (tunnelled(A, IP(src=SHARED, dst=SERVER, proto=17) / Raw(b"abc")), "malformed"),
    ],
)
def test_up_drops_have_their_reason(packet: bytes, reason: str) -> None:
    br = relay()
    drop = only_drop(br.receive(packet, 0.0))
    assert drop.reason == reason
    assert drop.place == "tunnel ingress"
    assert br.counters()[f"drop.{reason}"] == 1
    assert br.counters()["decapsulated"] == 0


def test_a_drop_tells_rule_packet_and_what_was_expected() -> None:
    drop = only_drop(relay().receive(tunnelled(A, udp_from(B)), 0.0))
    assert drop.rule is not None
    assert "240b:10::/32 -> 106.72.0.0/16" in drop.rule
    assert drop.clause == "RFC 7597 section 8.1"
    assert drop.packet is not None
    assert drop.packet.source == A.ipv6
    assert drop.detail is not None
    assert "UDP 106.72.0.1:5248 > 203.0.113.80:443" in drop.detail
    assert "PSID 71 of 8 bits: 5232-5247" in drop.detail


@pytest.mark.parametrize("packet", [b"", b"\0", b"\x45", b"\x60", b"\x50" * 60])
def test_what_is_no_ip_packet_is_malformed(packet: bytes) -> None:
    assert only_drop(relay().receive(packet, 0.0)).reason == "malformed"


def test_an_unshared_address_takes_any_protocol_both_ways() -> None:
    for protocol in (47, 50, 132):
        inner = IP(src=WHOLE.ipv4, dst=SERVER, proto=protocol) / Raw(bytes(40))
        assert only_packet(relay().receive(tunnelled(WHOLE, inner), 0.0)) == wire(inner)
        packet = wire(IP(src=SERVER, dst=WHOLE.ipv4, proto=protocol) / Raw(bytes(40)))
        sent = only_packet(relay().receive(packet, 0.0))
        assert wire(inside(sent, WHOLE)) == packet


def test_without_the_source_check_anything_with_a_host_address_passes() -> None:
    br = relay(source_check=False)
    stranger = replace(A, ipv6="2001:db8:1::1")
    for inner in (udp_from(B), udp_from(replace(A, ipv4="8.8.8.8")), udp_from(A, frag=4)):
        assert only_packet(br.receive(tunnelled(stranger, inner), 0.0)) == wire(inner)
    drop = only_drop(br.receive(tunnelled(A, udp_from(A, src="255.255.255.255")), 0.0))
    assert drop.reason == "invalid-source"


def test_the_layout_of_rfc_7597() -> None:
    br = relay(iid=IidLayout.RFC7597)
    home = replace(A, ipv6="240b:10:1:4700:0:6a48:1:47")
    assert wire(inside(only_packet(br.receive(wire(udp_to(A)), 0.0)), home)) == wire(udp_to(A))
    assert only_packet(br.receive(tunnelled(home, udp_from(A)), 0.0)) == wire(udp_from(A))
    drop = only_drop(br.receive(tunnelled(A, udp_from(A)), 0.0))
    assert drop.reason == "source-iid-mismatch"


def test_explicit_psids_on_one_address() -> None:
    def rule(number: int) -> MapRule:
        return MapRule(
            IPv6Network(f"2001:db8:0:{number:x}00::/56"),
            IPv4Network("192.0.2.18/32"),
            ea_len=0,
            psid_offset=6,
            psid_len=8,
            psid=number,
        )

    br = relay(rules=RuleTable([rule(1), rule(2)]), iid=IidLayout.RFC7597)
    one = Home("2001:db8:0:100:0:c000:212:1", "192.0.2.18", 1028)
    two = Home("2001:db8:0:200:0:c000:212:2", "192.0.2.18", 1032)
    for home in (one, two):
        inside(only_packet(br.receive(wire(udp_to(home)), 0.0)), home)
        assert only_packet(br.receive(tunnelled(home, udp_from(home)), 0.0))
    drop = only_drop(br.receive(tunnelled(one, udp_from(two)), 0.0))
    assert drop.reason == "source-port-mismatch"
    drop = only_drop(br.receive(wire(udp_to(replace(one, port=1036))), 0.0))
    assert drop.reason == "port-unassigned"
    drop = only_drop(br.receive(wire(IP(src=SERVER, dst="192.0.2.18", proto=50)), 0.0))
    assert drop.reason == "protocol-without-ports"


def test_the_br_answers_a_ping_to_its_own_address() -> None:
    request = IPv6(src=A.ipv6, dst=BR) / ICMPv6EchoRequest(id=7, seq=3, data=b"hello")
    br = relay()
    reply = IPv6(only_packet(br.receive(wire(request), 0.0)))
    assert wire(reply) == wire(
        IPv6(src=BR, dst=A.ipv6) / ICMPv6EchoReply(id=7, seq=3, data=b"hello")
    )
    assert br.counters()["answered"] == 1


def test_counters_add_up() -> None:
    br = relay()
    br.receive(wire(udp_to(A)), 0.0)
    br.receive(tunnelled(A, udp_from(A)), 0.0)
    br.receive(tunnelled(A, udp_from(B)), 0.0)
    assert br.counters() == {
        "received": 3,
        "encapsulated": 1,
        "decapsulated": 1,
        "answered": 0,
        "unanswered": 0,
        "waiting": 0,
        "drop.source-port-mismatch": 1,
    }
    assert CONFIG.source_check
