"""Mapping and filtering behaviour, timers, TCP, exhaustion and quotas."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP

from testbed.components.napt.engine import Napt
from testbed.components.napt.policy import (
    Filtering,
    IcmpPolicy,
    MappingBehaviour,
    PolicyError,
    Quota,
    Timeouts,
)
from testbed.components.napt.ports import Endpoint, RangePortPool, Sequential, Usage
from testbed.components.packet.transport import UDP
from testbed.events import MappingExpired, PortsExhausted
from tests.components.napt.helpers import (
    OTHER,
    OUTSIDE,
    POLICY,
    PORTS,
    RANGES,
    ROUTER,
    SERVER,
    A,
    B,
    balanced,
    drop_of,
    error,
    events_of,
    make,
    number,
    one_in,
    one_out,
    ping,
    tcp,
    udp,
)

EIM, ADM, APDM = MappingBehaviour
EIF, ADF, APDF = Filtering


def _port(napt: Napt, packet: bytes, now: float = 0.0) -> int:
    port = one_out(napt.outbound(packet, now)).sport
    assert isinstance(port, int)
    return port


@pytest.mark.parametrize(
    ("behaviour", "other_port", "other_address"),
    [(EIM, True, True), (ADM, True, False), (APDM, False, False)],
)
def test_which_flows_share_a_mapping(
    behaviour: MappingBehaviour, *, other_port: bool, other_address: bool
) -> None:
    napt = make(mapping=behaviour)
    port = _port(napt, udp(A, 1, SERVER, 80))
    assert _port(napt, udp(A, 1, SERVER, 80)) == port
    assert (_port(napt, udp(A, 1, SERVER, 81)) == port) == other_port
    assert (_port(napt, udp(A, 1, OTHER, 80)) == port) == other_address
    assert _port(napt, udp(A, 2, SERVER, 80)) != port
    assert _port(napt, udp(B, 1, SERVER, 80)) != port


@pytest.mark.parametrize(
    ("filtering", "other_port", "other_address"),
    [(EIF, True, True), (ADF, True, False), (APDF, False, False)],
)
@pytest.mark.parametrize("build", [udp, tcp])
def test_who_may_send_in(
    filtering: Filtering, build: Any, *, other_port: bool, other_address: bool
) -> None:
    napt = make(filtering=filtering)
    napt.outbound(build(A, 1, SERVER, 80), 0.0)
    assert napt.inbound(build(SERVER, 80, OUTSIDE, 5000), 0.0).to_inside
    for source, sport, expected in ((SERVER, 81, other_port), (OTHER, 80, other_address)):
        result = napt.inbound(build(source, sport, OUTSIDE, 5000), 0.0)
        assert bool(result.to_inside) == expected
        if not expected:
            drop = drop_of(result)
            assert drop.reason == "filtered"
            assert drop.rule == f"{build.__name__.upper()} {A}:1 <-> {OUTSIDE}:5000"
            assert drop.place == "napt inbound"
    assert balanced(napt)


def test_address_dependent_filter_forgets_a_remote_with_its_last_session() -> None:
    napt = make(filtering=ADF, timeouts=Timeouts(udp=100))
    napt.outbound(udp(A, 1, SERVER, 80), 0.0)
    napt.outbound(udp(A, 1, SERVER, 81), 50.0)
    napt.outbound(udp(A, 1, OTHER, 80), 120.0)
    assert napt.inbound(udp(SERVER, 99, OUTSIDE, 5000), 149.0).to_inside
    assert drop_of(napt.inbound(udp(SERVER, 99, OUTSIDE, 5000), 150.0)).reason == "filtered"


# Timers


def test_udp_is_kept_by_outbound_packets_only() -> None:
    napt = make(timeouts=Timeouts(udp=100))
    _port(napt, udp(A, 1, SERVER, 80), 0.0)
    assert napt.next_timer() == 100.0
    _port(napt, udp(A, 1, SERVER, 80), 60.0)
    assert napt.inbound(udp(SERVER, 80, OUTSIDE, 5000), 159.0).to_inside
    (gone,) = events_of(napt.handle_timer(160.0), MappingExpired)
    assert (gone.inside, gone.inside_port, gone.reason) == (A, 1, "idle")
    assert napt.next_timer() is None
    assert drop_of(napt.inbound(udp(SERVER, 80, OUTSIDE, 5000), 160.0)).reason == "no-mapping"


def test_inbound_refresh_when_asked_for() -> None:
    napt = make(timeouts=Timeouts(udp=100), inbound_refresh=True)
    _port(napt, udp(A, 1, SERVER, 80), 0.0)
    for now in (90.0, 180.0, 270.0):
        assert napt.inbound(udp(SERVER, 80, OUTSIDE, 5000), now).to_inside
    assert napt.handle_timer(369.0).events == ()
    assert len(napt.handle_timer(370.0).events) == 1


def test_a_late_timer_changes_nothing() -> None:
    """Time counts when a packet comes, whether or not somebody called ``handle_timer``."""
    napt = make(timeouts=Timeouts(udp=100))
    assert _port(napt, udp(A, 1, SERVER, 80), 0.0) == 5000
    result = napt.outbound(udp(A, 1, SERVER, 80), 100.0)
    assert [e.kind for e in result.events] == ["mapping-expired", "mapping-created"]
    assert one_out(result).sport == 5001


def test_any_packet_brings_the_news_of_what_is_over() -> None:
    middle = bytes(IP(src=A, dst=SERVER, frag=5, proto=17) / b"12345678")
    went_out = make().outbound(udp(A, 1, SERVER, 80), 0.0).to_outside[0].packet
    for packet in (middle, error(A, SERVER, udp(SERVER, 80, A, 1)), b"junk"):
        napt = make()
        napt.outbound(udp(A, 1, SERVER, 80), 0.0)
        assert [e.reason for e in events_of(napt.outbound(packet, 300.0), MappingExpired)] == [
            "idle"
        ]
    napt = make()
    napt.outbound(udp(A, 1, SERVER, 80), 0.0)
    napt.outbound(tcp(A, 1, SERVER, 80), 299.0)
    result = napt.inbound(error(SERVER, OUTSIDE, went_out), 300.0)
    assert drop_of(result).reason == "icmp-error-no-mapping"
    assert len(events_of(result, MappingExpired)) == 1


def test_dns_has_its_own_idle_time() -> None:
    napt = make(timeouts=Timeouts(udp=300, destinations={(UDP, 53): 5.0}))
    _port(napt, udp(A, 1, SERVER, 53))
    _port(napt, udp(A, 2, SERVER, 54))
    assert [m.idle_left for m in napt.mappings(0.0)] == [5.0, 300.0]
    assert Timeouts().idle(UDP, 53) == 30.0


def test_a_mapping_lives_as_long_as_its_last_session() -> None:
    napt = make(timeouts=Timeouts(udp=300, destinations={(UDP, 53): 5.0}))
    _port(napt, udp(A, 1, SERVER, 99), 0.0)
    _port(napt, udp(A, 1, SERVER, 53), 290.0)
    assert napt.handle_timer(295.0).events == ()
    assert len(napt.handle_timer(300.0).events) == 1


def test_icmp_times_out() -> None:
    napt = make()
    napt.outbound(ping(A, SERVER, 7), 0.0)
    assert napt.next_timer() == 60.0
    assert len(napt.handle_timer(60.0).events) == 1


TCP_TIMES = Timeouts(tcp_established=1000, tcp_opening=40, tcp_closing=20)


def _tcp(napt: Napt, script: str, now: float) -> None:
    """``>S <SA >A``: segments out and in, with these flags, in connection A:1 to SERVER:80."""
    for step in script.split():
        if step[0] == ">":
            result = napt.outbound(tcp(A, 1, SERVER, 80, step[1:]), now)
            assert result.to_outside, step
        else:
            result = napt.inbound(tcp(SERVER, 80, OUTSIDE, 5000, step[1:]), now)
            assert result.to_inside, step


@pytest.mark.parametrize(
    ("script", "left"),
    [
        (">S", 40),
        (">S <SA", 1000),
        (">S <SA >A", 1000),
        (">S <S >SA <SA", 1000),  # simultaneous open
        (">S <RA", 20),
        (">S <SA >A >FA", 1000),  # half closed may go on for long
        (">S <SA >A <FA <A", 1000),
        (">S <SA >A >FA <FA", 20),
        (">S <SA >A >FA <FA >A", 20),
        (">S <SA >A >R", 20),
        (">S <SA >A <R >A", 1000),  # a forged RST: the connection goes on
        (">S <SA >A <R >R", 20),
        (">S <SA >FA <FA >S", 40),  # the same ports again
        (">S <SA >FA <FA >S <SA", 1000),
    ],
)
def test_tcp_idle_time_follows_rfc6146(script: str, left: float) -> None:
    napt = make(timeouts=TCP_TIMES)
    _tcp(napt, script, 0.0)
    (mapping,) = napt.mappings(0.0)
    assert mapping.idle_left == left
    (gone,) = napt.handle_timer(left).events
    assert isinstance(gone, MappingExpired)
    assert gone.reason == ("closed" if left == 20 else "idle")


def test_nothing_extends_a_closed_connection_but_life() -> None:
    napt = make(timeouts=TCP_TIMES)
    _tcp(napt, ">S <SA >A >FA <FA", 0.0)
    _tcp(napt, ">A <A >FA <FA", 19.0)
    assert len(napt.handle_timer(20.0).events) == 1


def test_a_lone_syn_from_outside_holds_no_mapping_for_long() -> None:
    napt = make(timeouts=TCP_TIMES)
    _tcp(napt, ">S <SA >A", 0.0)
    napt.inbound(tcp(OTHER, 9, OUTSIDE, 5000, "S"), 0.0)
    assert napt.mappings(0.0)[0].sessions == 2
    assert napt.handle_timer(40.0).events == ()
    assert napt.mappings(40.0)[0].sessions == 1


def test_a_segment_of_no_connection_opens_none() -> None:
    napt = make()
    for flags in ("A", "FA", "R", "PA"):
        assert drop_of(napt.outbound(tcp(A, 1, SERVER, 80, flags), 0.0)).reason == "tcp-no-session"
    assert napt.mappings(0.0) == ()
    _tcp(napt, ">S", 0.0)
    # With a mapping it passes, towards anybody, but leaves nothing behind.
    assert napt.outbound(tcp(A, 1, OTHER, 80, "A"), 0.0).to_outside
    assert napt.mappings(0.0)[0].sessions == 1


def test_midstream_pickup_when_asked_for() -> None:
    napt = make(timeouts=TCP_TIMES, tcp_midstream=True)
    assert drop_of(napt.outbound(tcp(A, 1, SERVER, 80, "R"), 0.0)).reason == "tcp-no-session"
    assert napt.outbound(tcp(A, 1, SERVER, 80, "A"), 0.0).to_outside
    assert napt.mappings(0.0)[0].idle_left == 1000


# Exhaustion and quotas


@pytest.mark.parametrize(("code", "expected"), [(13, 13), (1, 1)])
def test_exhaustion_is_told_and_leaves_the_others_alone(code: int, expected: int) -> None:
    napt = make(icmp=IcmpPolicy(source=number(ROUTER), refusal_code=code))
    used = [_port(napt, udp(A, n, SERVER, 80)) for n in range(1, 9)]
    assert sorted(used) == PORTS
    sent = udp(A, 9, SERVER, 80)
    result = napt.outbound(sent, 1.0)
    drop = drop_of(result)
    assert (drop.reason, drop.clause) == ("ports-exhausted", "RFC 6888 REQ-11, RFC 5508 REQ-8")
    (full,) = events_of(result, PortsExhausted)
    assert (full.protocol, full.inside, full.inside_port, full.in_use, full.size) == (
        "UDP",
        A,
        9,
        8,
        8,
    )
    told = one_in(result)
    assert (told.src, told.dst, told[ICMP].type, told[ICMP].code) == (ROUTER, A, 3, expected)
    assert bytes(told[ICMP].payload) == sent
    assert [_port(napt, udp(A, n, SERVER, 80), 2.0) for n in range(1, 9)] == used
    assert napt.outbound(udp(A, 1, OTHER, 53), 2.0).to_outside  # EIM: no new port needed
    assert napt.outbound(tcp(A, 9, SERVER, 80), 2.0).to_outside  # TCP has its own
    napt.handle_timer(302.0)
    assert napt.outbound(sent, 303.0).to_outside
    assert balanced(napt)


def test_icmp_about_exhaustion_can_be_off_and_is_rate_limited() -> None:
    def tell(icmp: IcmpPolicy, times: list[float]) -> list[int]:
        napt = make(icmp=icmp, ranges=[(5000, 5000)])
        _port(napt, udp(A, 1, SERVER, 80))
        told = [len(napt.outbound(udp(A, 2, SERVER, 80), now).to_inside) for now in times]
        assert sum(told) == napt.counters.icmp_sent
        assert napt.drops.counts == {"ports-exhausted": len(times)}
        return told

    assert tell(IcmpPolicy(source=1, refusal_code=None), [0.0]) == [0]
    limited = IcmpPolicy(source=1, per_second=1, burst=2)
    assert tell(limited, [0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 5.0, 5.0, 5.0]) == [
        1,
        1,
        0,
        0,
        1,
        0,
        1,
        1,
        0,
    ]


def test_no_icmp_error_about_what_may_not_be_answered() -> None:
    napt = make(ranges=[(5000, 5000)])
    napt.outbound(ping(A, SERVER, 1), 0.0)
    assert napt.outbound(ping(A, SERVER, 2), 0.0).to_inside  # a query may be
    assert drop_of(napt.outbound(ping("255.255.255.255", SERVER, 2), 0.0)).reason == "bad-address"


def test_240_sessions_to_one_destination_then_recovery() -> None:
    v6plus = [(a << 12 | 71 << 4, a << 12 | 71 << 4 | 15) for a in range(1, 16)]
    napt = make(ranges=v6plus, timeouts=TCP_TIMES)
    ports = {_port(napt, tcp(A, 10000 + n, SERVER, 80)) for n in range(240)}
    assert ports == {p for first, last in v6plus for p in range(first, last + 1)}
    assert drop_of(napt.outbound(tcp(A, 9999, SERVER, 80), 0.0)).reason == "ports-exhausted"
    assert len(napt.handle_timer(40.0).events) == 240
    assert _port(napt, tcp(A, 9999, SERVER, 80), 40.0) in ports


def test_mapping_quota_is_per_subscriber_and_protocol() -> None:
    napt = make(quota=Quota(mappings=2))
    for n in (1, 2):
        _port(napt, udp(A, n, SERVER, 80))
    result = napt.outbound(udp(A, 3, SERVER, 80), 0.0)
    assert drop_of(result).reason == "mapping-quota"
    assert one_in(result)[ICMP].code == 13
    assert napt.outbound(udp(B, 3, SERVER, 80), 0.0).to_outside
    assert napt.outbound(tcp(A, 3, SERVER, 80), 0.0).to_outside
    one_subscriber = make(quota=Quota(mappings=2, subscriber_bits=24))
    for host in (A, B):
        _port(one_subscriber, udp(host, 1, SERVER, 80))
    assert drop_of(one_subscriber.outbound(udp(B, 2, SERVER, 80), 0.0)).reason == "mapping-quota"
    one_subscriber.handle_timer(1e6)
    assert one_subscriber.outbound(udp(B, 2, SERVER, 80), 1e6).to_outside


def test_session_quota() -> None:
    napt = make(quota=Quota(sessions=2))
    for n in (1, 2):
        _port(napt, tcp(A, 1, SERVER, n))
    drop = drop_of(napt.outbound(tcp(A, 1, SERVER, 3), 0.0))
    assert (drop.reason, drop.rule) == ("session-quota", f"TCP {A}:1 <-> {OUTSIDE}:5000")
    assert drop_of(napt.inbound(tcp(OTHER, 3, OUTSIDE, 5000), 0.0)).reason == "session-quota"


def test_flush_gives_all_ports_back_but_forwards() -> None:
    napt = make()
    napt.add_forward(UDP, Endpoint(number(OUTSIDE), 6003), Endpoint(number(B), 53))
    for n in range(1, 8):
        _port(napt, udp(A, n, SERVER, 80))
    events = napt.flush()
    assert [e.reason for e in events if isinstance(e, MappingExpired)] == ["flushed"] * 7
    assert len(napt.mappings(0.0)) == 1
    assert napt.next_timer() is None
    assert {_port(napt, udp(A, n, SERVER, 80), 1.0) for n in range(1, 8)} == set(PORTS) - {6003}


def test_policy_values_are_checked() -> None:
    with pytest.raises(PolicyError, match="timeout udp is 0"):
        Timeouts(udp=0)
    with pytest.raises(PolicyError, match="destinations"):
        Timeouts(destinations={(UDP, 53): -1.0})
    with pytest.raises(PolicyError):
        Quota(mappings=0)
    with pytest.raises(PolicyError):
        Quota(subscriber_bits=33)


class KeepsPort500(RangePortPool):
    """A pool as some CEs have it: IKE keeps source port 500 although it is nobody's."""

    def allocate(self, protocol: int, inside: Endpoint) -> Endpoint | None:
        """As the base class, but for port 500."""
        if inside.port == 500:
            return Endpoint(number(OUTSIDE), 500)
        return super().allocate(protocol, inside)

    def release(self, protocol: int, outside: Endpoint) -> None:
        """As the base class, but for port 500."""
        if outside.port != 500:
            super().release(protocol, outside)


