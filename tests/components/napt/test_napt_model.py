"""The engine against the whiteboard model, step by step, on generated histories."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.components.napt.engine import Napt
from testbed.components.napt.policy import Filtering, MappingBehaviour, Quota, Timeouts
from testbed.components.napt.ports import Endpoint, RangePortPool, Sequential
from testbed.components.napt.translation import Translation
from testbed.components.packet.transport import ICMP, TCP, UDP
from testbed.events import Drop, MappingCreated, MappingExpired
from tests.components.napt.helpers import (
    OTHER,
    OUTSIDE,
    POLICY,
    SERVER,
    A,
    B,
    balanced,
    make,
    number,
)
from tests.components.napt.reference import Reference, RefTimes

NUMBERS = {"tcp": TCP, "udp": UDP, "icmp": ICMP}
PORTS = [5000, 5001, 6000, 6001]
FLAG_BITS = {"F": 1, "S": 2, "R": 4, "A": 16}


def words_sum(data: bytes) -> int:
    """The checksum's sum, word by word, so that nothing of the engine judges itself."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def build(
    protocol: str, source: tuple[str, int], destination: tuple[str, int], flags: str = ""
) -> bytes:
    """A packet by hand.  For ``icmp``: ``flags`` says ``request`` or ``reply``."""
    s, d = number(source[0]), number(destination[0])
    if protocol == "tcp":
        bits = sum(FLAG_BITS[f] for f in flags)
        body = struct.pack("!HHIIBBHHH", source[1], destination[1], 1, 2, 0x50, bits, 99, 0, 0)
    elif protocol == "udp":
        body = struct.pack("!HHHH", source[1], destination[1], 12, 0) + b"body"
    else:
        kind, identifier = (8, source[1]) if flags == "request" else (0, destination[1])
        body = struct.pack("!BBHHH", kind, 0, 0, identifier, 1)
    pseudo = b"" if protocol == "icmp" else struct.pack("!IIHH", s, d, NUMBERS[protocol], len(body))
    at = {"tcp": 16, "udp": 6, "icmp": 2}[protocol]
    check = (words_sum(pseudo + body) ^ 0xFFFF) or 0xFFFF
    body = body[:at] + struct.pack("!H", check) + body[at + 2 :]
    head = struct.pack(
        "!BBHHHBBHII", 0x45, 0, 20 + len(body), 7, 0x4000, 64, NUMBERS[protocol], 0, s, d
    )
    check = words_sum(head) ^ 0xFFFF
    return head[:10] + struct.pack("!H", check) + head[12:] + body


def endpoints(packet: bytes) -> tuple[tuple[int, int], tuple[int, int]]:
    """Source and destination of a packet whose checksums are right."""
    assert words_sum(packet[:20]) == 0xFFFF
    body, protocol = packet[20:], packet[9]
    pseudo = b"" if protocol == ICMP else packet[12:20] + struct.pack("!HH", protocol, len(body))
    assert words_sum(pseudo + body) == 0xFFFF
    s, d = struct.unpack_from("!II", packet, 12)
    if protocol == ICMP:
        (identifier,) = struct.unpack_from("!H", body, 4)
        return (s, identifier), (d, identifier)
    sport, dport = struct.unpack_from("!HH", body)
    return (s, sport), (d, dport)


@dataclass(frozen=True)
class Step:
    wait: float
    direction: str
    protocol: str
    inside: tuple[str, int]
    remote: tuple[str, int]
    port: int
    flags: str
    timer: bool


remotes = st.tuples(st.sampled_from([SERVER, OTHER]), st.sampled_from([80, 81]))
own_ports = st.tuples(st.just(OUTSIDE), st.sampled_from([*PORTS, 7000]))
steps = st.builds(
    Step,
    wait=st.sampled_from([0.0, 0.0, 0.0, 1.0, 9.0, 25.0, 70.0]),
    direction=st.sampled_from(["out", "out", "in"]),
    protocol=st.sampled_from(["tcp", "tcp", "udp", "icmp"]),
    inside=st.tuples(st.sampled_from([A, B]), st.sampled_from([1000, 1001, 1002])),
    remote=st.one_of(remotes, remotes, own_ports),
    port=st.sampled_from([*PORTS, 7000]),
    flags=st.sampled_from(["S", "S", "SA", "A", "FA", "R", "RA"]),
    timer=st.booleans(),
)
configurations = st.fixed_dictionaries(
    {
        "mapping": st.sampled_from(["eim", "eim", "adm", "apdm"]),
        "filtering": st.sampled_from(["eif", "adf", "apdf"]),
        "most_mappings": st.sampled_from([None, None, 2]),
        "most_sessions": st.sampled_from([None, 2]),
        "inbound_refresh": st.booleans(),
    }
)
BEHAVIOURS = dict(zip(["eim", "adm", "apdm"], MappingBehaviour, strict=True))
FILTERINGS = dict(zip(["eif", "adf", "apdf"], Filtering, strict=True))
TIMES = RefTimes(udp=30, icmp=10, established=100, opening=20, closing=8)


