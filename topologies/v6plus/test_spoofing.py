"""Forged sources end at the BR, each with its own reason (RFC 7597 section 8.1)."""

from __future__ import annotations

import socket

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

from testbed.events import Drop, MappingCreated
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.v6plus.support import CE_ADDRESS, wire
from topologies.v6plus.topology import BR_ADDRESS, SHARED_IPV4, WWW

pytestmark = pytest.mark.needs("tun", "tshark")

_IPPROTO_RAW = 255

_FORGERIES = {
    "source-port-mismatch": (CE_ADDRESS["b"], SHARED_IPV4, 5232),
    "source-address-mismatch": (CE_ADDRESS["b"], "106.72.99.99", 6944),
    "source-outside-domain": ("2001:db8:b::2", SHARED_IPV4, 6944),
    "source-iid-mismatch": ("240b:10:1234:b200::1", SHARED_IPV4, 6944),
}


@pytest.mark.parametrize("reason", _FORGERIES)
def test_a_forged_source_is_dropped_with_its_reason(
    lab: ScenarioLab, evidence: Evidence, reason: str
) -> None:
    """Home B's line sends tunnelled packets with a source that is not its own."""
    outer, inner, port = _FORGERIES[reason]
    packet = (
        IPv6(src=outer, dst=BR_ADDRESS)
        / IP(src=inner, dst=WWW)
        / UDP(sport=port, dport=9999)
        / b"forged"
    )
    with (
        lab.capture("br:vne", "www:eth0") as capture,
        lab.socket("ce-b", socket.AF_INET6, socket.SOCK_RAW, _IPPROTO_RAW) as line,
    ):
        line.sendto(bytes(packet), (BR_ADDRESS, 0))
        lab.wait_for(lambda _: bool(lab.drops(node="br", reason=reason)), f"the drop {reason}")
    (drop,) = lab.drops(node="br", reason=reason)
    evidence.text("The drop", str(drop))
    assert drop.clause is not None
    assert "RFC 7597" in drop.clause
    at_br = wire(
        capture.path, "udp.dstport == 9999", "frame.interface_name", "ip.src", "frame.comment"
    )
    evidence.table("On the wire", ["interface", "IPv4 source", "comment"], at_br)
    assert len(at_br) == 1, at_br
    interface, source, comment = at_br[0]
    assert (interface, source) == ("br/vne", inner)
    assert reason in comment, "the capture tells Wireshark's user why the packet died"


def test_the_true_source_passes(lab: ScenarioLab) -> None:
    """The same packet with home B's own address and port arrives: the check is no blanket drop."""
    packet = (
        IPv6(src=CE_ADDRESS["b"], dst=BR_ADDRESS)
        / IP(src=SHARED_IPV4, dst=WWW)
        / UDP(sport=6944, dport=9999)
        / b"genuine"
    )
    with (
        lab.socket("www") as server,
        lab.socket("ce-b", socket.AF_INET6, socket.SOCK_RAW, _IPPROTO_RAW) as line,
    ):
        server.bind((WWW, 9999))
        server.settimeout(10)
        line.sendto(bytes(packet), (BR_ADDRESS, 0))
        data, source = server.recvfrom(100)
    assert (data, source) == (b"genuine", (SHARED_IPV4, 6944))


def test_a_foreign_source_from_the_home_ends_at_the_ce(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """A host sends from an address that is not the home's: no mapping is made (BCP 38)."""
    packet = IP(src="10.1.1.1", dst=WWW) / UDP(sport=3333, dport=9999) / b"forged"
    with lab.socket("pc-a1", socket.AF_INET, socket.SOCK_RAW, _IPPROTO_RAW) as host:
        host.sendto(bytes(packet), (WWW, 0))
        lab.wait_for(lambda _: bool(lab.drops(node="ce-a")), "the CE's drop")
    (drop,) = lab.drops(node="ce-a")
    evidence.text("The drop", str(drop))
    assert drop.reason == "inside-source-foreign"
    mapped = [r for r in lab.events() if isinstance(r.event, MappingCreated) and r.node == "ce-a"]
    assert mapped == []


@pytest.mark.parametrize("to", ["127.0.0.1", "0.1.2.3", "224.0.0.9", "240.0.0.1"])
def test_a_destination_that_is_nobodys_is_dropped_with_its_reason(
    lab: ScenarioLab, to: str
) -> None:
    """Decapsulated, the BR's kernel would lose the packet without a word."""
    packet = (
        IPv6(src=CE_ADDRESS["b"], dst=BR_ADDRESS)
        / IP(src=SHARED_IPV4, dst=to)
        / UDP(sport=6944, dport=9999)
        / b"nobody"
    )
    with lab.socket("ce-b", socket.AF_INET6, socket.SOCK_RAW, _IPPROTO_RAW) as line:
        line.sendto(bytes(packet), (BR_ADDRESS, 0))
        lab.wait_for(lambda _: bool(_told(lab, to)), "the BR's drop")
    (drop,) = _told(lab, to)
    assert drop.reason == "invalid-destination"
    assert drop.clause == "RFC 1812 section 5.3.7"


def _told(lab: ScenarioLab, to: str) -> list[Drop]:
    return [drop for drop in lab.drops(node="br") if to in (drop.detail or "")]
