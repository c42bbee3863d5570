"""Port spaces, strategies and pools."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.components.napt.identification import PortSetIdentifications
from testbed.components.napt.ports import (
    Endpoint,
    KeepSourcePort,
    PortNotInPoolError,
    PortSpace,
    PortStrategy,
    Randomized,
    RangePortPool,
    Sequential,
    Usage,
)
from testbed.components.packet.transport import TCP, UDP

V6PLUS = [(a << 12 | 71 << 4, a << 12 | 71 << 4 | 15) for a in range(1, 16)]  # PSID 71


def test_the_port_set_of_psid_71_has_240_ports() -> None:
    space = PortSpace(V6PLUS)
    assert (space.size, V6PLUS[0], space.nth(0), space.nth(16), space.nth(239)) == (
        240,
        (5232, 5247),
        5232,
        9328,
        62591,
    )


@pytest.mark.parametrize("strategy", [Sequential(), Randomized(1), KeepSourcePort(Sequential())])
def test_every_strategy_gives_each_port_once_and_then_none(strategy: PortStrategy) -> None:
    pool = RangePortPool(9, V6PLUS, strategy)
    got = [pool.allocate(UDP, Endpoint(1, 7000 + n)) for n in range(240)]
    assert {e.port for e in got if e} == {p for f, last in V6PLUS for p in range(f, last + 1)}
    assert pool.usage(UDP, 1) == Usage(240, 240)
    assert pool.allocate(UDP, Endpoint(1, 1)) is None
    assert pool.allocate(TCP, Endpoint(1, 1)) is not None
    gone = got[100]
    assert gone is not None
    pool.release(UDP, gone)
    assert pool.allocate(UDP, Endpoint(1, 1)) == gone


def test_sequential_rests_a_port_as_long_as_it_can() -> None:
    pool = RangePortPool(9, [(5000, 5002), (6000, 6000)], Sequential())
    ports = []
    for _ in range(6):
        end = pool.allocate(UDP, Endpoint(1, 1))
        assert end is not None
        ports.append(end.port)
        pool.release(UDP, end)
    assert ports == [5000, 5001, 5002, 6000, 5000, 5001]


def test_randomized_is_repeatable_and_even() -> None:
    def draw(seed: int, n: int) -> list[int]:
        space, strategy = PortSpace(V6PLUS), Randomized(seed)
        ports = []
        for _ in range(n):
            port = strategy.choose(space, 0)
            assert port is not None
            ports.append(port)
        return ports

    assert draw(5, 50) == draw(5, 50) != draw(6, 50)
    counts = Counter(draw(1, 24000))
    assert len(counts) == 240
    assert max(counts.values()) < 160  # 100 expected, 10 the standard deviation
    assert min(counts.values()) > 50


def test_randomized_in_a_nearly_full_space_still_finds_every_port() -> None:
    space = PortSpace([(1024, 65535)])
    for port in range(1024, 65535):
        space.take(port)
    assert Randomized(3).choose(space, 0) == 65535
    space.take(65535)
    assert Randomized(3).choose(space, 0) is None
    assert space.next_free(0) is None


def test_keep_source_port_only_if_it_is_in_the_set_and_free() -> None:
    pool = RangePortPool(9, V6PLUS, KeepSourcePort(Sequential()))
    assert pool.allocate(UDP, Endpoint(1, 9330)) == (9, 9330)
    assert pool.allocate(UDP, Endpoint(2, 9330)) == (9, 5232)
    assert pool.allocate(UDP, Endpoint(2, 500)) == (9, 5233)


def test_an_address_of_ones_own_leaves_system_ports_to_forwards() -> None:
    pool = RangePortPool(9, [(0, 65535)], Sequential())
    assert pool.usage(UDP, 1).size == 65536 - 1024
    assert pool.allocate(UDP, Endpoint(1, 80)) == (9, 1024)
    assert pool.owns(UDP, 9, 80)
    pool.reserve(UDP, Endpoint(9, 80))
    with pytest.raises(PortNotInPoolError):
        pool.reserve(UDP, Endpoint(9, 80))
    with pytest.raises(PortNotInPoolError):
        pool.reserve(UDP, Endpoint(9, 0))
    pool.release(UDP, Endpoint(9, 80))
    assert pool.allocate(UDP, Endpoint(1, 1)) == (9, 1025)
    pool.reserve(UDP, Endpoint(9, 80))
    everything = RangePortPool(9, [(0, 65535)], KeepSourcePort(Sequential()), system_ports=True)
    assert everything.allocate(UDP, Endpoint(1, 80)) == (9, 80)
    assert everything.allocate(UDP, Endpoint(1, 0)) == (9, 1)


@given(st.lists(st.tuples(st.sampled_from(["take", "give"]), st.integers(0, 11)), max_size=60))
def test_space_keeps_count(steps: list[tuple[str, int]]) -> None:
    ports = [1022, 1023, 1024, 1025, *range(5000, 5008)]
    space = PortSpace([(1022, 1025), (5000, 5007)])
    used: set[int] = set()
    for what, which in steps:
        port = ports[which]
        if what == "take" and port not in used:
            space.take(port)
            used.add(port)
        elif what == "give" and port in used:
            space.give_back(port)
            used.discard(port)
        dynamic = {p for p in ports if p >= 1024}
        assert set(space.free_ports()) == dynamic - used
        assert space.in_use == len(used & dynamic)
        assert all(space.may_reserve(p) == (p not in used) for p in ports)


def test_identifications_go_round_the_set() -> None:
    numbers = PortSetIdentifications([(5, 6), (9, 9)])
    assert [numbers.next() for _ in range(7)] == [5, 6, 9, 5, 6, 9, 5]
