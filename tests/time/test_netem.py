"""Impairments under virtual time are what they say, to the microsecond and to the packet."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from testbed.guest.kernel_cache import GuestKernel
from tests.time.inside import measured

_MS = 10**6
_CLOCK_NS = 2_000
"""From the program's look at the clock to the packet's own time stamp: a system call and what the
kernel itself looks at the clock for.  Between two stamps of packets it is a quarter of a
microsecond, what one look takes."""


@pytest.fixture(scope="module")
def seen(kernel: GuestKernel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return measured(kernel, tmp_path_factory.mktemp("netem"), "guest_netem")


def one_way_ns(case: dict[str, Any]) -> list[int]:
    return [at_ns - case["sent"][number] for number, at_ns in case["came"]]


def test_a_round_trip_of_100_ms_is_one_of_100_000_ms(seen: dict[str, Any]) -> None:
    trips = seen["round trips"]
    assert trips["ping"] == ["100 ms"] * 5
    assert [round(ns / _MS, 3) for ns in trips["packets_ns"]] == [100.000] * 5


@pytest.mark.parametrize(("name", "delay_ns"), [("delay", 100 * _MS), ("short delay", 250_000)])
def test_delays_are_exact(seen: dict[str, Any], name: str, delay_ns: int) -> None:
    case = seen[name]
    assert len(case["came"]) == len(case["sent"])
    for ns in one_way_ns(case):
        assert 0 <= ns - delay_ns < _CLOCK_NS


def test_jitter_stays_in_its_bounds_and_fills_them(seen: dict[str, Any]) -> None:
    """Without a table of its own, netem draws evenly from delay - jitter to delay + jitter."""
    times = one_way_ns(seen["jitter"])
    assert len(times) == 100
    assert 90 * _MS <= min(times) < 92 * _MS
    assert 108 * _MS < max(times) < 110 * _MS + _CLOCK_NS


def test_a_rate_is_exact_from_packet_to_packet(seen: dict[str, Any]) -> None:
    """A frame of 1000 bytes takes 8 ms at 1 Mbit/s; the first comes its own time and the delay."""
    case = seen["rate"]
    assert [number for number, _ in case["came"]] == list(range(20))
    assert 0 <= one_way_ns(case)[0] - 18 * _MS < _CLOCK_NS
    times = [at_ns for _, at_ns in case["came"]]
    for before, after in pairwise(times):
        assert abs(after - before - 8 * _MS) <= 256


def test_a_bucket_lets_through_its_burst_and_then_keeps_its_queue(seen: dict[str, Any]) -> None:
    """Two full frames at once, five wait 12.112 ms for each other, the others find no place."""
    case = seen["bucket"]
    assert [number for number, _ in case["came"]] == list(range(7))
    times = [at_ns for _, at_ns in case["came"]]
    assert times[1] - times[0] < 100_000
    for before, after in pairwise(times[2:]):
        assert abs(after - before - 1514 * 8 * 1000) < 1000


def test_a_queue_holds_so_many_packets(seen: dict[str, Any]) -> None:
    assert [number for number, _ in seen["queue"]["came"]] == list(range(5))


def test_losses_are_as_many_as_asked_for(seen: dict[str, Any]) -> None:
    """300 packets at 20 %: 60 are expected, and 4.5 standard deviations are 31."""
    assert 29 <= 300 - len(seen["loss"]["came"]) <= 91
    assert seen["all lost"]["came"] == []


def test_every_packet_comes_twice_and_no_more(seen: dict[str, Any]) -> None:
    counts = Counter(number for number, _ in seen["duplicate"]["came"])
    assert counts == dict.fromkeys(range(20), 2)


def test_reordered_packets_are_those_that_are_not_delayed(seen: dict[str, Any]) -> None:
    """tc-netem(8): they are sent at once; all others are as late as asked for, exactly."""
    case = seen["reorder"]
    early = [ns for ns in one_way_ns(case) if ns < _CLOCK_NS]
    late = [ns for ns in one_way_ns(case) if ns >= _CLOCK_NS]
    assert all(0 <= ns - 100 * _MS < _CLOCK_NS for ns in late)
    assert len(early) + len(late) == 200
    assert 20 <= len(early) <= 80, "a quarter, within 4.9 standard deviations"


def test_the_seed_decides_what_is_lost_and_nothing_else_does(
    seen: dict[str, Any], kernel: GuestKernel, tmp_path: Path
) -> None:
    """To the nanosecond, all of it: losses, jitter, order."""
    assert measured(kernel, tmp_path / "again", "guest_netem", seed=1) == seen
    other = measured(kernel, tmp_path / "other", "guest_netem", seed=2)
    for name in ("loss", "jitter", "reorder"):
        assert other[name]["came"] != seen[name]["came"]
    for name in ("delay", "rate", "bucket", "queue"):  # nothing is drawn for these
        assert [number for number, _ in other[name]["came"]] == [
            number for number, _ in seen[name]["came"]
        ]
