"""Frames in words, judged by scapy: what scapy builds, the line says."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Packet, Raw

from testbed.evidence.pcapng import LINKTYPE_RAW
from testbed.evidence.report.frames import describe_frame

V4 = {"src": "192.0.2.1", "dst": "198.51.100.2"}
V6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}
MACS = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def words(packet: Packet) -> str:
    return describe_frame(bytes(MACS / packet)).summary


PLAIN = [
    (
        IP(**V4, ttl=63) / TCP(sport=5232, dport=80, flags="S", seq=7, options=[("MSS", 1460)]),
        "192.0.2.1:5232 > 198.51.100.2:80 TCP SYN seq 7 win 8192 mss 1460 len 0, ttl 63",
    ),
    (
        IP(**V4) / TCP(sport=1, dport=2, flags="PA", seq=9, ack=8, window=5) / b"hello",
        "192.0.2.1:1 > 198.51.100.2:2 TCP PSH ACK seq 9 ack 8 win 5 len 5, ttl 64",
    ),
    (
        IPv6(**V6, hlim=9) / UDP(sport=53, dport=4000) / (b"x" * 20),
        "[2001:db8::1]:53 > [2001:db8::2]:4000 UDP len 20, hop limit 9",
    ),
    (
        IP(**V4) / ICMP(type=8, id=77, seq=3) / b"ping",
        "192.0.2.1 > 198.51.100.2 ICMP echo request id 77 seq 3 len 4, ttl 64",
    ),
    (
        IPv6(**V6) / ICMPv6EchoRequest(id=5, seq=6, data=b"abc"),
        "2001:db8::1 > 2001:db8::2 ICMPv6 echo request id 5 seq 6 len 3, hop limit 64",
    ),
    (
        IP(**V4)
        / ICMP(type=3, code=3)
        / IP(src="10.0.0.1", dst="10.0.0.2")
        / UDP(sport=5, dport=6),
        "192.0.2.1 > 198.51.100.2 ICMP port unreachable"
        " (10.0.0.1:5 > 10.0.0.2:6 UDP len 0, ttl 64), ttl 64",
    ),
    (
        IP(**V4) / ICMP(type=3, code=4, nexthopmtu=1460) / IP(src="10.0.0.1", dst="10.0.0.2"),
        "192.0.2.1 > 198.51.100.2 ICMP fragmentation needed MTU 1460"
        " (10.0.0.1 > 10.0.0.2 protocol 0 len 0, ttl 64), ttl 64",
    ),
    (
        IPv6(**V6) / ICMPv6PacketTooBig(mtu=1280) / IPv6(**V6) / UDP(sport=1, dport=2),
        "2001:db8::1 > 2001:db8::2 ICMPv6 packet too big MTU 1280"
        " ([2001:db8::1]:1 > [2001:db8::2]:2 UDP len 0, hop limit 64), hop limit 64",
    ),
    (
        IPv6(**V6) / IP(**V4) / UDP(sport=5232, dport=53) / b"q",
        "2001:db8::1 > 2001:db8::2 in IPv6 | 192.0.2.1:5232 > 198.51.100.2:53 UDP len 1, ttl 64",
    ),
    (
        IPv6(**V6) / IPv6ExtHdrDestOpt() / IP(**V4) / UDP(sport=1, dport=2),
        "2001:db8::1 > 2001:db8::2 in IPv6 | 192.0.2.1:1 > 198.51.100.2:2 UDP len 0, ttl 64",
    ),
    (
        IPv6(**V6) / IPv6ExtHdrHopByHop() / UDP(sport=1, dport=2) / b"abc",
        "[2001:db8::1]:1 > [2001:db8::2]:2 UDP len 3, hop limit 64",
    ),
    (
        IP(**V4, id=99, flags="MF", frag=0) / UDP(sport=1, dport=2, len=3000) / (b"x" * 1472),
        "192.0.2.1:1 > 198.51.100.2:2 UDP len 2992, fragment 0+1480 of id 99, more follow, ttl 64",
    ),
    (
        IP(**V4, id=99, frag=185, proto=17) / Raw(b"y" * 100),
        "192.0.2.1 > 198.51.100.2 UDP, fragment 1480+100 of id 99, ttl 64",
    ),
    (
        IPv6(**V6) / IPv6ExtHdrFragment(offset=181, m=0, id=7, nh=17) / Raw(b"z" * 50),
        "2001:db8::1 > 2001:db8::2 UDP, fragment 1448+50 of id 7, hop limit 64",
    ),
    (IP(**V4, proto=50) / Raw(b"e" * 40), "192.0.2.1 > 198.51.100.2 ESP len 40, ttl 64"),
    (
        Dot1Q(vlan=12) / IP(**V4) / UDP(sport=1, dport=2),
        "VLAN 12 192.0.2.1:1 > 198.51.100.2:2 UDP len 0, ttl 64",
    ),
    (
        PPPoE(sessionid=1) / PPP(proto=0x21) / IP(**V4) / UDP(sport=1, dport=2),
        "PPPoE 192.0.2.1:1 > 198.51.100.2:2 UDP len 0, ttl 64",
    ),
    (IPv6(**V6) / ICMPv6TimeExceeded(), "ICMPv6 hop limit exceeded"),
    (IPv6(**V6) / ICMPv6DestUnreach(code=5), "ICMPv6 source address failed policy"),
]


@pytest.mark.parametrize(("packet", "line"), PLAIN)
def test_a_packet_in_words(packet: Packet, line: str) -> None:
    said = words(packet)
    assert said == line or (not line[0].isdigit() and line in said)
    assert not describe_frame(bytes(MACS / packet)).background


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (ARP(op=1, psrc="10.0.0.1", pdst="10.0.0.2"), "ARP who has 10.0.0.2? tell 10.0.0.1"),
        (
            ARP(op=2, psrc="10.0.0.2", hwsrc="02:00:00:00:00:09", pdst="10.0.0.1"),
            "ARP 10.0.0.2 is at 02:00:00:00:00:09",
        ),
        (
            IPv6(**V6) / ICMPv6ND_NS(tgt="fe80::5"),
            "2001:db8::1 > 2001:db8::2 ICMPv6 neighbour solicitation for fe80::5, hop limit 255",
        ),
        (
            IPv6(**V6) / ICMPv6ND_RA(),
            "2001:db8::1 > 2001:db8::2 ICMPv6 router advertisement, hop limit 255",
        ),
    ],
)
def test_housekeeping_is_told_as_background(packet: Packet, line: str) -> None:
    frame = describe_frame(bytes(MACS / packet))
    assert frame.summary == line
    assert frame.background


_PORT = st.integers(0, 65535)
_V4 = st.integers(0, 2**32 - 1).map(IPv4Address).map(str)
_V6 = st.integers(0, 2**128 - 1).map(IPv6Address).map(str)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_addresses_ports_and_lengths_are_those_scapy_put_in(data: st.DataObject) -> None:
    six = data.draw(st.booleans())
    source, target = data.draw(_V6 if six else _V4), data.draw(_V6 if six else _V4)
    sport, dport = data.draw(_PORT), data.draw(_PORT)
    load = data.draw(st.binary(max_size=40))
    tcp = data.draw(st.booleans())
    upper = TCP(sport=sport, dport=dport) if tcp else UDP(sport=sport, dport=dport)
    packet = (IPv6 if six else IP)(src=source, dst=target) / upper / load
    said = describe_frame(bytes(packet), LINKTYPE_RAW).summary
    ends = (
        (f"[{source}]:{sport}", f"[{target}]:{dport}")
        if six
        else (
            f"{source}:{sport}",
            f"{target}:{dport}",
        )
    )
    assert said.startswith(f"{ends[0]} > {ends[1]} {'TCP' if tcp else 'UDP'} ")
    assert f" len {len(load)}, " in said


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([packet for packet, _ in PLAIN]), st.data())
def test_cut_or_damaged_frames_are_told_and_never_raise(
    packet: Packet, data: st.DataObject
) -> None:
    frame = bytearray(bytes(MACS / packet))
    for _ in range(data.draw(st.integers(0, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(frame)))
    assert describe_frame(bytes(frame[:cut])).summary


@given(st.binary(max_size=120), st.sampled_from([1, 101, 113]))
def test_any_bytes_are_told(data: bytes, link_type: int) -> None:
    assert describe_frame(data, link_type).summary


def test_a_cut_header_is_named() -> None:
    whole = bytes(MACS / IP(**V4) / TCP(sport=1, dport=2))
    assert describe_frame(whole[:40]).summary.startswith("192.0.2.1 > 198.51.100.2 TCP cut short")
    assert describe_frame(whole[:20]).summary == "20 bytes, cut short"