def both(configuration: dict[str, Any]) -> tuple[Napt, Reference]:
    napt = make(
        POLICY,
        ranges=[(5000, 5001), (6000, 6001)],
        timeouts=Timeouts(
            udp=TIMES.udp,
            icmp=TIMES.icmp,
            tcp_established=TIMES.established,
            tcp_opening=TIMES.opening,
            tcp_closing=TIMES.closing,
            destinations={},
        ),
        mapping=BEHAVIOURS[configuration["mapping"]],
        filtering=FILTERINGS[configuration["filtering"]],
        quota=Quota(
            mappings=configuration["most_mappings"], sessions=configuration["most_sessions"]
        ),
        inbound_refresh=configuration["inbound_refresh"],
    )
    return napt, Reference(OUTSIDE, PORTS, TIMES, **configuration)


def packet_of(step: Step) -> bytes:
    if step.direction == "out":
        flags = "request" if step.protocol == "icmp" else step.flags
        return build(step.protocol, step.inside, step.remote, flags)
    flags = "reply" if step.protocol == "icmp" else step.flags
    return build(step.protocol, sender_of(step), (OUTSIDE, step.port), flags)


def sender_of(step: Step) -> tuple[str, int]:
    """Who sends an inbound packet: never our own address."""
    return (SERVER, step.remote[1]) if step.remote[0] == OUTSIDE else step.remote


def play(napt: Napt, model: Reference, step: Step, now: float) -> Translation:
    """Give one packet to both and compare what they do with it."""
    packet = packet_of(step)
    if step.direction == "out":
        expected = model.send_out(step.protocol, step.inside, step.remote, step.flags, now)
        result = napt.outbound(packet, now)
    else:
        remote = sender_of(step)
        if step.protocol == "icmp":
            remote = (remote[0], 0)
        expected = model.send_in(step.protocol, step.port, remote, step.flags, now)
        result = napt.inbound(packet, now)
    drops = [e.reason for e in result.events if isinstance(e, Drop)]
    before = endpoints(packet)
    match expected:
        case ("drop", reason):
            assert drops == [reason]
            assert result.to_outside == ()
        case ("out", (_, port)):
            ((sent, *_),) = result.to_outside
            source, destination = endpoints(sent)
            assert source == (number(OUTSIDE), port)
            assert destination == (before[1] if step.protocol != "icmp" else (before[1][0], port))
        case ("in", (host, port)):
            (sent,) = result.to_inside
            source, destination = endpoints(sent)
            assert destination == (number(str(host)), port)
            if step.direction == "out":  # hairpin
                assert source[0] == number(OUTSIDE)
                assert source[1] in PORTS
            elif step.protocol != "icmp":
                assert source == before[0]
    return result


def shown(napt: Napt, now: float) -> set[tuple[object, ...]]:
    return {
        (m.protocol.lower(), (m.inside, m.inside_port), m.outside_port, m.sessions)
        for m in napt.mappings(now)
    }


@settings(max_examples=300, deadline=None)
@given(configurations, st.lists(steps, min_size=5, max_size=60))
def test_engine_and_model_agree(configuration: dict[str, Any], history: list[Step]) -> None:
    napt, model = both(configuration)
    forward = Endpoint(number(OUTSIDE), 6001), Endpoint(number(B), 1002)
    events = list(napt.add_forward(TCP, *forward))
    model.forward("tcp", 6001, (B, 1002))
    now = 0.0
    for step in history:
        now += step.wait
        if step.timer:
            events += napt.handle_timer(now).events
            model.forget(now)
            after = napt.next_timer()
            assert after is None or after > now
            deadlines = [s.deadline for m in model.mappings for s in m.sessions]
            assert (after is None) == (deadlines == [])
            assert after is None or after <= min(deadlines)
        events += play(napt, model, step, now).events
        assert shown(napt, now) == {
            (m.protocol, m.inside, m.outside_port, len(m.sessions)) for m in model.mappings
        }
        assert balanced(napt)
    # The event stream alone tells which mappings exist.
    alive: set[tuple[object, ...]] = set()
    for event in events:
        if isinstance(event, MappingCreated):
            alive.add((event.protocol.lower(), event.inside, event.inside_port, event.outside_port))
        elif isinstance(event, MappingExpired):
            alive.remove(
                (event.protocol.lower(), event.inside, event.inside_port, event.outside_port)
            )
    assert alive == {
        (m.protocol.lower(), m.inside, m.inside_port, m.outside_port) for m in napt.mappings(now)
    }


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=5, max_size=80))
def test_invariants_and_that_all_ports_come_back(history: list[Step]) -> None:
    pool = RangePortPool(number(OUTSIDE), [(5000, 5001), (6000, 6001)], Sequential())
    napt = Napt(pool, POLICY)
    now = 0.0
    for step in history:
        now += step.wait
        packet = packet_of(step)
        (napt.outbound if step.direction == "out" else napt.inbound)(packet, now)
        mappings = napt.mappings(now)
        assert all(m.outside_port in PORTS for m in mappings)
        insides = [(m.protocol, m.inside, m.inside_port) for m in mappings]
        assert len(insides) == len(set(insides))  # EIM: one mapping each
        outsides = [(m.protocol, m.outside_port) for m in mappings]
        assert len(outsides) == len(set(outsides))  # no port overloading
        for protocol in ("TCP", "UDP", "ICMP"):
            in_use = pool.usage(NUMBERS[protocol.lower()], 0).in_use
            assert in_use == sum(m.protocol == protocol for m in mappings)
    napt.handle_timer(now + 1e6)
    assert napt.mappings(now) == ()
    assert napt.next_timer() is None
    assert [pool.usage(n, 0).in_use for n in NUMBERS.values()] == [0, 0, 0]
