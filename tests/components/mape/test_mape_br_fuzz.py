"""Whatever bytes come, the BR neither fails nor loses count."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.all import fuzz
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw
from scapy.utils import corrupt_bytes

from testbed.components.mape.br import BorderRelay
from testbed.components.mape.reasons import Reason
from testbed.events import Drop
from tests.components.mape.homes import (
    BR,
    ROUTER,
    SERVER,
    SHARED,
    WHOLE,
    A,
    echo,
    relay,
    tunnelled,
    udp_from,
    udp_to,
    wire,
)

SEEDS = [
    wire(udp_to(A)),
    wire(udp_to(A, 2000)),
    wire(udp_to(WHOLE)),
    wire(udp_to(A, 40, flags="MF", id=1)),
    wire(udp_to(A, 40, frag=5, id=1)),
    wire(IP(src=SERVER, dst=SHARED) / TCP(dport=A.port)),
    wire(echo(SERVER, SHARED, A.port)),
    wire(IP(src=SERVER, dst=SHARED) / ICMP(type=3, code=1) / udp_from(A)),
    tunnelled(A, udp_from(A)),
    tunnelled(WHOLE, udp_from(WHOLE)),
    tunnelled(A, udp_from(A, 40, flags="MF", id=1)),
    tunnelled(A, udp_from(A, 40, frag=5, id=1)),
    tunnelled(A, IP(src=SHARED, dst=SERVER) / ICMP(type=11) / udp_to(A)),
    wire(IPv6(src=A.ipv6, dst=BR) / IPv6ExtHdrFragment(nh=4, m=1, id=4) / Raw(bytes(64))),
    wire(IPv6(src=ROUTER, dst=BR) / ICMPv6PacketTooBig() / IPv6(src=BR, dst=A.ipv6) / udp_to(A)),
    wire(IPv6(src=ROUTER, dst=BR) / ICMPv6TimeExceeded() / IPv6(src=BR, dst=A.ipv6) / udp_to(A)),
]

CLAUSES = {reason.value: reason.clause for reason in Reason}


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sensible packet with a few bytes changed, cut or added; IPv4 checksums mostly right."""
    packet = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, min(len(packet), 110) - 1))
        packet[at] = draw(st.integers(0, 255))
    packet = packet[: draw(st.integers(1, len(packet)) | st.just(len(packet)))]
    packet += draw(st.binary(max_size=8))
    if draw(st.booleans()) or draw(st.booleans()):
        inner_at = 40 if packet[0] >> 4 == 6 else 0
        end = inner_at + (packet[inner_at] & 15) * 4 if inner_at < len(packet) else 0
        if inner_at + 20 <= end <= len(packet):
            packet[inner_at + 10 : inner_at + 12] = b"\0\0"
            head = bytes(packet[inner_at:end])
            total = sum(int.from_bytes(head[i : i + 2], "big") for i in range(0, len(head), 2))
            total = ~(total % 0xFFFF) & 0xFFFF
            packet[inner_at + 10 : inner_at + 12] = total.to_bytes(2, "big")
    return bytes(packet)


def take(br: BorderRelay, packet: bytes, now: float) -> int:
    """Give the BR a packet; everything must end somewhere.  Returns how many drops it told of."""
    before = br.counters()["waiting"]
    outcome = br.receive(packet, now)
    drops = [event for event in outcome.events if isinstance(event, Drop)]
    held = br.counters()["waiting"] > before
    assert outcome.packets or outcome.events or held, "a packet vanished"
    for sent in outcome.packets:
        assert sent[0] >> 4 in {4, 6}
    for drop in drops:
        assert CLAUSES[drop.reason] == drop.clause
        assert drop.reason != "internal-error"
    return len(drops)


def dropped(br: BorderRelay) -> int:
    return sum(n for name, n in br.counters().items() if name.startswith("drop."))


@given(st.lists(mutated() | st.binary(max_size=120), max_size=20), st.booleans())
@settings(max_examples=400, deadline=None)
def test_mutated_packets(packets: list[bytes], check: bool) -> None:
    br = relay(source_check=check, most_fragments=8)
    drops = sum(take(br, packet, float(number)) for number, packet in enumerate(packets))
    assert dropped(br) == drops
    drops += len(br.handle_timer(1e9).events)
    assert dropped(br) == drops
    assert br.counters()["waiting"] == 0
    assert br.counters()["received"] == len(packets)
    assert br.next_timer() is None


def test_scapy_fuzzed_packets() -> None:
    """scapy's own fuzzing: random values in random fields, and corrupted bytes."""
    br = relay()
    layers: list[Any] = [
        IP(src=SERVER, dst=SHARED) / fuzz(UDP()),
        IP(src=SERVER, dst=SHARED) / fuzz(TCP()),
        IP(src=SERVER, dst=SHARED) / fuzz(ICMP()) / Raw(wire(udp_from(A))),
        fuzz(IP(src=SERVER, dst=SHARED)) / UDP(dport=A.port),
        IPv6(src=A.ipv6, dst=BR, nh=4) / fuzz(IP(src=SHARED)) / UDP(sport=A.port),
        IPv6(src=A.ipv6, dst=BR) / fuzz(IPv6ExtHdrFragment(nh=4)) / Raw(bytes(80)),
        fuzz(IPv6(dst=BR)) / udp_from(A),
    ]
    total = drops = 0
    for _ in range(120):
        for layer in layers:
            packet = wire(layer)
            drops += take(br, packet, float(total))
            drops += take(br, corrupt_bytes(packet, n=3), float(total))
            total += 2
    assert dropped(br) == drops
    assert br.counters()["received"] == total
    assert drops > total / 4
