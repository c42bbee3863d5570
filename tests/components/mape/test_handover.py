"""Packets that the kernel would lose in silence once decapsulated are drops with a reason."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPOption_LSRR, IPOption_NOP, IPOption_RR, IPOption_SSRR
from scapy.packet import Packet, Raw

from testbed.components.mape.reasons import Reason
from tests.components.mape import ce_home
from tests.components.mape.homes import (
    SERVER,
    WHOLE,
    A,
    Home,
    only_drop,
    only_packet,
    relay,
    tunnelled,
    udp_from,
    wire,
)
from tests.components.napt.helpers import udp


@pytest.mark.parametrize("home", [A, WHOLE])
@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    "to", ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.9", "239.1.1.1", "240.0.0.1"]
)
def test_up_to_an_address_no_router_forwards_to(home: Home, check: bool, to: str) -> None:
    packet = tunnelled(home, udp_from(home, dst=to))
    drop = only_drop(relay(source_check=check).receive(packet, 0.0))
    assert (drop.reason, drop.place) == ("invalid-destination", "tunnel ingress")
    assert drop.clause == Reason.INVALID_DESTINATION.clause
    assert drop.detail is not None
    assert to in drop.detail


def test_up_to_the_limited_broadcast_address() -> None:
    drop = only_drop(relay().receive(tunnelled(A, udp_from(A, dst="255.255.255.255")), 0.0))
    assert drop.reason == "invalid-destination"


@pytest.mark.parametrize(
    "options",
    [
        [IPOption_LSRR(routers=["198.51.100.7"])],
        [IPOption_SSRR(routers=["198.51.100.7"])],
        [IPOption_NOP(), IPOption_RR(routers=["0.0.0.0"]), IPOption_LSRR(routers=["192.0.2.1"])],
    ],
    ids=["loose", "strict", "after others"],
)
def test_up_with_a_source_route(options: list[Packet]) -> None:
    packet = tunnelled(A, udp_from(A, options=options))
    assert only_drop(relay().receive(packet, 0.0)).reason == "source-route"


@pytest.mark.parametrize(
    "options", [[IPOption_RR(routers=["0.0.0.0"])], [IPOption_NOP()] * 4], ids=["record", "nop"]
)
def test_up_other_options_pass(options: list[Packet]) -> None:
    inner = udp_from(A, options=options)
    assert only_packet(relay().receive(tunnelled(A, inner), 0.0)) == wire(inner)


@pytest.mark.parametrize("raw", [b"\x83", b"\x07\x00\x00\x00", b"\x44\x01\x83\x04"])
def test_up_broken_options_are_left_to_the_kernel_that_answers_them(raw: bytes) -> None:
    inner = udp_from(A)
    data = bytes(inner)
    head = bytearray(data[:20] + raw.ljust(4, b"\0"))
    head[0] = 0x46
    head[2:4] = (len(data) + 4).to_bytes(2, "big")
    total = sum(int.from_bytes(head[i : i + 2], "big") for i in range(0, 24, 2) if i != 10)
    head[10:12] = (0xFFFF - ((total & 0xFFFF) + (total >> 16))).to_bytes(2, "big")
    outcome = relay().receive(tunnelled(A, Raw(bytes(head) + data[20:])), 0.0)
    if raw == b"\x83":
        assert only_drop(outcome).reason == "source-route"  # cut off, and asked for all the same
    else:
        assert len(outcome.packets) == 1


def _error(ttl: int) -> Packet:
    quoted = IP(src=SERVER, dst=A.ipv4) / UDP(sport=443, dport=A.port)
    return IP(src=A.ipv4, dst=SERVER, ttl=ttl) / ICMP(type=3, code=3) / Raw(bytes(quoted))


@pytest.mark.parametrize("ttl", [0, 1])
def test_up_out_of_hops_and_nobody_may_be_told(ttl: int) -> None:
    drop = only_drop(relay().receive(tunnelled(A, _error(ttl)), 0.0))
    assert drop.reason == "ttl-unanswerable"
    assert drop.clause == Reason.TTL_UNANSWERABLE.clause


def test_up_out_of_hops_the_kernel_tells_the_sender() -> None:
    """So it gets the packet; and an ICMP error with a hop left goes on."""
    assert only_packet(relay().receive(tunnelled(A, udp_from(A, ttl=1)), 0.0))
    assert only_packet(relay().receive(tunnelled(A, _error(2)), 0.0))


def test_a_wrong_inner_checksum_is_malformed_at_both_ends() -> None:
    inner = udp_from(A, chksum=0x1234)
    drop = only_drop(relay().receive(tunnelled(A, inner), 0.0))
    assert (drop.reason, drop.detail) == ("malformed", "IPv4 header checksum")
    ce = ce_home.edge()
    broken = bytearray(udp(ce_home.WWW, 53, ce_home.SHARED, ce_home.FIRST_A))
    broken[10] ^= 1
    told = ce_home.drop_of(ce.receive(ce_home.tunnelled(bytes(broken)), 0.0))
    assert (told.reason, told.detail) == ("malformed", "IPv4 header checksum")


def test_the_ce_tells_of_them_too() -> None:
    ce = ce_home.edge()
    to = {"src": ce_home.WWW, "dst": ce_home.SHARED}
    routed = IP(**to, options=[IPOption_LSRR(routers=["192.168.1.10"])]) / UDP(dport=5232)
    quoted = IP(src=ce_home.SHARED, dst=ce_home.WWW) / UDP(sport=5232, dport=53)
    error = IP(**to, ttl=1) / ICMP(type=3, code=3) / Raw(bytes(quoted))
    for packet, reason in ((routed, "source-route"), (error, "ttl-unanswerable")):
        outcome = ce.receive(ce_home.tunnelled(bytes(packet)), 0.0)
        assert outcome.packets == ()
        drop = ce_home.drop_of(outcome)
        assert (drop.reason, drop.component) == (reason, "mape-ce")
    assert ce_home.accounted(ce)
