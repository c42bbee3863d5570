"""The tunnel MTU, and what ICMPv6 errors about tunnel packets lead to (RFC 2473 sections 7, 8)."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, defragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrFragment,
    defragment6,
)
from scapy.packet import Packet, Raw
from scapy.utils import checksum as scapy_checksum

from testbed.components.mape.path_mtu import FORGET_AFTER, PathMtuCache
from testbed.components.packet.outcome import Outcome
from testbed.events import Drop, Note
from tests.components.mape.homes import (
    BR,
    BR_IPV4,
    ROUTER,
    SERVER,
    SHARED,
    A,
    B,
    echo,
    inside,
    only_drop,
    only_packet,
    relay,
    udp_to,
    wire,
)


def sized(total: int, **ip: Any) -> Packet:
    """A datagram for home A of this many bytes."""
    return udp_to(A, total - 28, **ip)


def answered(outcome: Outcome) -> Packet:
    """The one ICMP error of an outcome, its checksums judged by scapy."""
    (packet,) = outcome.packets
    error = IP(packet)
    again = IP(packet)
    del again.chksum, again[ICMP].chksum
    assert wire(again) == packet
    return error


def test_up_to_1460_bytes_fit() -> None:
    sent = only_packet(relay().receive(wire(sized(1460, flags="DF")), 0.0))
    assert len(sent) == 1500
    inside(sent, A)


def test_a_bigger_packet_with_df_is_answered_with_the_tunnel_mtu() -> None:
    br = relay()
    packet = wire(sized(1461, flags="DF"))
    outcome = br.receive(packet, 0.0)
    error = answered(outcome)
    assert (error.src, error.dst) == (BR_IPV4, SERVER)
    assert (error[ICMP].type, error[ICMP].code, error[ICMP].nexthopmtu) == (3, 4, 1460)
    assert error.original[28:] == packet[:548]
    (drop,) = outcome.events
    assert isinstance(drop, Drop)
    assert (drop.reason, drop.detail) == ("too-big", "1461 bytes, tunnel MTU 1460")
    assert br.counters()["answered"] == 1


@pytest.mark.parametrize(
    "packet",
    [
        IP(src=SERVER, dst=SHARED, flags="DF")
        / ICMP(type=3, code=3)
        / IP(src=SHARED, dst=SERVER)
        / UDP(sport=A.port)
        / Raw(bytes(1500)),
    ],
)
def test_an_icmp_error_is_not_answered_with_another(packet: Packet) -> None:
    assert only_drop(relay().receive(wire(packet), 0.0)).reason == "too-big"


def test_without_df_the_packet_is_cut_before_encapsulation() -> None:
    outcome = relay().receive(wire(sized(3000, id=5)), 0.0)
    assert outcome.events == ()
    assert [len(packet) for packet in outcome.packets] == [1500, 1500, 40 + 3000 - 2 * 1440]
    (whole,) = defragment([inside(packet, A) for packet in outcome.packets])
    assert wire(whole) == wire(sized(3000, id=5))


def test_without_df_the_outer_packet_is_cut_where_configured() -> None:
    br = relay(outer_fragments=True)
    numbers = set()
    for _ in range(2):
        packets = br.receive(wire(sized(3000, id=5)), 0.0).packets
        fragments = [IPv6(packet) for packet in packets]
        assert all(len(packet) <= 1500 for packet in packets)
        numbers |= {fragment[IPv6ExtHdrFragment].id for fragment in fragments}
        whole = defragment6(fragments)
        assert wire(inside(wire(whole), A)) == wire(sized(3000, id=5))
    assert len(numbers) == 2


def test_broken_options_in_a_packet_to_be_cut() -> None:
    datagram = wire(UDP(sport=1, dport=A.port) / Raw(bytes(1500)))
    option = b"\x83\x09\0\0"  # claims nine bytes where there are four
    packet = bytearray(
        wire(IP(src=SERVER, dst=SHARED, ihl=6, proto=17, chksum=0) / Raw(option + datagram))
    )
    packet[10:12] = scapy_checksum(bytes(packet[:24])).to_bytes(2, "big")
    drop = only_drop(relay().receive(bytes(packet), 0.0))
    assert (drop.reason, drop.detail) == ("malformed", "IPv4 option length")


def about(quoted: bytes, error: Packet, **outer: Any) -> bytes:
    """An ICMPv6 error from a router on the way that quotes ``quoted``."""
    fields = {"src": ROUTER, "dst": BR} | outer
    return wire(IPv6(**fields) / error / Raw(quoted[:1232]))


def test_packet_too_big_lowers_the_path_mtu_and_is_relayed() -> None:
    br = relay()
    packet = wire(sized(1400, flags="DF"))
    sent = only_packet(br.receive(packet, 0.0))
    outcome = br.receive(about(sent, ICMPv6PacketTooBig(mtu=1400)), 1.0)
    error = answered(outcome)
    assert (error.src, error.dst) == (BR_IPV4, SERVER)
    assert (error[ICMP].type, error[ICMP].code, error[ICMP].nexthopmtu) == (3, 4, 1360)
    assert error.original[28:] == packet[:548]
    (note,) = outcome.events
    assert isinstance(note, Note)
    assert "1400" in note.text

    # From now on the BR knows by itself, for this CE only.
    assert answered(br.receive(packet, 2.0))[ICMP].nexthopmtu == 1360
    assert only_packet(br.receive(wire(udp_to(B, 1372, flags="DF")), 2.0))
    assert len(br.receive(wire(sized(1400)), 2.0).packets) == 2
    # The same news again is no news; ten minutes later all is forgotten.
    again = br.receive(about(sent, ICMPv6PacketTooBig(mtu=1400)), 3.0)
    assert only_drop(again).reason == "icmpv6-ignored"
    assert br.next_timer() == 1.0 + FORGET_AFTER
    br.handle_timer(1.0 + FORGET_AFTER)
    assert br.next_timer() is None
    assert only_packet(br.receive(packet, 1.0 + FORGET_AFTER))


def test_packet_too_big_without_df_only_teaches() -> None:
    br = relay()
    sent = only_packet(br.receive(wire(sized(1400)), 0.0))
    outcome = br.receive(about(sent, ICMPv6PacketTooBig(mtu=1300)), 0.0)
    assert outcome.packets == ()
    assert [type(event) for event in outcome.events] == [Note]
    pieces = br.receive(wire(sized(1400, id=3)), 0.0).packets
    assert max(len(piece) for piece in pieces) <= 1300
    assert len(pieces) == 2


def test_a_path_mtu_never_falls_below_the_ipv6_minimum() -> None:
    br = relay()
    sent = only_packet(br.receive(wire(sized(1400, flags="DF")), 0.0))
    error = answered(br.receive(about(sent, ICMPv6PacketTooBig(mtu=68)), 0.0))
    assert error[ICMP].nexthopmtu == 1240


def test_path_mtu_discovery_can_be_off() -> None:
    br = relay(path_mtu_discovery=False)
    sent = only_packet(br.receive(wire(sized(1400, flags="DF")), 0.0))
    drop = only_drop(br.receive(about(sent, ICMPv6PacketTooBig(mtu=1300)), 0.0))
    assert drop.reason == "icmpv6-ignored"
    assert only_packet(br.receive(wire(sized(1400, flags="DF")), 0.0))


@pytest.mark.parametrize(
    "error",
    [
        ICMPv6DestUnreach(code=0),
        ICMPv6DestUnreach(code=3),
        ICMPv6TimeExceeded(code=0),
        ICMPv6ParamProblem(code=1),
    ],
    ids=["no route", "address unreachable", "hop limit", "parameter"],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda: udp_to(A),
        lambda: IP(src=SERVER, dst=SHARED) / TCP(sport=80, dport=A.port, flags="S"),
        lambda: echo(SERVER, SHARED, A.port),
    ],
    ids=["UDP", "TCP", "echo"],
)
def test_other_errors_become_host_unreachable(error: Packet, make: Any) -> None:
    br = relay()
    packet = wire(make())
    sent = only_packet(br.receive(packet, 0.0))
    outcome = br.receive(about(sent, error), 0.0)
    assert outcome.events == ()
    told = answered(outcome)
    assert (told.src, told.dst) == (BR_IPV4, SERVER)
    assert (told[ICMP].type, told[ICMP].code) == (3, 1)
    assert told.original[28:] == packet


def test_an_error_about_an_outer_first_fragment_is_relayed() -> None:
    br = relay(outer_fragments=True)
    first, second, *_ = br.receive(wire(sized(3000)), 0.0).packets
    told = answered(br.receive(about(first, ICMPv6DestUnreach(code=0)), 0.0))
    assert (told.dst, told[ICMP].code) == (SERVER, 1)
    drop = only_drop(br.receive(about(second, ICMPv6DestUnreach(code=0)), 0.0))
    assert drop.reason == "icmpv6-unreportable"


def test_icmp_errors_have_a_rate_limit_and_the_drops_stay_told() -> None:
    br = relay(icmp_per_second=2, icmp_burst=3)
    packet = wire(sized(1461, flags="DF"))
    outcomes = [br.receive(packet, 0.0) for _ in range(5)]
    assert [len(outcome.packets) for outcome in outcomes] == [1, 1, 1, 0, 0]
    for outcome in outcomes:
        (drop,) = outcome.events
        assert isinstance(drop, Drop)
        assert drop.reason == "too-big"
    assert len(br.receive(packet, 0.5).packets) == 1  # one more after half a second, at 2 a second
    assert br.receive(packet, 0.5).packets == ()
    counters = br.counters()
    assert (counters["drop.too-big"], counters["answered"], counters["unanswered"]) == (7, 4, 3)


def test_the_usual_limit_is_100_errors_at_once() -> None:
    br = relay()
    packet = wire(sized(1461, flags="DF"))
    assert sum(len(br.receive(packet, 0.0).packets) for _ in range(150)) == 100


def test_errors_relayed_from_the_tunnel_share_the_limit() -> None:
    br = relay(icmp_per_second=1, icmp_burst=1)
    sent = only_packet(br.receive(wire(udp_to(A)), 0.0))
    answered(br.receive(about(sent, ICMPv6DestUnreach(code=0)), 0.0))
    drop = only_drop(br.receive(about(sent, ICMPv6DestUnreach(code=0)), 0.0))
    assert drop.reason == "icmpv6-unreportable"
    assert drop.detail is not None
    assert drop.detail.endswith("the limit of ICMP errors is reached")
    # What a packet-too-big teaches is learnt all the same.
    big = wire(sized(1400, flags="DF"))
    sent = only_packet(br.receive(big, 0.0))
    outcome = br.receive(about(sent, ICMPv6PacketTooBig(mtu=1300)), 0.0)
    assert outcome.packets == ()
    assert [type(event) for event in outcome.events] == [Note]
    assert only_drop(br.receive(big, 0.0)).detail == "1400 bytes, tunnel MTU 1260"


def test_errors_that_cannot_be_about_our_packets() -> None:
    br = relay()
    cases = {
        "another sender": wire(IPv6(src=ROUTER, dst=A.ipv6, nh=4) / udp_to(A)),
        "no CE": wire(IPv6(src=BR, dst="2001:db8::5", nh=4) / udp_to(A)),
        "nearly a CE": wire(IPv6(src=BR, dst=A.ipv6[:-4] + "4800", nh=4) / udp_to(A)),
        "not for that CE": wire(IPv6(src=BR, dst=A.ipv6, nh=4) / udp_to(A, dst="106.72.0.2")),
        "no tunnel packet": wire(IPv6(src=BR, dst=A.ipv6) / UDP()),
    }
    for name, quoted in cases.items():
        for error in (ICMPv6DestUnreach(code=0), ICMPv6PacketTooBig(mtu=1280)):
            drop = only_drop(br.receive(about(quoted, error), 0.0))
            assert drop.reason == "icmpv6-unrelated", name
    assert br.next_timer() is None


def test_icmpv6_that_is_broken_or_of_no_use() -> None:
    br = relay()
    sent = only_packet(br.receive(wire(udp_to(A)), 0.0))
    bad = bytearray(about(sent, ICMPv6DestUnreach(code=0)))
    bad[-1] ^= 1
    assert only_drop(br.receive(bytes(bad), 0.0)).reason == "malformed"
    short = about(sent[:50], ICMPv6DestUnreach(code=0))
    assert only_drop(br.receive(short, 0.0)).reason == "malformed"
    for kind in (129, 133, 136, 137):
        other = wire(IPv6(src=ROUTER, dst=BR) / ICMPv6DestUnreach(type=kind) / Raw(bytes(24)))
        assert only_drop(br.receive(other, 0.0)).reason == "icmpv6-ignored"


def test_no_error_is_relayed_about_an_icmp_error() -> None:
    br = relay()
    inner = IP(src=SERVER, dst=SHARED) / ICMP(type=3, code=3) / IP(src=SHARED, dst=SERVER)
    inner = inner / UDP(sport=A.port)
    sent = only_packet(br.receive(wire(inner), 0.0))
    drop = only_drop(br.receive(about(sent, ICMPv6DestUnreach(code=0)), 0.0))
    assert drop.reason == "icmpv6-unreportable"


def test_packet_too_big_about_an_icmp_error_only_teaches() -> None:
    br = relay()
    inner = IP(src=SERVER, dst=SHARED, flags="DF") / ICMP(type=3, code=3)
    inner = inner / IP(src=SHARED, dst=SERVER) / UDP(sport=A.port) / Raw(bytes(1300))
    sent = only_packet(br.receive(wire(inner), 0.0))
    outcome = br.receive(about(sent, ICMPv6PacketTooBig(mtu=1300)), 0.0)
    assert outcome.packets == ()
    assert [type(event) for event in outcome.events] == [Note]


def test_an_echo_request_without_a_sender_is_not_answered() -> None:
    for source in ("::", "ff02::1"):
        request = wire(IPv6(src=source, dst=BR) / ICMPv6EchoRequest())
        assert only_drop(relay().receive(request, 0.0)).reason == "icmpv6-ignored"


def test_the_path_mtu_cache_is_bounded() -> None:
    cache = PathMtuCache(1500, most=3)
    for number in range(5):
        assert cache.learn(bytes([number] * 16), 1400, float(number))
    assert len(cache) == 3
    assert cache.get(bytes([0] * 16), 5.0) == 1500
    assert cache.get(bytes([4] * 16), 5.0) == 1400
    assert not cache.learn(bytes([4] * 16), 1450, 5.0)
    assert cache.next_timer() == 2.0 + FORGET_AFTER
    cache.expire(3.0 + FORGET_AFTER)
    assert len(cache) == 1
