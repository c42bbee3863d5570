"""The account of a failure, from packets on cables to outages and ways.  Pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import TestbedError
from testbed.events import AdjacencyDown, Record
from testbed.model import Builder, Topology
from topologies.dual_stack_isp.account import outages, ways
from topologies.dual_stack_isp.timers import GivenUp, Timer, given_up
from topologies.dual_stack_isp.wire import Cables, Seen, Trip, time_ns

_S = 10**9


def _line() -> Topology:
    lab = Builder("line")
    lab.host("pc")
    lab.router("r1")
    lab.router("r2")
    lab.link("one", "pc:x 192.0.2.1/24", "r1:pc 192.0.2.2/24")
    lab.link("two", "r1:r2 198.51.100.1/24", "r2:r1 198.51.100.2/24")
    lab.link("three", "r1:back 203.0.113.1/24", "r2:back 203.0.113.2/24")
    return lab.build()


CABLES = Cables.of(_line())


def test_every_cable_is_captured_at_one_end() -> None:
    assert CABLES.captured() == ("r1:pc", "r2:r1", "r2:back")


def test_the_ttl_tells_the_order() -> None:
    """Also where two cables saw the packet in the same nanosecond, and the other way round."""
    seen = [Seen(7, "r2/r1", 63), Seen(7, "r1/pc", 64)]
    assert CABLES.path("pc", seen) == ("pc", "r1", "r2")
    assert CABLES.path("r2", [Seen(9, "r1/pc", 63), Seen(8, "r2/back", 64)]) == ("r2", "r1", "pc")


def test_a_loop_is_a_path_that_comes_back() -> None:
    seen = [Seen(1, "r1/pc", 64), Seen(2, "r2/r1", 63), Seen(3, "r2/back", 62)]
    assert CABLES.path("pc", seen) == ("pc", "r1", "r2", "r1")


def test_a_packet_that_jumps_is_an_error() -> None:
    with pytest.raises(TestbedError, match="came by pc is seen between r2 and r1"):
        CABLES.path("pc", [Seen(2, "r2/r1", 63)])


def _trip(second: float, answered: bool, there: tuple[str, ...] = ("pc", "r1")) -> Trip:
    sent_ns = round(second * _S)
    back = there[::-1] if answered else ()
    return Trip("IPv4", 0, sent_ns, sent_ns + 1 if answered else None, there, back)


def test_an_outage_lies_between_two_answers() -> None:
    trips = [_trip(0, True), _trip(1, False), _trip(2, False), _trip(3, True), _trip(4, False)]
    first, second = outages(trips, "IPv4")
    assert (first.lost, first.first_lost_ns, first.last_lost_ns) == (2, 1 * _S, 2 * _S)
    assert (first.last_good_ns, first.first_good_ns) == (0, 3 * _S)
    assert first.died == ("r1",)
    assert (second.lost, second.last_good_ns, second.first_good_ns) == (1, 3 * _S, None)
    assert outages(trips, "IPv6") == []


def test_a_reply_that_is_lost_died_on_its_way_back() -> None:
    lost = Trip("IPv4", 1, 5, None, ("pc", "r1", "r2"), ("r2", "r1"))
    (outage,) = outages([lost], "IPv4")
    assert outage.died == ("r1",)
    assert outage.last_good_ns is None


@given(st.lists(st.booleans()))
def test_every_lost_request_is_in_one_outage_and_every_answered_one_on_one_way(
    answered: list[bool],
) -> None:
    trips = [_trip(at, good) for at, good in enumerate(answered)]
    found = outages(trips, "IPv4")
    assert sum(outage.lost for outage in found) == answered.count(False)
    assert sum(way.trips for way in ways(trips, "IPv4")) == answered.count(True)
    for outage in found:
        inside = answered[outage.first_lost_ns // _S : outage.last_lost_ns // _S + 1]
        assert inside == [False] * outage.lost


def test_ways_follow_each_other() -> None:
    paths = [("pc", "r1"), ("pc", "r1"), ("pc", "r2"), ("pc", "r1")]
    trips = [_trip(at, True, there) for at, there in enumerate(paths)]
    assert [(way.there[1], way.trips) for way in ways(trips, "IPv4")] == [
        ("r1", 2),
        ("r2", 1),
        ("r1", 1),
    ]


def test_times_are_read_to_the_nanosecond() -> None:
    assert time_ns("1735689835.798684416") == 1_735_689_835_798_684_416
    assert time_ns("1735689835.5") == 1_735_689_835_500_000_000


def test_a_timer_runs_out_after_what_was_heard() -> None:
    timer = Timer("OSPFv2", "IPv4", 40)
    row = GivenUp("r1", "r2", timer, heard_ns=2 * _S, told_ns=42 * _S + _S // 10)
    assert row.due_ns == 42 * _S
    assert row.late_s == pytest.approx(0.1)


def test_a_neighbour_that_nobody_gave_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it was given up before the silence, or another was."""
    monkeypatch.setattr("topologies.dual_stack_isp.timers.last_heard_ns", lambda *_: 0)
    timer = Timer("BGP", "IPv6", 180)

    def down(at: int, node: str, neighbor: str, address: str) -> Record:
        event = AdjacencyDown("frr", "BGP", neighbor, address)
        return Record(at, "service", event, node)

    right = [down(9, "r1", "r2", "3fff::2"), down(8, "r2", "r1", "3fff::1")]
    rows = given_up(_line(), "two", [timer], right, [], 5)
    assert [(row.node, row.told_ns) for row in rows] == [("r1", 9), ("r2", 8)]
    for wrong in (
        down(4, "r1", "r2", "3fff::2"),
        down(9, "r1", "pc", "3fff::2"),
        down(9, "r1", "r2", "192.0.2.1"),
    ):
        with pytest.raises(TestbedError, match="r1:r2 did not give r2 up"):
            given_up(_line(), "two", [timer], [wrong, right[1]], [], 5)