def test_a_misbehaving_pool_needs_no_other_engine() -> None:
    napt = Napt(KeepsPort500(number(OUTSIDE), RANGES, Sequential()), POLICY)
    assert _port(napt, udp(A, 500, SERVER, 500)) == 500
    assert napt.inbound(udp(SERVER, 500, OUTSIDE, 500), 0.0).to_inside
    assert len(napt.handle_timer(1e6).events) == 1


class OneAddressEach:
    """A carrier's pool in small: every subscriber has an outside address and a block of ports."""

    def __init__(self, places: dict[str, tuple[str, int, int]]) -> None:
        self._pools = {
            number(inside): RangePortPool(number(outside), [(first, last)], Sequential())
            for inside, (outside, first, last) in places.items()
        }

    @property
    def addresses(self) -> frozenset[int]:
        return frozenset().union(*(pool.addresses for pool in self._pools.values()))

    def allocate(self, protocol: int, inside: Endpoint) -> Endpoint | None:
        return self._pools[inside.address].allocate(protocol, inside)

    def release(self, protocol: int, outside: Endpoint) -> None:
        self._owner(protocol, *outside).release(protocol, outside)

    def reserve(self, protocol: int, outside: Endpoint) -> None:
        self._owner(protocol, *outside).reserve(protocol, outside)

    def owns(self, protocol: int, address: int, port: int) -> bool:
        return any(pool.owns(protocol, address, port) for pool in self._pools.values())

    def usage(self, protocol: int, inside_address: int) -> Usage:
        return self._pools[inside_address].usage(protocol, inside_address)

    def _owner(self, protocol: int, address: int, port: int) -> RangePortPool:
        (pool,) = (p for p in self._pools.values() if p.owns(protocol, address, port))
        return pool


