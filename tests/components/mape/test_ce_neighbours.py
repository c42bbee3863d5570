"""The CE core and the other homes of its domain: reached directly, believed as the rules allow."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from testbed.components.mape.ce_config import Forward
from testbed.components.packet.ipv4 import parse_ipv4
from testbed.components.packet.transport import UDP as UDP_NUMBER
from tests.components.mape.ce_home import (
    BR,
    CE_A,
    CE_B,
    FIRST_A,
    FIRST_B,
    PC,
    PC2,
    SHARED,
    accounted,
    drop_of,
    edge,
    one_inside,
    one_tunnelled,
    tunnelled,
)
from tests.components.napt.helpers import error, udp

# Mesh


def test_another_home_is_reached_directly() -> None:
    a, b = edge("a"), edge("b", forwards=(Forward(UDP_NUMBER, FIRST_B + 1, IPv4Address(PC2), 9),))
    sent = a.receive(udp(PC, 1000, SHARED, FIRST_B + 1), 0.0)
    outer, _ = one_tunnelled(sent)
    assert (outer.src, outer.dst) == (CE_A, CE_B)
    got = one_inside(b.receive(sent.packets[0], 0.0))
    assert (got.src, got.sport, got.dst, got.dport) == (SHARED, FIRST_A, PC2, 9)
    answer = b.receive(udp(PC2, 9, SHARED, FIRST_A), 0.0)
    outer, _ = one_tunnelled(answer)
    assert (outer.src, outer.dst) == (CE_B, CE_A)
    back = one_inside(a.receive(answer.packets[0], 0.0))
    assert (back.dst, back.dport) == (PC, 1000)
    # An ICMP error finds its way by the port in the packet it quotes.
    refused = b.receive(error(PC2, SHARED, bytes(got)), 0.0)
    outer, _ = one_tunnelled(refused)
    assert (outer.src, outer.dst) == (CE_B, CE_A)
    told = one_inside(a.receive(refused.packets[0], 0.0))
    assert (told.dst, told[ICMP].type) == (PC, 3)
    # It quotes what the host had sent, but for the identification, which home A had changed.
    quoted = bytes(told[ICMP].payload)
    assert parse_ipv4(quoted).identification == FIRST_A
    assert _without_identification(quoted) == _without_identification(
        udp(PC, 1000, SHARED, FIRST_B + 1)
    )


def _without_identification(packet: bytes) -> bytes:
    return packet[:4] + packet[6:10] + packet[12:]


def test_fragments_go_directly_too() -> None:
    a, b = edge("a"), edge("b", forwards=(Forward(UDP_NUMBER, FIRST_B + 1, IPv4Address(PC2), 9),))
    pieces = [bytes(f) for f in IP(udp(PC, 1, SHARED, FIRST_B + 1, bytes(4000))).fragment(1480)]
    sent = [p for piece in pieces for p in a.receive(piece, 0.0).packets]
    assert {(IPv6(p).src, IPv6(p).dst) for p in sent} == {(CE_A, CE_B)}
    got = [p for one in sent for p in b.receive(one, 0.0).packets]
    assert sum(len(p) - 20 for p in got) == 4008
    assert accounted(a)
    assert accounted(b)


def test_without_mesh_everything_goes_to_the_br() -> None:
    ce = edge(mesh=False)
    outer, _ = one_tunnelled(ce.receive(udp(PC, 1000, SHARED, FIRST_B + 1), 0.0))
    assert outer.dst == BR
    drop = drop_of(ce.receive(tunnelled(udp(SHARED, FIRST_B, SHARED, FIRST_A), source=CE_B), 0.0))
    assert drop.reason == "source-outside-domain"


def test_a_port_of_the_domain_that_nobody_owns_goes_to_the_br() -> None:
    outer, _ = one_tunnelled(edge().receive(udp(PC, 1000, SHARED, 500), 0.0))
    assert outer.dst == BR


FORGED = {
    "source-port-mismatch": (CE_B, SHARED, FIRST_A),
    "source-address-mismatch": (CE_B, "106.72.99.99", FIRST_B),
    "source-outside-domain": ("2001:db8:b::2", SHARED, FIRST_B),
    "source-iid-mismatch": ("240b:10:1234:b200::1", SHARED, FIRST_B),
}


@pytest.mark.parametrize("reason", FORGED)
def test_a_forged_neighbour_is_refused(reason: str) -> None:
    source, ipv4, port = FORGED[reason]
    forwards = (Forward(UDP_NUMBER, FIRST_A, IPv4Address(PC), 9),)
    ce = edge(forwards=forwards)
    packet = tunnelled(udp(ipv4, port, SHARED, FIRST_A), source=source)
    outcome = ce.receive(packet, 0.0)
    drop = drop_of(outcome)
    assert outcome.packets == ()
    assert (drop.reason, drop.place) == (reason, "tunnel ingress")
    assert drop.clause is not None
    assert "RFC 7597" in drop.clause
    assert "106.72" in str(drop.detail)
    assert accounted(ce)
    assert edge(forwards=forwards, source_check=False).receive(packet, 0.0).packets


@pytest.mark.parametrize(
    "reason", ["source-address-mismatch", "source-outside-domain", "source-iid-mismatch"]
)
def test_a_forged_later_fragment_is_refused(reason: str) -> None:
    source, ipv4, _ = FORGED[reason]
    later = bytes(IP(src=ipv4, dst=SHARED, frag=5, proto=17, id=3) / Raw(bytes(16)))
    assert drop_of(edge().receive(tunnelled(later, source=source), 0.0)).reason == reason


def test_what_comes_from_the_br_is_not_checked() -> None:
    """The BR has checked it (RFC 7597 section 8.1): hub and spoke between two homes."""
    ce = edge(forwards=(Forward(UDP_NUMBER, FIRST_A, IPv4Address(PC), 9),))
    assert ce.receive(tunnelled(udp(SHARED, FIRST_B, SHARED, FIRST_A)), 0.0).packets
