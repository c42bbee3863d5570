"""The port set as a limit: exhaustion, and who may come in."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from testbed.errors import LabError
from testbed.events import PortsExhausted, Record
from testbed.model import Topology
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.v6plus.support import PSID, ports_of
from topologies.v6plus.topology import SHARED_IPV4, WWW, topology

pytestmark = pytest.mark.needs("tun", "nginx", "curl")

_FORWARD = 5233


@pytest.mark.capture(expression="udp port 7 or icmp or ip6")
def test_240_sessions_and_no_more(
    fresh_lab: Callable[[Topology], ScenarioLab], evidence: Evidence
) -> None:
    """A home has 240 UDP ports: session 241 is refused, the others live on, time brings it back."""
    idle = 4.0
    lab = fresh_lab(topology(ce_a={"timeouts": {"udp": idle}}))
    with lab.socket("www") as server:
        server.bind((WWW, 7))
        server.setblocking(False)
        clients = [lab.socket("pc-a1") for _ in range(241)]
        for client in clients:
            client.connect((WWW, 7))

        def ask(some: list[socket.socket], patience: float = 10.0) -> int:
            """How many of these clients get their echo.

            A few at a time: a burst of 240 may be more than the server's socket can hold.
            """
            return sum(ask_few(some[at : at + 40], patience) for at in range(0, len(some), 40))

        def ask_few(some: list[socket.socket], patience: float) -> int:
            with selectors.DefaultSelector() as ready:
                ready.register(server, selectors.EVENT_READ)
                for client in some:
                    client.setblocking(False)
                    ready.register(client, selectors.EVENT_READ)
                    with suppress(OSError):  # the ICMP error about an earlier packet
                        client.send(b"echo?")
                answered: set[int] = set()
                deadline = time.monotonic() + patience
                while len(answered) < len(some):
                    events = ready.select(max(0.0, deadline - time.monotonic()))
                    if not events:
                        break
                    for key, _ in events:
                        if key.fileobj is server:
                            data, (address, port) = server.recvfrom(100)
                            assert address == SHARED_IPV4
                            used.add(port)
                            server.sendto(data, (address, port))
                        else:
                            with suppress(OSError):
                                os.read(key.fd, 100)
                                answered.add(key.fd)
            return len(answered)

        used: set[int] = set()
        assert ask(clients[:240]) == 240
        assert used == ports_of(PSID["a"])

        refused = clients[240]
        refused.setblocking(True)
        refused.settimeout(10)
        with pytest.raises(OSError, match=r"No route to host|Permission denied|unreachable"):
            refused.send(b"echo?")
            refused.recv(100)
        lab.wait_for(_exhausted, "the exhaustion to be reported")
        assert ask(clients[:240]) == 240, "sessions that exist are left alone"

        for client in clients[:240]:
            client.close()
        deadline = time.monotonic() + 10 * idle
        while ask([refused], patience=0.5) == 0:
            assert time.monotonic() < deadline, "no port came back"
        refused.close()
    exhausted = [r.event for r in lab.events() if isinstance(r.event, PortsExhausted)]
    evidence.text("What the CE reported", "\n".join(str(event) for event in exhausted))
    assert {(event.in_use, event.size) for event in exhausted} == {(240, 240)}


def _exhausted(events: list[Record]) -> bool:
    return any(isinstance(record.event, PortsExhausted) for record in events)


def test_inbound_outside_the_set_ends_at_the_br(lab: ScenarioLab, evidence: Evidence) -> None:
    """A port that belongs to no CE (500, IKE) is dropped at the BR, with its reason."""
    with lab.socket("www") as outside:
        outside.sendto(b"hello", (SHARED_IPV4, 500))
    lab.wait_for(lambda _: bool(lab.drops(node="br", reason="port-unassigned")), "the BR's drop")
    (drop,) = lab.drops(node="br", reason="port-unassigned")
    evidence.text("The drop", str(drop))
    assert drop.packet is not None
    assert drop.packet.destination_port == 500
    assert not [one for one in lab.drops(node="ce-a") if one.packet and one.packet.length == 33]


def test_inbound_without_a_forward_ends_at_the_ce(lab: ScenarioLab, evidence: Evidence) -> None:
    """A port of home A's set that nobody uses reaches the CE, and is dropped there."""
    with lab.socket("www") as outside:
        outside.sendto(b"hello", (SHARED_IPV4, 5247))
    lab.wait_for(lambda _: bool(lab.drops(node="ce-a", reason="no-mapping")), "the CE's drop")
    (drop,) = lab.drops(node="ce-a", reason="no-mapping")
    evidence.text("The drop", str(drop))
    assert drop.packet is not None
    assert drop.packet.destination_port == 5247
    assert not lab.drops(node="ce-b")


def test_a_static_forward_lets_the_outside_in(
    fresh_lab: Callable[[Topology], ScenarioLab], evidence: Evidence
) -> None:
    """TCP 5233 forwarded to pc-a2 port 80: the outside reaches a server in the home."""
    forward = {"protocol": "tcp", "port": _FORWARD, "to": "192.168.1.12", "to_port": 80}
    lab = fresh_lab(topology(ce_a={"forwards": [forward]}))
    with lab.socket("pc-a2", kind=socket.SOCK_STREAM) as server:
        server.bind(("192.168.1.12", 80))
        server.listen()
        server.settimeout(10)
        with lab.socket("www", kind=socket.SOCK_STREAM) as visitor:
            visitor.settimeout(10)
            visitor.connect((SHARED_IPV4, _FORWARD))
            inside, (address, _) = server.accept()
            with inside:
                visitor.sendall(b"knock")
                assert inside.recv(100) == b"knock"
                inside.sendall(b"come in")
            assert visitor.recv(100) == b"come in"
    evidence.text("Who the server at home saw", address)
    assert address == WWW


def test_a_forward_outside_the_set_is_refused(
    fresh_lab: Callable[[Topology], ScenarioLab],
) -> None:
    """Port 500 is not in the set: the CE says so and does not start, and so the lab does not."""
    forward = {"protocol": "udp", "port": 500, "to": "192.168.1.12", "to_port": 500}
    with pytest.raises(LabError, match="500") as refused:
        fresh_lab(topology(ce_a={"forwards": [forward]}))
    assert "port set" in str(refused.value)
