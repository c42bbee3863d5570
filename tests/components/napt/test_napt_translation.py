"""Packets through the NAPT, encoded, decoded and summed by scapy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.packet import Raw

from testbed.components.napt.identification import PortSetIdentifications
from testbed.components.napt.ports import Endpoint, PortNotInPoolError
from testbed.components.packet.ipv4 import parse_ipv4
from testbed.components.packet.transport import TCP as TCP_NUMBER
from testbed.components.packet.transport import UDP as UDP_NUMBER
from testbed.errors import TestbedError
from testbed.events import Drop, MappingCreated
from tests.components.napt.helpers import (
    OTHER,
    OUTSIDE,
    PORTS,
    RANGES,
    ROUTER,
    SERVER,
    A,
    B,
    balanced,
    drop_of,
    error,
    events_of,
    judge,
    make,
    number,
    one_in,
    one_out,
    ping,
    tcp,
    udp,
)


@pytest.mark.parametrize("options", [[], [IPOption_Router_Alert()]])
@pytest.mark.parametrize("layer", [UDP(sport=1234, dport=80), TCP(sport=1234, dport=80, flags="S")])
def test_there_and_back(layer: Any, options: list[Any]) -> None:
    napt = make()
    sent = IP(src=A, dst=SERVER, ttl=33, tos=0xB8, options=options) / layer / b"payload"
    result = napt.outbound(bytes(sent), 0.0)
    out = one_out(result)
    assert (out.src, out.sport, out.dst, out.dport) == (OUTSIDE, 5000, SERVER, 80)
    assert (out.ttl, out.tos, out.id) == (33, 0xB8, 1)
    assert bytes(out.payload.payload) == b"payload"
    assert result.to_outside[0].destination == number(SERVER)
    assert result.to_outside[0].port == 80
    (created,) = events_of(result, MappingCreated)
    assert (created.inside, created.inside_port) == (A, 1234)
    assert (created.outside, created.outside_port) == (OUTSIDE, 5000)
    answer = IP(src=SERVER, dst=OUTSIDE, ttl=44) / layer.copy()
    answer.sport, answer.dport = 80, 5000
    back = one_in(napt.inbound(bytes(answer), 0.1))
    assert (back.src, back.sport, back.dst, back.dport) == (SERVER, 80, A, 1234)
    assert back.ttl == 44
    assert balanced(napt)


def test_padding_behind_the_packet_is_cut_off() -> None:
    napt = make()
    assert len(one_out(napt.outbound(udp(A, 1, SERVER, 2) + b"\0" * 9, 0.0))) == 32


def test_udp_without_checksum_stays_without() -> None:
    napt = make()
    sent = bytes(IP(src=A, dst=SERVER) / UDP(sport=1, dport=2, chksum=0) / b"x")
    assert one_out(napt.outbound(sent, 0.0))[UDP].chksum == 0


@given(st.binary(max_size=40), st.integers(1, 65535), st.integers(1, 65535))
def test_checksums_for_any_content(payload: bytes, sport: int, dport: int) -> None:
    napt = make()
    for packet in (udp(A, sport, SERVER, dport, payload), tcp(A, sport, SERVER, dport)):
        out = one_out(napt.outbound(packet, 0.0))
        assert out.sport in PORTS
        if isinstance(out.payload, UDP):
            assert bytes(out[UDP].payload) == payload
    out = one_out(napt.outbound(ping(A, SERVER, sport), 0.0))
    assert out[ICMP].id in PORTS


def test_ping_there_and_back() -> None:
    napt = make()
    out = one_out(napt.outbound(ping(A, SERVER, 77), 0.0))
    assert (out.src, out[ICMP].id, out[ICMP].seq) == (OUTSIDE, 5000, 1)
    assert napt.outbound(ping(A, SERVER, 77), 0.0).to_outside[0].port == 5000
    back = one_in(napt.inbound(ping(SERVER, OUTSIDE, 5000, kind=0), 0.1))
    assert (back.dst, back[ICMP].id) == (A, 77)


def test_protocols_have_their_own_ports() -> None:
    napt = make()
    assert one_out(napt.outbound(udp(A, 1, SERVER, 9), 0.0)).sport == 5000
    assert one_out(napt.outbound(tcp(A, 1, SERVER, 9), 0.0)).sport == 5000
    assert one_out(napt.outbound(ping(A, SERVER, 1), 0.0))[ICMP].id == 5000


# ICMP errors


@pytest.mark.parametrize("kind", [(3, 3), (3, 4), (11, 0), (12, 0)])
@pytest.mark.parametrize("quoted", [UDP, TCP, ICMP])
@pytest.mark.parametrize("whole", [True, False])
def test_error_from_outside_is_turned_back(
    quoted: Any, kind: tuple[int, int], *, whole: bool
) -> None:
    napt = make()
    sent = {
        UDP: udp(A, 1234, SERVER, 80),
        TCP: tcp(A, 1234, SERVER, 80),
        ICMP: ping(A, SERVER, 1234),
    }[quoted]
    went_out = napt.outbound(sent, 0.0).to_outside[0].packet
    quote = went_out if whole else went_out[:28]
    router = "192.0.2.99"  # some router on the way, of which the NAPT knows nothing
    back = one_in(napt.inbound(error(router, OUTSIDE, quote, *kind), 0.1))
    assert (back.src, back.dst) == (router, A)
    assert (back[ICMP].type, back[ICMP].code) == kind
    assert bytes(back[ICMP].payload) == (sent if whole else sent[:28])


@pytest.mark.parametrize("quoted", [UDP, TCP])
def test_error_from_inside_is_turned_back(quoted: Any) -> None:
    napt = make()
    build = udp if quoted is UDP else tcp
    napt.outbound(build(A, 1234, SERVER, 80), 0.0)
    came = build(SERVER, 80, OUTSIDE, 5000)
    inside_saw = napt.inbound(came, 0.0).to_inside[0]
    for sender in (A, ROUTER):  # the host itself, or a router before it
        result = napt.outbound(error(sender, SERVER, inside_saw), 0.1)
        out = one_out(result)
        assert (out.src, out.dst) == (OUTSIDE, SERVER)
        assert bytes(out[ICMP].payload) == came
        assert result.to_outside[0].port == 80  # by which a MAP domain finds the other CE
    assert balanced(napt)


def test_error_about_an_echo_reply_leaves_with_our_identifier() -> None:
    napt = make()
    napt.outbound(ping(A, SERVER, 1234), 0.0)
    reply = ping(SERVER, OUTSIDE, 5000, kind=0)
    inside_saw = napt.inbound(reply, 0.0).to_inside[0]
    out = one_out(napt.outbound(error(A, SERVER, inside_saw), 0.1))
    assert bytes(out[ICMP].payload) == reply


def test_error_does_not_refresh_or_end_the_mapping() -> None:
    napt = make()
    went_out = napt.outbound(ping(A, SERVER, 1), 0.0).to_outside[0].packet
    before = napt.mappings(30.0)
    assert napt.inbound(error(SERVER, OUTSIDE, went_out), 30.0).to_inside
    assert napt.mappings(30.0) == before  # RFC 5508 REQ-6, RFC 4787 REQ-12


# Hairpin


@pytest.mark.parametrize("build", [udp, tcp])
def test_hairpin_uses_the_outside_source(build: Any) -> None:
    napt = make()
    napt.outbound(build(B, 2000, SERVER, 80), 0.0)  # B is 5000
    there = one_in(napt.outbound(build(A, 1000, OUTSIDE, 5000, ttl=9), 0.0))
    assert (there.src, there.sport, there.dst, there.dport) == (OUTSIDE, 5001, B, 2000)
    assert there.ttl == 9
    back = one_in(napt.outbound(build(B, 2000, OUTSIDE, 5001), 0.0))
    assert (back.src, back.sport, back.dst, back.dport) == (OUTSIDE, 5000, A, 1000)
    assert napt.counters.hairpinned == 2
    assert balanced(napt)


def test_hairpinned_error() -> None:
    napt = make()
    napt.outbound(udp(B, 2000, SERVER, 80), 0.0)
    sent = udp(A, 1000, OUTSIDE, 5000)
    b_saw = napt.outbound(sent, 0.0).to_inside[0]
    got = one_in(napt.outbound(error(B, OUTSIDE, b_saw), 0.0))
    assert (got.src, got.dst) == (OUTSIDE, A)
    assert bytes(got[ICMP].payload) == sent
    last_hop = napt.outbound(error(B, OUTSIDE, b_saw, ttl=1), 0.0)
    assert drop_of(last_hop).reason == "ttl-exceeded"
    assert last_hop.to_inside == ()


def test_hairpin_without_a_hop_left_is_answered_about_the_original() -> None:
    napt = make()
    napt.outbound(udp(B, 2000, SERVER, 80), 0.0)
    sent = udp(A, 1000, OUTSIDE, 5000, ttl=1)
    result = napt.outbound(sent, 0.0)
    assert drop_of(result).reason == "ttl-exceeded"
    told = one_in(result)
    assert (told.src, told.dst, told[ICMP].type, told[ICMP].code) == (ROUTER, A, 11, 0)
    assert bytes(told[ICMP].payload) == sent


def test_a_port_of_the_shared_address_that_is_not_ours_is_outside() -> None:
    napt = make()
    out = one_out(napt.outbound(udp(A, 1, OUTSIDE, 7000), 0.0))
    assert (out.dst, out.dport) == (OUTSIDE, 7000)


# Static forwards


def test_static_forward_in_and_out() -> None:
    napt = make()
    (created,) = napt.add_forward(
        TCP_NUMBER, Endpoint(number(OUTSIDE), 6001), Endpoint(number(B), 80)
    )
    assert isinstance(created, MappingCreated)
    got = one_in(napt.inbound(tcp(SERVER, 9, OUTSIDE, 6001), 0.0))
    assert (got.dst, got.dport) == (B, 80)
    answer = one_out(napt.outbound(tcp(B, 80, SERVER, 9, flags="SA"), 0.0))
    assert (answer.src, answer.sport) == (OUTSIDE, 6001)
    napt.handle_timer(1e6)
    assert [m.static for m in napt.mappings(1e6)] == [True]
    assert drop_of(napt.inbound(udp(SERVER, 9, OUTSIDE, 6001), 0.0)).reason == "no-mapping"


def test_static_forward_outside_the_set_is_refused_with_a_hint() -> None:
    napt = make()
    with pytest.raises(PortNotInPoolError) as caught:
        napt.add_forward(TCP_NUMBER, Endpoint(number(OUTSIDE), 8080), Endpoint(number(B), 80))
    assert "198.51.100.7:8080 is not in this NAPT's port set" in str(caught.value)
    assert "5000-5003, 6000-6003" in str(caught.value.hint)
    with pytest.raises(PortNotInPoolError):
        napt.add_forward(TCP_NUMBER, Endpoint(number(OTHER), 5000), Endpoint(number(B), 80))


def test_static_forward_needs_both_ends_free() -> None:
    napt = make()
    outside, inside = Endpoint(number(OUTSIDE), 5002), Endpoint(number(B), 80)
    napt.add_forward(UDP_NUMBER, outside, inside)
    with pytest.raises(PortNotInPoolError, match="in use"):
        napt.add_forward(UDP_NUMBER, outside, Endpoint(number(A), 80))
    with pytest.raises(TestbedError, match="mapped already"):
        napt.add_forward(UDP_NUMBER, Endpoint(number(OUTSIDE), 5003), inside)
    ports = {one_out(napt.outbound(udp(A, n, SERVER, 9), 0.0)).sport for n in range(1, 8)}
    assert ports == set(PORTS) - {5002}
    assert drop_of(napt.outbound(udp(A, 99, SERVER, 9), 0.0)).reason == "ports-exhausted"


# Fragments


def _fragments(packet: bytes, size: int = 48) -> list[bytes]:
    """Cut by scapy."""
    return [bytes(f) for f in IP(packet).fragment(size)]


def _together(packets: list[bytes]) -> Any:
    """Put together by offset, and judged as a whole."""
    parts = sorted((parse_ipv4(p).fragment_offset, p) for p in packets)
    payload = b"".join(p[20:] for _, p in parts)
    head = IP(parts[0][1])
    whole = IP(src=head.src, dst=head.dst, proto=head.proto, id=head.id, ttl=head.ttl)
    return judge(bytes(whole / Raw(payload)))


@given(st.data(), st.sampled_from(["udp", "ping"]))
def test_fragments_in_any_order_both_ways(draw: st.DataObject, kind: str) -> None:
    napt = make()
    payload = bytes(range(200))
    if kind == "udp":
        out = udp(A, 1000, SERVER, 80, payload, id=77)
        back = udp(SERVER, 80, OUTSIDE, 5000, payload, id=78)
    else:
        out = bytes(IP(src=A, dst=SERVER, id=77) / ICMP(id=1000) / payload)
        back = bytes(IP(src=SERVER, dst=OUTSIDE, id=78) / ICMP(type=0, id=5000) / payload)
    pieces = draw.draw(st.permutations(_fragments(out)))
    sent = [o for piece in pieces for o in napt.outbound(piece, 0.0).to_outside]
    assert {(o.destination, o.port) for o in sent} == {
        (number(SERVER), 80 if kind == "udp" else 5000)
    }
    whole = _together([o.packet for o in sent])
    assert (whole.src, whole.id) == (OUTSIDE, 77)
    if kind == "udp":
        assert whole.sport == 5000
    pieces = draw.draw(st.permutations(_fragments(back)))
    got = [i for piece in pieces for i in napt.inbound(piece, 0.0).to_inside]
    assert _together(got).dst == A
    assert balanced(napt)
    assert napt.waiting_fragments == 0


def test_fragments_are_hairpinned() -> None:
    napt = make()
    napt.outbound(udp(B, 2000, SERVER, 80), 0.0)
    pieces = _fragments(udp(A, 1000, OUTSIDE, 5000, bytes(100), id=5))
    got = [i for piece in reversed(pieces) for i in napt.outbound(piece, 0.0).to_inside]
    whole = _together(got)
    assert (whole.src, whole.sport, whole.dst, whole.dport) == (OUTSIDE, 5001, B, 2000)
    assert balanced(napt)


def test_a_later_fragment_without_a_hop_left_is_not_hairpinned() -> None:
    napt = make()
    napt.outbound(udp(B, 2000, SERVER, 80), 0.0)
    first, second, *_ = _fragments(udp(A, 1000, OUTSIDE, 5000, bytes(100), id=5))
    assert napt.outbound(first, 0.0).to_inside
    last_hop = IP(second)
    last_hop.ttl = 1
    del last_hop.chksum
    result = napt.outbound(bytes(last_hop), 0.0)
    assert drop_of(result).reason == "ttl-exceeded"
    assert result.to_inside == ()
    assert balanced(napt)


def test_fragments_of_a_refused_datagram_are_refused() -> None:
    napt = make()
    first, second, third, *_ = _fragments(udp(SERVER, 80, OUTSIDE, 5000, bytes(100), id=5))
    assert napt.inbound(second, 0.0) == ((), (), ())
    assert napt.waiting_fragments == 1
    reasons = [e.reason for e in events_of(napt.inbound(first, 0.0), Drop)]
    assert reasons == ["no-mapping", "fragment-of-dropped"]
    assert drop_of(napt.inbound(third, 0.0)).reason == "fragment-of-dropped"
    assert balanced(napt)


def test_waiting_fragments_time_out() -> None:
    napt = make()
    _, second, *_ = _fragments(udp(A, 1000, SERVER, 80, bytes(100), id=5))
    napt.outbound(second, 10.0)
    assert napt.next_timer() == 40.0
    assert napt.handle_timer(39.0).events == ()
    assert drop_of(napt.handle_timer(40.0)).reason == "fragment-timeout"
    assert napt.next_timer() is None
    assert balanced(napt)


def test_tiny_fragments_are_dropped() -> None:
    napt = make()
    tiny = IP(src=A, dst=SERVER, flags="MF", proto=6) / Raw(bytes(16))
    overlay = IP(src=A, dst=SERVER, frag=1, proto=6) / Raw(bytes(16))
    for packet in (tiny, overlay):
        assert drop_of(napt.outbound(bytes(packet), 0.0)).reason == "fragment-tiny"


def test_identifications_come_from_the_port_set() -> None:
    napt = make(identifications=PortSetIdentifications(RANGES))
    ids = [one_out(napt.outbound(udp(A, 1, SERVER, 2), 0.0)).id for _ in range(9)]
    assert ids == [*PORTS, PORTS[0]]
    atomic = udp(A, 1, SERVER, 2, flags="DF", id=4242)
    assert one_out(napt.outbound(atomic, 0.0)).id == 4242
    pieces = _fragments(udp(A, 1, SERVER, 2, bytes(100), id=7))
    sent = [o.packet for piece in reversed(pieces) for o in napt.outbound(piece, 0.0).to_outside]
    assert _together(sent).id == PORTS[1]
    assert {parse_ipv4(p).identification for p in sent} == {PORTS[1]}