def test_a_carriers_pool_needs_no_other_engine() -> None:
    second = "198.51.100.8"
    pool = OneAddressEach({A: (OUTSIDE, 5000, 5001), B: (second, 5000, 5001)})
    napt = Napt(pool, POLICY)
    assert one_out(napt.outbound(udp(A, 1, SERVER, 80), 0.0)).src == OUTSIDE
    out = one_out(napt.outbound(udp(B, 1, SERVER, 80), 0.0))
    assert (out.src, out.sport) == (second, 5000)
    there = one_in(napt.outbound(udp(A, 1, second, 5000), 0.0))
    assert (there.src, there.sport, there.dst, there.dport) == (OUTSIDE, 5000, B, 1)
    back = one_in(napt.outbound(udp(B, 1, OUTSIDE, 5000), 0.0))
    assert (back.src, back.sport, back.dst, back.dport) == (second, 5000, A, 1)
    napt.outbound(udp(A, 2, SERVER, 80), 0.0)
    full = napt.outbound(udp(A, 3, SERVER, 80), 0.0)
    assert [(e.in_use, e.size) for e in events_of(full, PortsExhausted)] == [(2, 2)]
    assert napt.outbound(udp(B, 3, SERVER, 80), 0.0).to_outside
    napt.handle_timer(1e6)
    assert pool.usage(UDP, number(A)) == pool.usage(UDP, number(B)) == (0, 2)
