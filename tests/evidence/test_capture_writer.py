"""The pure half of a capture: order, comments, notices without a captured packet."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Packet as ScapyPacket
from scapy.packet import Raw

from testbed.components.packet.digest import packet_key
from testbed.evidence.capture_writer import Blocks, CaptureWriter, Notice
from testbed.evidence.frame_layers import ip_length, ip_packets
from testbed.evidence.pcapng_reader import Packet, PcapngReader
from testbed.kernel.packet_socket import ETHERNET, RAW, Frame

MS = 1_000_000
START = 1_780_000_000 * 1_000 * MS
WINDOW = 1000 * MS
# Both ends told, or scapy would go and ask the host's network for them.
ENDS = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
LINK = Ether(**ENDS)
CE = [("ce/lan", ETHERNET), ("ce/tun0", RAW), ("br/wan", ETHERNET)]


def ip_packet(number: int, ttl: int = 64) -> bytes:
    """An IPv4 packet that differs by number."""
    packet = IP(src="192.0.2.1", dst="192.0.2.2", id=number, ttl=ttl) / UDP(sport=5000) / b"hello"
    return bytes(packet)


def on_ethernet(packet: bytes) -> bytes:
    """The packet in a frame."""
    return bytes(Ether(**ENDS, type=0x0800)) + packet


def frame(at_ms: int, data: bytes, *, outgoing: bool = False) -> Frame:
    """A frame captured at a time after the start."""
    return Frame(START + at_ms * MS, outgoing, data, len(data))


def notice(at_ms: int, packet: bytes, comment: str = "drop: why", node: str = "ce") -> Notice:
    """A notice that a packet was dropped."""
    return Notice(node, packet_key(packet), comment, START + at_ms * MS, packet[:128])


class Session:
    """A writer, its output so far, and a clock in milliseconds."""

    def __init__(self, held_bytes: int = 1 << 26) -> None:
        self.writer = CaptureWriter(CE, window_ns=WINDOW, start_ns=START, held_bytes=held_bytes)
        self.output = self.writer.begin().data

    def add(self, interface: int, *frames: Frame) -> None:
        """Frames are captured."""
        self.writer.add_frames(interface, frames)

    def until(self, at_ms: int) -> list[Packet]:
        """Let time pass; all packets written until then."""
        return self._write(self.writer.take(START + at_ms * MS))

    def sync(self, at_ms: int) -> list[Packet]:
        """Everything is to be written now."""
        return self._write(self.writer.take_all(START + at_ms * MS))

    def _write(self, blocks: Blocks) -> list[Packet]:
        before = len(self.read())
        self.output += blocks.data
        packets = self.read()
        assert len(packets) == before + blocks.packets
        return packets

    def read(self) -> list[Packet]:
        """The packets written so far."""
        return list(PcapngReader(io.BytesIO(self.output)))


def told(packets: list[Packet]) -> list[tuple[str, int, tuple[str, ...]]]:
    """Interface, time in ms, comments."""
    return [(p.interface.name, ((p.time_ns or 0) - START) // MS, p.comments) for p in packets]


def test_frames_leave_in_order_of_time_once_the_window_has_passed() -> None:
    session = Session()
    session.add(0, frame(30, on_ethernet(ip_packet(1))))
    session.add(2, frame(10, on_ethernet(ip_packet(2))))
    session.add(1, frame(20, ip_packet(3), outgoing=True))
    assert session.until(1009) == []
    assert session.writer.next_due_ns() == START + 1010 * MS
    assert told(session.until(1025)) == [("br/wan", 10, ()), ("ce/tun0", 20, ())]
    (_, second) = session.read()
    assert second.outgoing
    assert second.interface.link_type == RAW
    assert told(session.until(1030))[2:] == [("ce/lan", 30, ())]
    assert session.writer.next_due_ns() is None


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 500), st.integers(0, 400)), max_size=40)
)
def test_any_arrival_within_the_window_comes_out_sorted_and_whole(
    arrivals: list[tuple[int, int, int]],
) -> None:
    """Each frame is read some time, less than the window, after it was captured."""
    session = Session()
    for read_at, (interface, captured_at) in sorted(
        (captured + late, (interface, captured)) for interface, captured, late in arrivals
    ):
        session.until(read_at)
        session.add(interface, frame(captured_at, bytes(20)))
    packets = session.until(5000)
    assert len(packets) == len(arrivals)
    times = [packet.time_ns or 0 for packet in packets]
    assert all(earlier <= later for earlier, later in pairwise(times))


def test_a_notice_comments_the_packet_on_every_interface_of_its_node() -> None:
    session = Session()
    packet = ip_packet(7)
    session.add(0, frame(10, on_ethernet(packet)))
    session.add(1, frame(11, ip_packet(7, ttl=63), outgoing=True))
    session.add(2, frame(12, on_ethernet(packet)))
    session.add(0, frame(13, on_ethernet(ip_packet(8))))
    session.writer.add_notice(notice(15, ip_packet(7, ttl=63)), START + 15 * MS)
    assert told(session.until(3000)) == [
        ("ce/lan", 10, ("drop: why",)),
        ("ce/tun0", 11, ("drop: why",)),
        ("br/wan", 12, ()),
        ("ce/lan", 13, ()),
    ]


def test_of_equal_packets_the_last_before_the_notice_is_meant() -> None:
    session = Session()
    data = on_ethernet(ip_packet(7))
    for at in (10, 100, 200):
        session.add(0, frame(at, data))
    session.writer.add_notice(notice(120, data[14:]), START + 210 * MS)
    assert [comments for _, _, comments in told(session.until(3000))] == [(), ("drop: why",), ()]


def test_two_notices_of_equal_packets_comment_two_packets() -> None:
    session = Session()
    data = on_ethernet(ip_packet(7))
    for at in (10, 100):
        session.add(0, frame(at, data))
    for at in (101, 102):
        session.writer.add_notice(notice(at, data[14:]), START + at * MS)
    assert [comments for _, _, comments in told(session.until(3000))] == [("drop: why",)] * 2


def test_two_reasons_for_one_packet_are_both_told() -> None:
    session = Session()
    data = on_ethernet(ip_packet(7))
    session.add(0, frame(10, data))
    session.writer.add_notice(notice(11, data[14:], "first"), START + 11 * MS)
    session.writer.add_notice(notice(12, data[14:], "second"), START + 12 * MS)
    assert told(session.until(3000)) == [("ce/lan", 10, ("first", "second"))]


def test_a_frame_read_after_its_notice_is_commented_all_the_same() -> None:
    session = Session()
    data = on_ethernet(ip_packet(7))
    session.writer.add_notice(notice(50, data[14:]), START + 50 * MS)
    session.add(0, frame(49, data))
    session.add(0, frame(400, data))  # sent again later: not this one
    assert told(session.until(3000)) == [("ce/lan", 49, ("drop: why",)), ("ce/lan", 400, ())]


def test_a_packet_nobody_captured_is_written_as_one_of_its_node() -> None:
    session = Session()
    packet = bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP() / Raw(bytes(400)))
    session.add(0, frame(10, on_ethernet(ip_packet(1))))
    session.writer.add_notice(notice(20, packet), START + 20 * MS)
    session.add(0, frame(2500, on_ethernet(ip_packet(2))))
    assert told(session.until(900)) == []
    assert told(session.until(9000)) == [
        ("ce/lan", 10, ()),
        ("ce (dropped)", 20, ("drop: why",)),
        ("ce/lan", 2500, ()),
    ]
    unseen = session.read()[1]
    assert unseen.interface.link_type == RAW
    assert unseen.data == packet[:128]
    assert unseen.length == 428
    assert session.writer.next_due_ns() is None


def test_a_notice_of_a_node_that_is_not_captured_is_ignored() -> None:
    session = Session()
    session.writer.add_notice(notice(20, ip_packet(1), node="elsewhere"), START + 20 * MS)
    assert session.until(9000) == []


def test_sync_writes_everything_and_unseen_packets_once() -> None:
    session = Session()
    session.add(0, frame(10, on_ethernet(ip_packet(1))))
    session.writer.add_notice(notice(20, ip_packet(2)), START + 20 * MS)
    expected = [("ce/lan", 10, ()), ("ce (dropped)", 20, ("drop: why",))]
    assert told(session.sync(21)) == expected
    assert told(session.sync(22)) == expected
    assert told(session.until(9000)) == expected


def test_tunnelled_packets_are_found_by_their_own_key() -> None:
    session = Session()
    inner = IP(src="192.0.2.1", dst="192.0.2.2", id=9) / TCP(dport=80)
    outer = LINK / IPv6(src="2001:db8::1", dst="2001:db8::2", nh=4) / inner
    session.add(2, frame(10, bytes(outer)))
    session.writer.add_notice(
        notice(11, bytes(inner), "drop: source mismatch", "br"), START + 11 * MS
    )
    assert told(session.until(3000)) == [("br/wan", 10, ("drop: source mismatch",))]


def test_too_much_held_leaves_early_rather_than_fill_the_memory() -> None:
    session = Session(held_bytes=1000)
    for at in range(20):
        session.add(0, frame(at, bytes(100)))
    assert len(session.until(20)) == 10


def test_the_end_writes_the_rest_and_the_counts() -> None:
    session = Session()
    session.add(0, frame(10, on_ethernet(ip_packet(1))))
    counts = [(5, 2), (0, 0), (9, 9)]
    session.output += session.writer.finish(START + 20 * MS, counts).data
    reader = PcapngReader(io.BytesIO(session.output))
    assert len(list(reader)) == 1
    assert [(s.received, s.dropped) for s in reader.statistics] == counts


INNER = IP(src="192.0.2.1", dst="192.0.2.2", id=3) / UDP(sport=9) / b"x"
FRAMES: list[tuple[ScapyPacket, int, list[ScapyPacket]]] = [
    (LINK / INNER, ETHERNET, [INNER]),
    (LINK / Dot1Q(vlan=5) / INNER, ETHERNET, [INNER]),
    (Ether(**ENDS, type=0x88A8) / Dot1Q(vlan=5) / Dot1Q(vlan=6) / INNER, ETHERNET, [INNER]),
    (LINK / PPPoE(sessionid=1) / PPP() / INNER, ETHERNET, [INNER]),
    (INNER, RAW, [INNER]),
    (LINK / IPv6(nh=4) / INNER, ETHERNET, [IPv6(nh=4) / INNER, INNER]),
    (IP(proto=4) / INNER, RAW, [IP(proto=4) / INNER, INNER]),
    (IP(proto=4, frag=10) / INNER, RAW, [IP(proto=4, frag=10) / INNER]),
    (Ether(**ENDS, type=0x0806) / Raw(bytes(28)), ETHERNET, []),
    (INNER, 147, []),
]


@pytest.mark.parametrize(("data", "link_type", "expected"), FRAMES, ids=lambda _: "")
def test_ip_packets_are_found_in_frames(
    data: ScapyPacket, link_type: int, expected: list[ScapyPacket]
) -> None:
    assert ip_packets(bytes(data), link_type) == [bytes(packet) for packet in expected]


@given(st.binary(max_size=120), st.sampled_from((ETHERNET, RAW)))
def test_any_bytes_can_be_searched_for_packets(data: bytes, link_type: int) -> None:
    for packet in ip_packets(data, link_type):
        assert data.endswith(packet)
        assert ip_length(packet) >= len(packet)


def test_the_stated_length_of_a_packet_is_used() -> None:
    packet = bytes(IPv6() / ICMP() / Raw(bytes(300)))
    assert ip_length(packet[:60]) == len(packet)
    assert ip_length(b"") == 0
