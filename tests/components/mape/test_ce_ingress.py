"""Whose packets the CE takes from the inside (BCP 38): the home's, and nobody else's."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.packet import Raw

from testbed.components.mape.reasons import Reason
from testbed.events import Drop
from tests.components.mape.ce_home import (
    CE_A,
    FIRST_A,
    LAN,
    PC,
    SHARED,
    WWW,
    accounted,
    drop_of,
    edge,
    one_inside,
    one_tunnelled,
    swapped,
    tunnelled,
)
from tests.components.napt.helpers import ping, tcp, udp

LAN_24 = (IPv4Network("192.168.1.0/24"),)


@pytest.mark.parametrize(
    "source",
    ["10.1.1.1", "192.168.2.1", "192.168.0.255", WWW, SHARED, "127.0.0.1", "0.0.0.0", "224.0.0.1"],
)
def test_a_foreign_source_is_one_drop_and_takes_no_port(source: str) -> None:
    ce = edge(lan_prefixes=LAN_24)
    for number, packet in enumerate(
        (udp(source, 9, WWW, 53), tcp(source, 9, WWW, 80), ping(source, WWW, 9)), start=1
    ):
        outcome = ce.receive(packet, 0.0)
        assert outcome.packets == ()
        (drop,) = outcome.events
        assert isinstance(drop, Drop)
        assert drop.reason == "inside-source-foreign"
        assert (drop.component, drop.place) == ("mape-ce", "inside ingress")
        assert drop.clause == Reason.INSIDE_SOURCE_FOREIGN.clause
        assert drop.detail == f"source {source}"
        assert drop.packet is not None
        assert (drop.packet.source, drop.packet.destination) == (source, WWW)
        assert ce.counters()["drop.inside-source-foreign"] == number
    assert ce.mappings(0.0) == ()
    assert accounted(ce)


@pytest.mark.parametrize("source", [PC, LAN, "192.168.1.0", "192.168.1.255"])
def test_a_source_of_the_home_passes(source: str) -> None:
    """The CE's own kernel sends with its address inside."""
    ce = edge(lan_prefixes=LAN_24)
    _, inner = one_tunnelled(ce.receive(udp(source, 9, WWW, 53), 0.0))
    assert (inner.src, inner.sport) == (SHARED, FIRST_A)


def test_any_of_several_prefixes_will_do() -> None:
    ce = edge(lan_prefixes=(*LAN_24, IPv4Network("198.51.100.8/29")))
    one_tunnelled(ce.receive(udp("198.51.100.15", 9, WWW, 53), 0.0))
    assert drop_of(ce.receive(udp("198.51.100.16", 9, WWW, 53), 0.0)).reason == (
        "inside-source-foreign"
    )


@pytest.mark.parametrize(
    ("inside", "foreign"),
    [
        ("10.255.255.255", "11.0.0.0"),
        ("172.16.0.0", "172.15.255.255"),
        ("172.31.255.255", "172.32.0.0"),
        ("192.168.0.0", "192.167.255.255"),
        ("100.64.0.0", "100.63.255.255"),
        ("100.127.255.255", "100.128.0.0"),
        ("192.0.0.7", "192.0.0.8"),
    ],
)
def test_private_addresses_are_the_home_unless_told(inside: str, foreign: str) -> None:
    ce = edge()
    one_tunnelled(ce.receive(udp(inside, 9, WWW, 53), 0.0))
    assert drop_of(ce.receive(udp(foreign, 9, WWW, 53), 0.0)).reason == "inside-source-foreign"


def test_our_own_address_is_never_inside() -> None:
    ce = edge(lan_prefixes=(IPv4Network("0.0.0.0/0"),))
    one_tunnelled(ce.receive(udp("198.51.100.1", 9, WWW, 53), 0.0))
    assert drop_of(ce.receive(udp(SHARED, 9, WWW, 53), 0.0)).reason == "inside-source-foreign"


def test_forged_sources_do_not_use_the_ports_up() -> None:
    ce = edge(lan_prefixes=LAN_24)
    for number in range(300):
        assert ce.receive(udp(f"10.1.{number >> 8}.{number & 255}", 9, WWW, 53), 0.0).packets == ()
    assert ce.counters()["drop.inside-source-foreign"] == 300
    one_tunnelled(ce.receive(udp(PC, 9, WWW, 53), 0.0))
    assert len(ce.mappings(0.0)) == 1


def test_an_answer_the_kernel_leads_back_into_the_device_ends_there() -> None:
    """A forged source that is in a prefix, but that no host has: its answer comes back to us."""
    ce = edge()
    outer, _ = one_tunnelled(ce.receive(udp("10.1.1.1", 9, WWW, 53), 0.0))
    answer = ce.receive(tunnelled(udp(WWW, 53, SHARED, FIRST_A), **swapped(outer)), 0.0)
    assert one_inside(answer).dst == "10.1.1.1"
    assert drop_of(ce.receive(answer.packets[0], 0.0)).reason == "inside-source-foreign"
    assert len(ce.mappings(0.0)) == 1
    assert accounted(ce)


def test_fragments_are_refused_one_by_one() -> None:
    ce = edge(lan_prefixes=LAN_24)
    pieces = fragment(IP(src="10.1.1.1", dst=WWW, id=7) / UDP(sport=9) / Raw(bytes(3000)), 1400)
    assert len(pieces) == 3
    for piece in pieces:
        assert drop_of(ce.receive(bytes(piece), 0.0)).reason == "inside-source-foreign"
    assert ce.counters()["waiting"] == 0
    assert ce.next_timer() is None


def test_what_comes_from_the_tunnel_may_have_any_source() -> None:
    ce = edge(lan_prefixes=LAN_24)
    ce.receive(tcp(PC, 9, WWW, 80), 0.0)
    answer = bytes(IP(src=WWW, dst=SHARED) / TCP(sport=80, dport=FIRST_A, flags="SA"))
    assert one_inside(ce.receive(tunnelled(answer, destination=CE_A), 0.0)).src == WWW


def test_a_header_that_is_cut_off_is_malformed() -> None:
    ce = edge(lan_prefixes=LAN_24)
    assert drop_of(ce.receive(udp("10.1.1.1", 9, WWW, 53)[:19], 0.0)).reason == "malformed"
