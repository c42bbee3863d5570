"""The choice of the last packets, against a slow and plain way of saying the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether

from testbed.evidence import pcapng
from testbed.evidence.pcapng_reader import PcapngError
from testbed.evidence.report.frames import describe_frame
from testbed.evidence.report.packets import PacketLine, choose, last_packets

MACS = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def capture(path: Path, packets: list[tuple[int, bytes, tuple[str, ...]]]) -> Path:
    """A capture of two interfaces; odd packets are outgoing ones of the second."""
    blocks = [
        pcapng.section_header(),
        pcapng.interface_description("pc/eth0", pcapng.LINKTYPE_ETHERNET),
        pcapng.interface_description("ce/tun0", pcapng.LINKTYPE_RAW),
    ]
    for index, (time_ns, data, comments) in enumerate(packets):
        flags = pcapng.FLAG_OUTBOUND if index % 2 else pcapng.FLAG_INBOUND
        frame = data if index % 2 else bytes(MACS)[:12] + b"\x08\x00" + data
        blocks.append(
            pcapng.enhanced_packet(
                index % 2, time_ns, frame, len(frame), flags=flags, comments=comments
            )
        )
    path.write_bytes(b"".join(blocks))
    return path


def udp(port: int) -> bytes:
    return bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=port, dport=53))


def test_lines_say_where_which_way_and_what_was_said(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.pcapng", [(10, udp(1), ()), (20, udp(2), ("no-port", "rule 3"))])
    assert last_packets(path, 100) == (
        PacketLine(1, 10, "pc/eth0", False, "192.0.2.1:1 > 192.0.2.2:53 UDP len 0, ttl 64", 42),
        PacketLine(
            2,
            20,
            "ce/tun0",
            True,
            "192.0.2.1:2 > 192.0.2.2:53 UDP len 0, ttl 64",
            28,
            ("no-port", "rule 3"),
        ),
    )


def test_housekeeping_is_left_out_unless_commented_or_asked_for(tmp_path: Path) -> None:
    arp = bytes(MACS / ARP(psrc="192.0.2.1", pdst="192.0.2.2"))
    blocks = [
        pcapng.section_header(),
        pcapng.interface_description("pc/eth0", pcapng.LINKTYPE_ETHERNET),
        pcapng.enhanced_packet(0, 1, arp, len(arp)),
        pcapng.enhanced_packet(0, 2, arp, len(arp), comments=("odd",)),
    ]
    path = tmp_path / "a.pcapng"
    path.write_bytes(b"".join(blocks))
    assert [line.number for line in last_packets(path, 9)] == [2]
    assert [line.number for line in last_packets(path, 9, background=True)] == [1, 2]


def test_what_is_left_out_is_what_the_description_calls_housekeeping(tmp_path: Path) -> None:
    v6 = IPv6(src="fe80::1", dst="ff02::1")
    frames = [
        bytes(MACS / packet)
        for packet in (
            IP(src="192.0.2.1", dst="224.0.0.22", proto=2) / b"igmp",
            IP(src="192.0.2.1", dst="192.0.2.2") / TCP(),
            v6 / ICMPv6ND_NS(tgt="fe80::2"),
            v6 / ICMPv6EchoRequest(),
            v6 / IPv6ExtHdrHopByHop() / ICMPv6MLReport2(),
            v6 / UDP(),
            v6 / IP() / UDP(),
            Dot1Q(vlan=1) / ARP(),
            Dot1Q(vlan=1) / IP() / UDP(),
        )
    ]
    blocks = [
        pcapng.section_header(),
        pcapng.interface_description("pc/eth0", pcapng.LINKTYPE_ETHERNET),
        *(pcapng.enhanced_packet(0, 1, frame, len(frame)) for frame in frames),
    ]
    path = tmp_path / "a.pcapng"
    path.write_bytes(b"".join(blocks))
    told = [not describe_frame(frame).background for frame in frames]
    assert told == [False, True, False, True, False, True, True, False, True]
    chosen = [line.number for line in last_packets(path, 9)]
    assert chosen == [number for number, plain in enumerate(told, start=1) if plain]


def test_a_capture_cut_short_is_read_to_its_end_and_damage_is_an_error(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.pcapng", [(10, udp(1), ()), (20, udp(2), ())])
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert [line.number for line in last_packets(path, 100)] == [1]
    path.write_bytes(whole[:20] + b"\xff" * 20 + whole[40:])
    with pytest.raises(PcapngError):
        last_packets(path, 100)
    with pytest.raises(FileNotFoundError):
        last_packets(tmp_path / "none", 100)


@st.composite
def _lines(draw: st.DrawFn) -> list[PacketLine]:
    times = sorted(draw(st.lists(st.integers(0, 30), max_size=25)))
    return [
        PacketLine(number, time, "a/b", None, "x", 1, ("c",) if draw(st.booleans()) else ())
        for number, time in enumerate(times, start=1)
    ]


@settings(max_examples=300)
@given(_lines(), st.integers(0, 30), st.integers(0, 12), st.integers(0, 20))
def test_the_choice_is_the_one_described(
    lines: list[PacketLine], around: int, limit: int, since: int
) -> None:
    chosen = choose(lines, around, limit, since_ns=since)
    led = [line for line in lines if since <= line.time_ns <= around]
    after = [line for line in lines if line.time_ns > max(around, since - 1)]
    said = [line for line in led if line.comments][-max(limit // 2, 1) :] if limit else []
    others = [line for line in reversed(led[-limit:] if limit else []) if line not in said]
    expected = [*said, *others, *after][:limit]
    assert chosen == tuple(sorted(expected, key=lambda line: line.number))
