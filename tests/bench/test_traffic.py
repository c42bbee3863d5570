"""The packets of the plane benchmark are right, and none is lost or counted twice."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP

from bench.traffic import (
    PAYLOAD,
    Flow,
    LostPacketsError,
    Receiver,
    Sender,
    numbered,
    udp_packet,
)

ports = st.integers(1, 65535)
addresses = st.ip_addresses(v=4).map(str)


@given(st.builds(Flow, addresses, ports, addresses, ports), st.binary(max_size=40))
def test_packets_are_what_scapy_builds(flow: Flow, payload: bytes) -> None:
    judge = IP(src=flow.source, dst=flow.destination, id=0, ttl=64) / UDP(
        sport=flow.source_port, dport=flow.destination_port
    )
    assert udp_packet(flow, payload) == bytes(judge / payload)


def test_a_packet_makes_the_smallest_frame() -> None:
    packet = udp_packet(Flow("192.0.2.1", 1, "192.0.2.2", 2), numbered(3))
    assert len(numbered(3)) == PAYLOAD
    assert 14 + len(packet) + 4 == 64  # Ethernet header and checksum around it
    assert numbered(1) != numbered(257)


def _loopback() -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("127.0.0.1", 0))
    return one


@pytest.mark.needs_root
@pytest.mark.parametrize("sockets", [1, 3])
def test_a_window_arrives_whole(sockets: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("raw sockets need root")
    receivers = [_loopback() for _ in range(sockets)]
    targets = [one.getsockname()[1] for one in receivers]
    packets = [
        udp_packet(Flow("127.0.0.1", 9, "127.0.0.1", targets[number % sockets]), numbered(number))
        for number in range(300)
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        sender, receiver = Sender(raw, packets), Receiver(receivers)
        for _ in range(3):
            assert sender.send() == 300
            receiver.take(300)
        for one in receivers:  # nothing more than was sent
            with pytest.raises(BlockingIOError):
                one.recv(64, socket.MSG_DONTWAIT)
        sender.send()
        first = receivers[0].recv(64)
    assert first == numbered(0)
    for one in receivers:
        one.close()


def test_a_packet_that_does_not_come_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.traffic._PATIENCE_MS", 10)
    with _loopback() as one, _loopback() as other:
        if os.geteuid() != 0:
            monkeypatch.setattr("bench.traffic._SO_RCVBUFFORCE", socket.SO_RCVBUF)
        receiver = Receiver([one])
        for number in range(3):
            other.sendto(numbered(number), one.getsockname())
        with pytest.raises(LostPacketsError, match="1 packets did not arrive"):
            receiver.take(4)
