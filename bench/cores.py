"""What the CE and BR cores themselves cost, called in this process: no kernel, no system calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address

from bench.figures import Sample
from bench.section import Section, sample_json, with_spread
from bench.traffic import Flow, numbered, udp_packet
from testbed.components.mape.br import BorderRelay
from testbed.components.mape.br_config import BorderRelayConfig
from testbed.components.mape.calc import calculate, parse_prefix
from testbed.components.mape.ce import CustomerEdge
from testbed.components.mape.ce_config import CustomerEdgeConfig
from testbed.components.mape.tables import shipped_table
from testbed.components.packet.outcome import Outcome
from testbed.errors import TestbedError

FLOWS = 200
_TURNS = 25  # of all flows, in each round
_PC, _SERVER, _PORT, _FIRST_PORT = "192.168.1.11", "203.0.113.80", 9, 20_000
_BR = IPv6Address("2404:9200:225:100::64")
_LAN = IPv4Address("192.168.1.1")
_PREFIX = parse_prefix("240b:10:1234:4700::/56")

Receive = Callable[[bytes, float], Outcome]


class CoreError(TestbedError):
    """A core did not pass a packet on."""


def run(rounds: int) -> Section:
    """Measure; raises CoreError if any packet is not passed on."""
    edge, relay = _edge(), _relay()
    up = [
        udp_packet(Flow(_PC, _FIRST_PORT + number, _SERVER, _PORT), numbered(number))
        for number in range(FLOWS)
    ]
    new = Sample.of([_cost(_edge().receive, up, 1) for _ in range(rounds)])
    tunnelled = _passed_on(edge.receive, up)
    outside = _passed_on(relay.receive, tunnelled)
    back = [_answer(packet) for packet in outside]
    towards_home = _passed_on(relay.receive, back)
    if [packet[28:] for packet in _passed_on(edge.receive, towards_home)] != [p[28:] for p in up]:
        raise CoreError("what came back is not what was sent")
    steps = {
        "CE, up": (edge.receive, up),
        "BR, up": (relay.receive, tunnelled),
        "BR, down": (relay.receive, back),
        "CE, down": (edge.receive, towards_home),
    }
    values: dict[str, list[float]] = {step: [] for step in steps}
    for _ in range(rounds):
        for step, (receive, packets) in steps.items():
            values[step].append(_cost(receive, packets, _TURNS))
    samples = {step: Sample.of(found) for step, found in values.items()}
    return judge(samples | {"CE, up, the first packet of a flow": new})


def judge(samples: dict[str, Sample]) -> Section:
    """The figures (microseconds) as a table; pure."""
    return Section(
        title="The MAP-E cores alone",
        about=f"CPU time of `core.receive(packet, now)` in one process, 64-byte UDP frames of "
        f"{FLOWS} flows; median of the rounds (smallest-largest).",
        table=(("", "µs/packet"), *((step, with_spread(s)) for step, s in samples.items())),
        data={"microseconds": {step: sample_json(sample) for step, sample in samples.items()}},
    )


def _edge() -> CustomerEdge:
    shipped = shipped_table("v6plus")
    rule = shipped.table.for_prefix(_PREFIX)
    parameters = calculate(_PREFIX, rule, iid=shipped.iid)
    return CustomerEdge(
        CustomerEdgeConfig(parameters=parameters, br=_BR, lan_address=_LAN, rules=shipped.table)
    )


def _relay() -> BorderRelay:
    shipped = shipped_table("v6plus")
    own = IPv4Address("198.51.100.1")
    return BorderRelay(
        BorderRelayConfig(address=_BR, ipv4_address=own, rules=shipped.table, iid=shipped.iid)
    )


def _passed_on(receive: Receive, packets: Sequence[bytes]) -> list[bytes]:
    """What comes out: exactly one packet for each."""
    out: list[bytes] = []
    for packet in packets:
        outcome = receive(packet, 0.0)
        if len(outcome.packets) != 1:
            raise CoreError(f"{len(outcome.packets)} packets for one, and {outcome.events}")
        out += outcome.packets
    return out


def _answer(packet: bytes) -> bytes:
    """The server's answer to a packet as it came out of the BR."""
    home = ".".join(str(byte) for byte in packet[12:16])
    port = int.from_bytes(packet[20:22], "big")
    return udp_packet(Flow(_SERVER, _PORT, home, port), packet[28:])


def _cost(receive: Receive, packets: Sequence[bytes], turns: int) -> float:
    """CPU microseconds for one packet."""
    begin = time.process_time_ns()
    for turn in range(turns):
        for packet in packets:
            receive(packet, turn)
    return (time.process_time_ns() - begin) / 1000 / turns / len(packets)
