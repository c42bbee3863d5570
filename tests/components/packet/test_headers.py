"""Header codecs against scapy, and against bytes that are no packets at all."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.packet import Raw

from testbed.components.packet import icmp, ipv4, ipv6, transport
from testbed.components.packet.digest import packet_key
from testbed.components.packet.encapsulation import encapsulate, propagate_ecn
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.fragments import fragment_ipv4, fragment_ipv6
from testbed.components.packet.summary import summarize

ports = st.integers(0, 0xFFFF)
addresses = st.integers(0, 2**32 - 1)
A = ipv6.HEADER.pack(0x60000000, 0, 59, 64, b"\x20" * 16, b"\x21" * 16)[8:24]
B = b"\x24" + bytes(14) + b"\x01"


@given(
    source=addresses,
    destination=addresses,
    ttl=st.integers(0, 255),
    tos=st.integers(0, 255),
    ident=ports,
    flags=st.sampled_from([0, 0x4000, 0x2000, 0x2005, 7]),
    payload=st.binary(max_size=40),
)
def test_ipv4_as_scapy_builds_and_reads_it(
    *, source: int, destination: int, ttl: int, tos: int, ident: int, flags: int, payload: bytes
) -> None:
    ours = ipv4.build_ipv4(
        source,
        destination,
        253,
        payload,
        ttl=ttl,
        tos=tos,
        identification=ident,
        flags_offset=flags,
    )
    theirs = IP(
        src=ipv4.address_text(source),
        dst=ipv4.address_text(destination),
        proto=253,
        ttl=ttl,
        tos=tos,
        id=ident,
        flags=flags >> 13,
        frag=flags & 0x1FFF,
    ) / Raw(payload)
    assert ours == bytes(theirs)
    header = ipv4.parse_ipv4(ours + b"padding")
    assert (header.source, header.destination, header.ttl, header.tos) == (
        source,
        destination,
        ttl,
        tos,
    )
    assert header.dont_fragment == bool(flags & 0x4000)
    assert header.more_fragments == bool(flags & 0x2000)
    assert header.fragment_offset == (flags & 0x1FFF) * 8
    assert header.is_fragment == bool(flags & 0x3FFF)
    assert ipv4.trim_ipv4(ours + b"padding", header) == ours


@given(st.integers(1, 255))
def test_decrement_ttl_keeps_the_checksum(ttl: int) -> None:
    packet = bytearray(bytes(IP(ttl=ttl, src="192.0.2.1", dst="198.51.100.1") / UDP()))
    ipv4.decrement_ttl(packet)
    assert ipv4.parse_ipv4(packet).ttl == ttl - 1


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda p: p[:19], "IPv4 header of 19 bytes"),
        (lambda p: b"\x65" + p[1:], "IP version 6"),
        (lambda p: b"\x44" + p[1:], "IPv4 header length 16"),
        (lambda p: p[:25], "total length 33"),
        (lambda p: b"\x4f" + p[1:], "total length 33 with a header of 60"),
        (lambda p: p[:8] + b"\x00" + p[9:], "checksum"),
    ],
)
def test_ipv4_damage_is_named(damage: Callable[[bytes], bytes], reason: str) -> None:
    good = bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP() / b"hello")
    with pytest.raises(MalformedPacketError, match=reason):
        ipv4.parse_ipv4(damage(good))


def test_ipv6_extension_headers_are_walked() -> None:
    packet = bytes(
        IPv6(src="2001:db8::1", dst="2001:db8::2")
        / IPv6ExtHdrHopByHop()
        / IPv6ExtHdrDestOpt()
        / IPv6ExtHdrFragment(id=77, offset=0, m=1)
        / UDP(sport=5, dport=6)
        / b"x"
    )
    header = ipv6.parse_ipv6(packet)
    upper = ipv6.upper_layer(packet, header)
    assert upper.protocol == transport.UDP
    assert upper.fragment == (56, 17, 0, True, 77)
    assert transport.read_ports(packet, upper.offset, len(packet)) == (5, 6)
    assert packet[upper.next_header_at] == transport.UDP


def test_too_many_extension_headers_are_refused() -> None:
    layers: Any = IPv6()
    for _ in range(9):
        layers = layers / IPv6ExtHdrDestOpt()
    packet = bytes(layers / UDP())
    with pytest.raises(MalformedPacketError, match="more than 8"):
        ipv6.upper_layer(packet, ipv6.parse_ipv6(packet))


@given(ports, ports, ports, st.booleans())
def test_mss_is_lowered_never_raised_and_the_checksum_follows(
    old: int, limit: int, sport: int, odd: bool
) -> None:
    options: list[Any] = [("NOP", None)] if odd else []
    options += [("MSS", old), ("SAckOK", b""), ("WScale", 7)]
    packet = bytearray(
        bytes(
            IP(src="192.0.2.1", dst="192.0.2.2")
            / TCP(sport=sport, dport=80, flags="S", options=options)
        )
    )
    changed = transport.clamp_mss(packet, 20, len(packet), limit)
    assert changed == (limit < old)
    read = IP(bytes(packet))
    assert dict(o for o in read[TCP].options if o[0] == "MSS")["MSS"] == min(old, limit)
    expected = read[TCP].chksum
    del read[TCP].chksum
    # One's complement has two zeros; scapy writes the same one as we do.
    assert IP(bytes(read))[TCP].chksum == expected


def test_mss_of_other_segments_is_left_alone() -> None:
    for segment in (
        TCP(flags="A", options=[("MSS", 1460)]),
        TCP(flags="S"),
        TCP(flags="S", options=[(2, b"\x05\xb4\x00")]),
    ):
        packet = bytearray(bytes(IP(src="192.0.2.1", dst="192.0.2.2") / segment))
        before = bytes(packet)
        assert not transport.clamp_mss(packet, 20, len(packet), 536)
        assert packet == before


@given(st.sampled_from([0, 1, 2, 3]), st.sampled_from([0, 1, 2, 3]), st.integers(0, 63))
def test_ecn_out_of_a_tunnel_is_rfc6040_figure_4(inner: int, outer: int, dscp: int) -> None:
    table = {  # (inner, outer): result; None is drop
        **{(0, o): 0 for o in (0, 1, 2)},
        (0, 3): None,
        (2, 0): 2,
        (2, 2): 2,
        (2, 1): 1,
        (2, 3): 3,
        (1, 0): 1,
        (1, 2): 1,
        (1, 1): 1,
        (1, 3): 3,
        **{(3, o): 3 for o in range(4)},
    }
    packet = ipv4.build_ipv4(1 << 24, 2 << 24, 17, b"12345678", tos=dscp << 2 | inner)
    head = ipv6.parse_ipv6(encapsulate(packet, A, B))
    marked = head._replace(version_class_flow=head.version_class_flow & ~(3 << 20) | outer << 20)
    result = propagate_ecn(marked, ipv4.parse_ipv4(packet), packet)
    expected = table[inner, outer]
    if expected is None:
        assert result is None
    else:
        assert result is not None
        assert ipv4.parse_ipv4(result).tos == dscp << 2 | expected


def test_encapsulation_is_what_scapy_builds() -> None:
    inner = IP(src="192.0.2.1", dst="192.0.2.2", tos=0xB9) / UDP(sport=1, dport=2) / b"abc"
    ours = encapsulate(bytes(inner), B, A, 61)
    theirs = IPv6(bytes(ours))
    assert (theirs.tc, theirs.hlim, theirs.nh, theirs.fl) == (0xB9, 61, 4, 0)
    assert bytes(theirs.payload) == bytes(inner)
    rebuilt = IPv6(src=theirs.src, dst=theirs.dst, hlim=61, tc=0xB9) / inner
    assert bytes(rebuilt) == ours


def _everything(data: bytes) -> None:
    """Feed bytes to every parser; only MalformedPacketError may come out."""
    end = len(data)
    calls: list[Callable[[], object]] = [
        lambda: ipv4.parse_ipv4(data),
        lambda: ipv4.parse_quoted_ipv4(data),
        lambda: ipv6.upper_layer(data, ipv6.parse_ipv6(data)),
        lambda: ipv6.upper_layer(data, ipv6.parse_quoted_ipv6(data)),
        lambda: icmp.quoted_ipv4(data, 20, end),
        lambda: icmp.quoted_ipv6(data, 40, end),
        lambda: icmp.may_answer_ipv4(data, ipv4.parse_ipv4(data)),
        lambda: icmp.may_answer_ipv6(data, ipv6.parse_ipv6(data)),
        lambda: transport.read_tcp(data, 20, end),
        lambda: transport.read_udp(data, 20, end),
        lambda: transport.read_icmp(data, 20, end),
        lambda: transport.read_ports(data, 20, end),
        lambda: fragment_ipv4(data, 68),
        lambda: fragment_ipv6(data, 1280, 1),
    ]
    for call in calls:
        with suppress(MalformedPacketError):
            call()
    summarize(data)
    packet_key(data)
    try:
        transport.read_tcp(data, 0, end)
    except MalformedPacketError:
        return
    transport.clamp_mss(bytearray(data), 0, end, 100)


@given(st.binary(max_size=120))
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    _everything(data)


@given(st.data())
def test_mutated_packets_raise_nothing_else(draw: st.DataObject) -> None:
    base = draw.draw(
        st.sampled_from(
            [
                bytes(IP() / TCP(options=[("MSS", 1460)])),
                bytes(IP(options=b"\x44\x08\x05\x00\x00\x00\x00\x00") / UDP() / (b"x" * 90)),
                bytes(IP() / ICMP(type=3, code=4) / IP() / UDP() / b"x"),
                bytes(IPv6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(m=1) / UDP() / b"x"),
                bytes(IPv6() / IP() / TCP()),
            ]
        )
    )
    data = bytearray(base)
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    _everything(bytes(data[: draw.draw(st.integers(0, len(data)))]))
