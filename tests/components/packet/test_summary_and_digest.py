"""What a reader is told of a packet, and the name by which captures find it again."""

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw

from testbed.components.packet.digest import packet_key
from testbed.components.packet.summary import summarize

V4 = {"src": "192.0.2.1", "dst": "198.51.100.2"}
V6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}


@pytest.mark.parametrize(
    ("packet", "text"),
    [
        (IP(**V4) / UDP(sport=1000, dport=53), "UDP 192.0.2.1:1000 > 198.51.100.2:53 (28 bytes)"),
        (
            IP(**V4) / ICMP(type=8, id=7),
            "ICMP echo request 192.0.2.1:7 > 198.51.100.2:7 (28 bytes)",
        ),
        (
            IP(**V4) / ICMP(type=3, code=4) / IP() / UDP(),
            "ICMP fragmentation needed 192.0.2.1 > 198.51.100.2 (56 bytes)",
        ),
        (IP(**V4, frag=3, proto=17) / Raw(b"abc"), "UDP 192.0.2.1 > 198.51.100.2 (23 bytes)"),
        (IP(**V4, proto=47) / Raw(b"abcd"), "protocol 47 192.0.2.1 > 198.51.100.2 (24 bytes)"),
        (IPv6(**V6) / IP() / UDP(), "IPv4 2001:db8::1 > 2001:db8::2 (68 bytes)"),
        (
            IPv6(**V6) / TCP(sport=80, dport=9),
            "TCP [2001:db8::1]:80 > [2001:db8::2]:9 (60 bytes)",
        ),
        (
            IPv6(**V6) / ICMPv6EchoRequest(id=5),
            "ICMPv6 echo request [2001:db8::1]:5 > [2001:db8::2]:5 (48 bytes)",
        ),
        (
            IPv6(**V6) / IPv6ExtHdrFragment(offset=5, nh=17) / Raw(b"x"),
            "UDP 2001:db8::1 > 2001:db8::2 (49 bytes)",
        ),
        (IP(**V4, proto=6) / Raw(b"ab"), "TCP 192.0.2.1 > 198.51.100.2 (22 bytes)"),
    ],
)
def test_summary_reads_well(packet: Any, text: str) -> None:
    data = bytes(packet)
    summary = summarize(data)
    assert str(summary) == text
    assert summary.key == packet_key(data)
    assert summary.head == data[:128].hex()


def test_summary_of_what_is_no_packet() -> None:
    for data in (b"", b"\x45", b"\x60" + bytes(10), b"\xff" * 64):
        summary = summarize(data)
        assert summary.protocol == "malformed"
        assert summary.length == len(data)


def _variant(packet: Any, **changes: Any) -> bytes:
    copy = packet.copy()
    for name, value in changes.items():
        setattr(copy, name, value)
    return bytes(copy)


def test_key_survives_hops_and_offload_but_not_change() -> None:
    packet = IP(**V4, ttl=64) / UDP(sport=1, dport=2) / Raw(b"data")
    key = packet_key(bytes(packet))
    assert packet_key(_variant(packet, ttl=7)) == key
    assert packet_key(bytes(packet) + b"\0" * 12) == key
    unfinished = bytearray(bytes(packet))
    unfinished[26:28] = b"\x12\x34"
    assert packet_key(unfinished) == key
    assert packet_key(memoryview(bytes(packet))) == key
    assert packet_key(_variant(packet, src="192.0.2.9")) != key
    assert packet_key(_variant(packet, id=5)) != key
    assert packet_key(bytes(packet)[:-1] + b"!") != key
    six = IPv6(**V6) / TCP(sport=1, dport=2)
    assert packet_key(_variant(six, hlim=3)) == packet_key(bytes(six))
    assert packet_key(_variant(six, tc=3)) != packet_key(bytes(six))
    # A later fragment has no checksum field: the bytes in its place are data.
    later = IP(**V4, frag=5, proto=17) / Raw(b"12345678")
    assert packet_key(bytes(later)) != packet_key(bytes(later)[:-2] + b"!!")
