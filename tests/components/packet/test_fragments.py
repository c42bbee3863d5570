"""Cutting, tracking and reassembling fragments, judged by scapy and by simple bookkeeping."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP, IPOption_Router_Alert, IPOption_Timestamp, defragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop, defragment6
from scapy.packet import Raw

from testbed.components.packet import ipv6
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.fragment_tracker import FragmentFate, FragmentTracker
from testbed.components.packet.fragments import fragment_ipv4, fragment_ipv6
from testbed.components.packet.ipv4 import parse_ipv4
from testbed.components.packet.reassembly import Reassembler


@given(st.integers(0, 3000), st.integers(68, 1500), st.booleans())
def test_ipv4_fragments_fit_and_scapy_puts_them_together(
    size: int, mtu: int, options: bool
) -> None:
    fields: dict[str, Any] = {"src": "192.0.2.1", "dst": "192.0.2.2", "id": 99}
    if options:
        fields["options"] = [IPOption_Router_Alert()]
    packet = bytes(IP(**fields) / UDP() / Raw(bytes(i & 255 for i in range(size))))
    fragments = fragment_ipv4(packet, mtu)
    assert all(len(f) <= mtu for f in fragments)
    for fragment in fragments:
        parse_ipv4(fragment)  # also the checksum
    if len(packet) <= mtu:
        assert fragments == [packet]
        return
    (whole,) = defragment([IP(f) for f in fragments])
    assert bytes(whole.payload) == packet[parse_ipv4(packet).header_length :]
    assert whole.options == IP(packet).options


def test_options_without_the_copied_flag_stay_in_the_first_fragment() -> None:
    packet = bytes(
        IP(
            src="192.0.2.1",
            dst="192.0.2.2",
            options=[IPOption_Timestamp(), IPOption_Router_Alert()],
        )
        / UDP()
        / Raw(b"x" * 200)
    )
    first, second, *_ = (IP(f) for f in fragment_ipv4(packet, 100))
    assert [type(o) for o in first.options[:2]] == [IPOption_Timestamp, IPOption_Router_Alert]
    assert [type(o) for o in second.options] == [IPOption_Router_Alert]


def test_a_middle_fragment_is_cut_further() -> None:
    packet = bytes(
        IP(src="192.0.2.1", dst="192.0.2.2", id=5, flags="MF", frag=10, proto=17)
        / Raw(bytes(range(160)))
    )
    pieces = [IP(f) for f in fragment_ipv4(packet, 100)]
    assert [(int(p.flags), p.frag) for p in pieces] == [(1, 10), (1, 20)]
    assert b"".join(bytes(p.payload) for p in pieces) == bytes(range(160))


def test_no_room_for_a_fragment_is_an_error() -> None:
    packet = bytes(IP() / UDP() / Raw(b"x" * 100))
    with pytest.raises(MalformedPacketError, match="no room"):
        fragment_ipv4(packet, 27)
    six = bytes(IPv6() / UDP() / Raw(b"x" * 100))
    with pytest.raises(MalformedPacketError, match="no room"):
        fragment_ipv6(six, 50, 1)


@given(st.integers(1400, 4000), st.integers(100, 1400), st.data())
def test_ipv6_fragments_are_reassembled_by_us_and_by_scapy_in_any_order(
    size: int, mtu: int, draw: st.DataObject
) -> None:
    packet = bytes(
        IPv6(src="2001:db8::1", dst="2001:db8::2")
        / UDP()
        / Raw(bytes(i % 251 for i in range(size)))
    )
    fragments = fragment_ipv6(packet, mtu, 4711)
    assert all(len(f) <= mtu for f in fragments)
    # scapy leaves its own idea of the lengths to be computed again when the packet is built.
    assert bytes(defragment6([IPv6(f) for f in fragments]))[40:] == packet[40:]
    reassembler = Reassembler()
    order = draw.draw(st.permutations(fragments))
    results = [_add(reassembler, fragment, 0.0) for fragment in order]
    assert [r[0] for r in results[:-1]] == [None] * (len(fragments) - 1)
    assert results[-1] == (packet, [])
    assert reassembler.waiting == 0
    assert reassembler.next_timer() is None


def _add(reassembler: Reassembler, packet: bytes, now: float) -> tuple[bytes | None, Any]:
    header = ipv6.parse_ipv6(packet)
    return reassembler.add(packet, header, ipv6.upper_layer(packet, header), now)


def _three_fragments(ident: int = 1) -> list[bytes]:
    packet = bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP() / Raw(bytes(270)))
    fragments = fragment_ipv6(packet, 148, ident)
    assert len(fragments) == 3
    return fragments


def test_extension_headers_before_the_fragment_header_are_kept() -> None:
    plain = bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=7) / Raw(b"x" * 290))
    hop = bytes(IPv6ExtHdrHopByHop(nh=44))
    reassembler = Reassembler()
    whole = None
    for fragment in fragment_ipv6(plain, 148, 3):
        length = (int.from_bytes(fragment[4:6], "big") + len(hop)).to_bytes(2, "big")
        with_hop = fragment[:4] + length + b"\x00" + fragment[7:40] + hop + fragment[40:]
        whole, _ = _add(reassembler, with_hop, 0.0)
    assert whole is not None
    assert whole[48:] == plain[40:]
    assert bytes(IPv6(whole)[UDP]) == plain[40:]


def test_reassembly_gives_up_in_time_and_says_so() -> None:
    first, *_ = _three_fragments()
    reassembler = Reassembler(timeout=60)
    assert _add(reassembler, first, 10.0) == (None, [])
    assert reassembler.next_timer() == 70.0
    assert reassembler.expire(69.9) == []
    (gone,) = reassembler.expire(70.0)
    assert (gone.packet, gone.fate) == (first, FragmentFate.TIMEOUT)
    assert reassembler.next_timer() is None


def test_overlap_discards_the_whole_datagram() -> None:
    one, two, three = _three_fragments()
    bad = bytearray(two)
    bad[-1] ^= 1  # same place, other content
    reassembler = Reassembler()
    assert _add(reassembler, two, 0.0) == (None, [])
    whole, discarded = _add(reassembler, bytes(bad), 0.0)
    assert whole is None
    assert [d.fate for d in discarded] == [FragmentFate.OVERLAP] * 2
    assert reassembler.waiting == 0
    # an exact duplicate only loses itself
    reassembler = Reassembler()
    for piece in (one, two):
        assert _add(reassembler, piece, 0.0) == (None, [])
    whole, discarded = _add(reassembler, two, 0.0)
    assert (whole, [d.fate for d in discarded]) == (None, [FragmentFate.OVERLAP])
    whole, discarded = _add(reassembler, three, 0.0)
    assert whole is not None
    assert discarded == []


def test_impossible_sizes_are_discarded() -> None:
    one, two, _ = _three_fragments()
    odd = two[:4] + (8 + 5).to_bytes(2, "big") + two[6:48] + b"12345"  # M=1, not a multiple of 8
    reassembler = Reassembler()
    _, discarded = _add(reassembler, odd, 0.0)
    assert [d.fate for d in discarded] == [FragmentFate.MALFORMED]
    last = bytearray(one)
    last[43] &= 0xFE  # now says it is the end: a second one behind it cannot be
    last[42:44] = (8).to_bytes(2, "big")
    assert _add(reassembler, bytes(last), 0.0)[0] is None
    far = bytearray(two)
    far[42:44] = (0x400 | 1).to_bytes(2, "big")
    _, discarded = _add(reassembler, bytes(far), 0.0)
    assert {d.fate for d in discarded} == {FragmentFate.MALFORMED}
    assert len(discarded) == 2


def test_reassembly_memory_is_bounded() -> None:
    reassembler = Reassembler(most_datagrams=3)
    gone = []
    for ident in range(10):
        _, discarded = _add(reassembler, _three_fragments(ident)[0], 0.0)
        gone += discarded
    assert reassembler.waiting == 3
    assert [d.fate for d in gone] == [FragmentFate.OVERFLOW] * 7
    small = Reassembler(most_bytes=200)
    one, two, _ = _three_fragments()
    assert _add(small, one, 0.0) == (None, [])
    assert len(_add(small, two, 0.0)[1]) == 2
    assert small.waiting == 0


def test_tracker_releases_waiting_fragments_in_order() -> None:
    tracker: FragmentTracker[str] = FragmentTracker()
    assert tracker.lookup("k", 0.0) is None
    assert tracker.hold("k", b"two", 0.0) == []
    assert tracker.hold("k", b"three", 0.0) == []
    assert tracker.waiting == 2
    assert tracker.learn("k", "answer", 1.0) == ([b"two", b"three"], [])
    assert tracker.lookup("k", 2.0) == "answer"
    assert tracker.waiting == 0
    assert tracker.learn("k", "newer", 3.0) == ([], [])
    assert tracker.lookup("k", 3.0) == "newer"


def test_tracker_forgets_in_time() -> None:
    tracker: FragmentTracker[str] = FragmentTracker(timeout=30)
    tracker.hold("a", b"waiting", 0.0)
    tracker.learn("b", "answer", 5.0)
    assert tracker.next_timer() == 30.0
    (gone,) = tracker.expire(30.0)
    assert (gone.packet, gone.fate) == (b"waiting", FragmentFate.TIMEOUT)
    assert tracker.next_timer() == 35.0
    assert tracker.lookup("b", 35.0) is None
    assert tracker.expire(35.0) == []
    assert tracker.next_timer() is None


def test_tracker_is_bounded_in_every_direction() -> None:
    tracker: FragmentTracker[int] = FragmentTracker(
        most_datagrams=2, most_waiting=2, most_waiting_bytes=10
    )
    assert tracker.hold("a", b"1234", 0.0) == []
    assert tracker.hold("a", b"1234", 0.0) == []
    assert [d.fate for d in tracker.hold("a", b"1", 0.0)] == [FragmentFate.OVERFLOW]
    assert [d.packet for d in tracker.hold("b", b"12345", 0.0)] == [b"12345"]  # bytes in all
    assert [d.packet for d in tracker.learn("c", 1, 0.0)[1]] == [b"1234", b"1234"]
    assert tracker.waiting == 0
    assert tracker.hold("d", b"1234567890", 0.0) == []
