"""Fragments through the BR: by the first fragment's port, in any order, within bounds."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from scapy.layers.inet import IP, UDP, defragment, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.packet import Packet, Raw

from testbed.components.mape.br import BorderRelay
from tests.components.mape.homes import (
    BR,
    SERVER,
    SHARED,
    WHOLE,
    A,
    B,
    Home,
    inside,
    only_drop,
    only_packet,
    relay,
    tunnelled,
    udp_from,
    udp_to,
    wire,
)


def pieces(packet: Packet, size: int = 480) -> list[bytes]:
    """The packet in IPv4 fragments, cut by scapy."""
    return [wire(piece) for piece in fragment(packet, fragsize=size)]


def whole(fragments: list[bytes]) -> bytes:
    """The datagram put together again by scapy."""
    in_order = sorted((IP(piece) for piece in fragments), key=lambda piece: piece.frag)
    (packet,) = defragment(in_order)  # scapy wants them in order
    return wire(packet)


def feed(br: BorderRelay, packets: list[bytes], now: float = 0.0) -> list[bytes]:
    """Everything the BR sends for these packets, which must not cause any event."""
    sent: list[bytes] = []
    for packet in packets:
        outcome = br.receive(packet, now)
        assert outcome.events == ()
        sent += outcome.packets
    return sent


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("home", [A, WHOLE])
def test_down_in_any_order(home: Home, seed: int) -> None:
    datagram = udp_to(home, 2000, id=77)
    order = pieces(datagram)
    random.Random(seed).shuffle(order)
    sent = feed(relay(), order)
    assert len(sent) == len(order)
    assert whole([wire(inside(piece, home)) for piece in sent]) == wire(datagram)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("home", [A, WHOLE])
def test_up_in_any_order(home: Home, seed: int) -> None:
    datagram = udp_from(home, 2000, id=77)
    order = pieces(datagram)
    random.Random(seed).shuffle(order)
    sent = feed(relay(), [tunnelled(home, IP(piece)) for piece in order])
    assert len(sent) == len(order)
    assert whole(sent) == wire(datagram)


def test_fragments_behind_the_first_leave_at_once_and_those_before_wait() -> None:
    first, second, third = pieces(udp_to(A, 1200, id=5))[:3]
    br = relay()
    assert br.receive(third, 0.0).packets == ()
    assert br.counters()["waiting"] == 1
    released = br.receive(first, 1.0).packets
    assert [packet[40:] for packet in released] == [first, third]
    assert only_packet(br.receive(second, 2.0))[40:] == second
    assert br.counters()["waiting"] == 0


def test_two_homes_with_the_same_identification_do_not_mix() -> None:
    to_a, to_b = pieces(udp_to(A, 900, id=9)), pieces(udp_to(B, 900, id=9, src="192.0.2.9"))
    br = relay()
    for a_piece, b_piece in zip(to_a, to_b, strict=True):
        assert wire(inside(only_packet(br.receive(a_piece, 0.0)), A)) == a_piece
        assert wire(inside(only_packet(br.receive(b_piece, 0.0)), B)) == b_piece
    # Upwards both come from one address to one server: only the outer source differs.
    from_a, from_b = pieces(udp_from(A, 900, id=9)), pieces(udp_from(B, 900, id=9))
    for a_piece, b_piece in reversed(list(zip(from_a, from_b, strict=True))):
        assert br.receive(tunnelled(A, IP(a_piece)), 0.0).events == ()
        assert br.receive(tunnelled(B, IP(b_piece)), 0.0).events == ()
    assert br.counters()["decapsulated"] == len(from_a) + len(from_b)
    assert br.counters()["waiting"] == 0


def test_a_stranger_cannot_ride_on_anothers_first_fragment() -> None:
    br = relay()
    first, second, *_ = pieces(udp_from(A, 900, id=9))
    assert only_packet(br.receive(tunnelled(A, IP(first)), 0.0)) == first
    for stranger in (B, replace(A, ipv6="2001:db8:1::1")):
        assert br.receive(tunnelled(stranger, IP(second)), 0.0).packets == ()
    assert only_packet(br.receive(tunnelled(A, IP(second)), 0.0)) == second


def test_a_reused_identification_follows_the_newer_first_fragment() -> None:
    br = relay()
    feed(br, pieces(udp_to(A, 900, id=9)))
    for piece in pieces(udp_to(B, 900, id=9)):
        inside(only_packet(br.receive(piece, 1.0)), B)


def test_a_fragment_whose_first_never_comes_is_dropped_in_time() -> None:
    later = pieces(udp_to(A, 900, id=5))[1]
    br = relay(fragment_timeout=3.0)
    assert br.next_timer() is None
    br.receive(later, 10.0)
    assert br.next_timer() == 13.0
    assert br.handle_timer(12.9).events == ()
    drop = only_drop(br.handle_timer(13.0))
    assert (drop.reason, drop.place) == ("fragment-timeout", "internet ingress")
    assert br.next_timer() is None
    assert br.counters()["waiting"] == 0

    up = tunnelled(A, IP(pieces(udp_from(A, 900, id=5))[1]))
    br.receive(up, 20.0)
    drop = only_drop(br.handle_timer(23.0))
    assert (drop.reason, drop.place) == ("fragment-timeout", "tunnel ingress")


def test_an_answer_is_not_kept_for_ever() -> None:
    first, second, *_ = pieces(udp_to(A, 900, id=5))
    br = relay(fragment_timeout=3.0)
    br.receive(first, 0.0)
    assert br.receive(second, 3.0).packets == ()
    assert br.counters()["waiting"] == 1


def test_when_the_first_is_dropped_so_is_the_rest() -> None:
    br = relay()
    first, second, third = pieces(udp_to(replace(A, port=80), 1200, id=5))[:3]
    br.receive(third, 0.0)
    drops = br.receive(first, 0.0).events
    assert [getattr(drop, "reason", None) for drop in drops] == [
        "port-unassigned",
        "fragment-of-dropped",
    ]
    drop = only_drop(br.receive(second, 0.0))
    assert drop.reason == "fragment-of-dropped"
    assert drop.detail == "the first fragment was dropped as port-unassigned"

    first, second, third = (tunnelled(A, IP(piece)) for piece in pieces(udp_from(B, 1200))[:3])
    br.receive(third, 0.0)
    assert len(br.receive(first, 0.0).events) == 2
    assert only_drop(br.receive(second, 0.0)).reason == "fragment-of-dropped"


def test_memory_for_waiting_fragments_is_bounded() -> None:
    br = relay(most_fragments=4)
    for number in range(10):
        br.receive(wire(IP(src=SERVER, dst=SHARED, id=number, frag=3, proto=17) / Raw(b"x" * 9)), 0)
    counters = br.counters()
    assert counters["waiting"] == 4
    assert counters["drop.fragment-overflow"] == 6


def outer_pieces(packet: bytes, size: int = 600, number: int = 1) -> list[bytes]:
    """An IPv6 packet in fragments, cut by scapy."""
    plain = IPv6(packet)
    headed = (
        IPv6(src=plain.src, dst=plain.dst, hlim=plain.hlim)
        / IPv6ExtHdrFragment(id=number, nh=4)
        / Raw(packet[40:])
    )
    # scapy marks the upper layer itself; with Raw it must be told.
    cut = [wire(piece) for piece in fragment6(headed, size)]
    assert all(piece[40] == 4 for piece in cut)
    return cut


@pytest.mark.parametrize("seed", range(6))
def test_outer_fragments_are_put_together(seed: int) -> None:
    inner = udp_from(A, 1400)
    order = outer_pieces(tunnelled(A, inner))
    random.Random(seed).shuffle(order)
    assert feed(relay(), order) == [wire(inner)]


def test_the_source_of_reassembled_packets_is_checked() -> None:
    br = relay()
    *most, last = outer_pieces(tunnelled(A, udp_from(B, 1400)))
    assert feed(br, most) == []
    assert only_drop(br.receive(last, 0.0)).reason == "source-port-mismatch"


def test_what_waits_when_the_br_closes_is_told() -> None:
    br = relay()
    br.receive(outer_pieces(tunnelled(A, udp_from(A, 1400)))[0], 0.0)
    br.receive(pieces(udp_to(A, 900))[1], 0.0)
    reasons = [getattr(event, "reason", None) for event in br.close()]
    assert reasons == ["fragment-timeout"] * 2
    assert br.counters()["waiting"] == 0


def test_outer_fragments_time_out_and_overlaps_are_dropped() -> None:
    br = relay(reassembly_timeout=5.0)
    first, second, *_ = outer_pieces(tunnelled(A, udp_from(A, 1400)))
    feed(br, [first])
    assert br.next_timer() == 5.0
    assert only_drop(br.handle_timer(5.0)).reason == "fragment-timeout"
    feed(br, [first], 6.0)
    overlapping = bytearray(second)
    overlapping[42:44] = (int.from_bytes(second[42:44], "big") - 8).to_bytes(2, "big")
    drops = br.receive(bytes(overlapping), 6.0).events
    assert [getattr(drop, "reason", None) for drop in drops] == ["fragment-overlap"] * 2


def test_a_fragment_header_inside_a_fragment_is_malformed() -> None:
    nested = wire(
        IPv6(src=A.ipv6, dst=BR)
        / IPv6ExtHdrFragment(id=1, nh=44)
        / IPv6ExtHdrFragment(id=2, nh=4)
        / Raw(wire(udp_from(A)))
    )
    assert only_drop(relay().receive(nested, 0.0)).reason == "malformed"


def test_an_atomic_fragment_passes() -> None:
    """A fragment header on a whole packet (RFC 6946)."""
    inner = udp_from(A)
    packet = wire(IPv6(src=A.ipv6, dst=BR) / IPv6ExtHdrFragment(id=1, nh=4) / Raw(wire(inner)))
    assert only_packet(relay().receive(packet, 0.0)) == wire(inner)


def test_a_first_fragment_too_short_for_its_ports() -> None:
    """RFC 1858: tiny fragments must not slip past the check."""
    tiny = wire(IP(src=SERVER, dst=SHARED, flags="MF", proto=17) / Raw(b"abc"))
    assert only_drop(relay().receive(tiny, 0.0)).reason == "malformed"
    assert UDP in udp_to(A)
