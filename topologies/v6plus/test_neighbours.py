"""Homes that talk to each other: hairpin within one, mesh between two."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from testbed.model import Topology
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.v6plus.support import CE_ADDRESS, PSID, ports_of, wire
from topologies.v6plus.topology import BR_ADDRESS, SHARED_IPV4, topology

pytestmark = pytest.mark.needs("tun", "tshark")

_PORT_A, _PORT_B = 5240, 6944  # in the sets of PSID 71 and of PSID 178


def _forward(port: int) -> dict[str, object]:
    return {"protocol": "udp", "port": port, "to": "192.168.1.12", "to_port": 9000}


def _talk(lab: ScenarioLab, server: str, client: str, port: int) -> tuple[str, int]:
    """One question and answer; returns whom the server saw."""
    with lab.socket(server) as listening, lab.socket(client) as asking:
        listening.bind(("192.168.1.12", 9000))
        for one in (listening, asking):
            one.settimeout(10)
        asking.sendto(b"question", (SHARED_IPV4, port))
        data, seen = listening.recvfrom(100)
        assert data == b"question"
        listening.sendto(b"answer", seen)
        answer, source = asking.recvfrom(100)
        assert answer == b"answer"
        assert source == (SHARED_IPV4, port), "the answer comes from where the question went"
    address, number = seen
    assert isinstance(address, str)
    return address, int(number)


def test_hairpin_inside_one_home(
    fresh_lab: Callable[[Topology], ScenarioLab], evidence: Evidence
) -> None:
    """pc-a1 reaches pc-a2 through the home's own public address and port, inside the CE.

    RFC 4787 REQ-9: the server sees the external address, not 192.168.1.11.
    """
    lab = fresh_lab(topology(ce_a={"forwards": [_forward(_PORT_A)]}))
    with lab.capture("ce-a:wan") as capture:
        address, port = _talk(lab, "pc-a2", "pc-a1", _PORT_A)
    evidence.text("Who the server saw", f"{address}:{port}")
    assert address == SHARED_IPV4
    assert port in ports_of(PSID["a"])
    assert wire(capture.path, "udp && ip", "ip.src") == [], "nothing left the home"


def test_two_homes_talk_directly_past_the_br(
    fresh_lab: Callable[[Topology], ScenarioLab], evidence: Evidence
) -> None:
    """Home B reaches home A by the FMR: CE to CE over the NGN, not through the BR."""
    lab = fresh_lab(topology(ce_a={"forwards": [_forward(_PORT_A)]}))
    with lab.capture("ce-a:wan", "ce-b:wan", "br:vne") as capture:
        address, port = _talk(lab, "pc-a2", "pc-b1", _PORT_A)
    assert address == SHARED_IPV4
    assert port in ports_of(PSID["b"])
    seen = wire(capture.path, "udp && ip", "frame.interface_name", "ipv6.src", "ipv6.dst")
    evidence.table("Tunnelled packets", ["interface", "from", "to"], seen)
    there, back = (CE_ADDRESS["b"], CE_ADDRESS["a"]), (CE_ADDRESS["a"], CE_ADDRESS["b"])
    for interface in ("ce-a/wan", "ce-b/wan"):
        assert [row[1:] for row in seen if row[0] == interface] == [there, back]
    assert not [row for row in seen if row[0] == "br/vne"]


def test_without_mesh_the_br_passes_it_on(
    fresh_lab: Callable[[Topology], ScenarioLab], evidence: Evidence
) -> None:
    """Hub and spoke: the same packets go through the BR, which checks both ends."""
    lab = fresh_lab(
        topology(ce_a={"mesh": False, "forwards": [_forward(_PORT_A)]}, ce_b={"mesh": False})
    )
    with lab.capture("br:vne", "ce-b:wan") as capture:
        _talk(lab, "pc-a2", "pc-b1", _PORT_A)
    seen = wire(capture.path, "udp && ip", "frame.interface_name", "ipv6.src", "ipv6.dst")
    evidence.table("Tunnelled packets", ["interface", "from", "to"], seen)
    at_br = [row[1:] for row in seen if row[0] == "br/vne"]
    assert at_br == [
        (CE_ADDRESS["b"], BR_ADDRESS),
        (BR_ADDRESS, CE_ADDRESS["a"]),
        (CE_ADDRESS["a"], BR_ADDRESS),
        (BR_ADDRESS, CE_ADDRESS["b"]),
    ]


def test_a_socket_needs_no_forward_for_its_own_peer(
    fresh_lab: Callable[[Topology], ScenarioLab],
) -> None:
    """With endpoint-independent filtering a third party may answer to a mapping (RFC 4787)."""
    lab = fresh_lab(topology(ce_a={"filtering": "endpoint-independent"}))
    with (
        lab.socket("pc-a1") as inside,
        lab.socket("www") as first,
        lab.socket("iperf") as third,
        lab.socket("www", kind=socket.SOCK_DGRAM),
    ):
        first.bind(("203.0.113.80", 9001))
        for one in (inside, first):
            one.settimeout(10)
        inside.sendto(b"open", ("203.0.113.80", 9001))
        _, mapped = first.recvfrom(100)
        third.sendto(b"surprise", mapped)
        assert inside.recv(100) == b"surprise"
