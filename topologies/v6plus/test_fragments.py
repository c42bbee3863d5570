"""Fragmented UDP through the tunnel, both ways and out of order."""

from __future__ import annotations

import pytest

from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.v6plus.support import PSID, ports_of, wire
from topologies.v6plus.topology import SHARED_IPV4, WWW

pytestmark = pytest.mark.needs("tun", "tshark")


def test_fragmented_datagrams_cross_both_ways(lab: ScenarioLab, evidence: Evidence) -> None:
    """A 4000-byte datagram out and a 5000-byte answer back: every fragment finds its CE."""
    question, answer = bytes(range(250)) * 16, bytes(reversed(range(250))) * 20
    with (
        lab.capture("www:eth0", "br:vne", "ce-a:wan", expression="ip or ip6") as capture,
        lab.socket("www") as server,
        lab.socket("pc-a1") as client,
    ):
        server.bind((WWW, 7777))
        server.settimeout(10)
        client.settimeout(10)
        client.connect((WWW, 7777))
        client.send(question)
        data, (address, port) = server.recvfrom(65535)
        assert data == question
        assert address == SHARED_IPV4
        assert port in ports_of(PSID["a"])
        server.sendto(answer, (address, port))
        assert client.recv(65535) == answer
    fragments = wire(
        capture.path,
        "ip.flags.mf == 1 || ip.frag_offset > 0",
        *("frame.interface_name", "ip.src", "ip.dst", "ip.frag_offset", "ip.len"),
    )
    evidence.table(
        "Fragments", ["interface", "source", "destination", "offset", "length"], fragments
    )
    outward = [row for row in fragments if row[0] == "www/eth0" and row[1] == SHARED_IPV4]
    inward = [row for row in fragments if row[0] == "www/eth0" and row[2] == SHARED_IPV4]
    assert len(outward) >= 3
    assert len(inward) >= 4


def test_fragments_in_the_wrong_order_are_put_together(lab: ScenarioLab) -> None:
    """The last fragment of an answer comes first: it waits for the one that has the ports."""
    from scapy.layers.inet import IP, UDP, fragment

    with lab.socket("www") as server, lab.socket("pc-a2") as client:
        server.bind((WWW, 7778))
        server.settimeout(10)
        client.settimeout(10)
        client.connect((WWW, 7778))
        client.send(b"hello")
        _, (address, port) = server.recvfrom(100)
        payload = bytes(range(256)) * 10
        whole = IP(src=WWW, dst=address, id=4711) / UDP(sport=7778, dport=port) / payload
        pieces = fragment(whole, fragsize=1000)
        assert len(pieces) == 3
        with lab.socket("www", kind=3, protocol=255) as raw:  # SOCK_RAW, IPPROTO_RAW
            for piece in reversed(pieces):
                raw.sendto(bytes(piece), (address, 0))
        assert client.recv(65535) == payload
