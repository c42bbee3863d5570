"""Cables that go silent, so that nobody sees it: the timers decide.  The usual ones, virtual time.

OSPF's dead interval of 40 s, BGP's hold time of 180 s, BFD's three packets a second apart: each is
started anew by the neighbour's messages, and those are on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from testbed.expect import event, eventually
from testbed.model import Impairment, Topology
from testbed.peers.frr.config import start_bfd
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.dual_stack_isp.account import FAMILIES, Outage
from topologies.dual_stack_isp.core import USUAL
from topologies.dual_stack_isp.needed import MARKS
from topologies.dual_stack_isp.run import Journey, journey
from topologies.dual_stack_isp.state import PREFERRED, await_quiet, await_settled
from topologies.dual_stack_isp.timers import GivenUp, Timer, given_up, keep
from topologies.dual_stack_isp.topology import RING_BFD, small_isp
from topologies.dual_stack_isp.topology import topology as dual_stack_isp
from topologies.dual_stack_isp.wire import Family

pytestmark = [
    *MARKS,
    pytest.mark.needs("virtual-time", "netem"),
    pytest.mark.timeout(0),  # it would count virtual time
]

ISP = small_isp(USUAL)
THE_OTHER_WAY = ("pc", "cpe", "pe1", "br2", "br1", "transit-a", "content", "www")
THE_OTHER_TRANSIT = ("pc", "cpe", "pe1", "br2", "transit-b", "content", "www")
DEAD = (
    Timer("OSPFv2", "IPv4", USUAL.dead_s),
    Timer("OSPFv3", "IPv6", USUAL.dead_s),
)
HOLD = (
    Timer("BGP", "IPv4", USUAL.hold_s),
    Timer("BGP", "IPv6", USUAL.hold_s),
)
_SLACK_S = 0.2
"""For what the daemons take to notice: their own rounding, and a line in a log."""
_FLOODING_S = 1.0
"""From the first who notices to the last who has new routes."""


@dataclass
class Silence:
    """A cable that was silent for a while: traffic meanwhile, and when it began."""

    kept: Journey
    silent_ns: int
    given_up: list[GivenUp]


@pytest.fixture(scope="module")
def topology() -> Topology:
    """The ring, with the usual timers."""
    return dual_stack_isp(ISP)


@pytest.fixture(autouse=True)
def _is_quiet(lab: ScenarioLab) -> None:
    await_quiet(lab, ISP)


def _silence(
    lab: ScenarioLab,
    evidence: Evidence,
    link: str,
    timers: tuple[Timer, ...],
    *,
    period_s: float,
    every_s: float,
) -> Silence:
    """Silence a cable for a little longer than the timers, under traffic, until all is well again.

    Before that for a ``period_s``, so that there is a message of each kind to count from.
    """
    longest_s = max(timer.seconds for timer in timers)
    file = f"{link}.pcapng"
    with journey(lab, evidence, file, every_s=every_s, listen_s=period_s + 1) as (kept, note):
        lab.sleep(5 * every_s)
        note(f"{link} goes silent")
        lab.impair(link, Impairment(loss=1.0))
        lab.sleep(longest_s + 5)
        note(f"{link} speaks again")
        lab.impair(link, Impairment())
        await_settled(lab, ISP)
        lab.sleep(5 * every_s)
    silent_ns = kept.mark_ns(f"{link} goes silent")
    rows = given_up(lab.topology, link, timers, kept.records, kept.rows, silent_ns)
    keep(evidence, rows, silent_ns)
    return Silence(kept, silent_ns, rows)


def _require_as_the_timers_say(silence: Silence) -> None:
    for row in silence.given_up:
        assert 0 <= row.late_s < _SLACK_S, row


def _first_s(silence: Silence, family: str) -> float:
    """When the first of the two ends gave up, in seconds of silence."""
    times = [row.told_ns for row in silence.given_up if row.timer.family == family]
    return (min(times) - silence.silent_ns) / 1e9


def _outage(silence: Silence, family: Family) -> Outage:
    """The outage of the silence.

    When the cable speaks again, one router takes it before its neighbour does, and a packet may be
    caught between them (a micro-loop, RFC 5715): such outages are short, and not of the silence.
    """
    first, *later = silence.kept.outages(family)
    all_told_ns = max(row.told_ns for row in silence.given_up)
    assert first.first_lost_ns < all_told_ns
    for one in later:
        assert one.first_lost_ns > all_told_ns + 1e9
        assert one.last_lost_ns - one.first_lost_ns < _FLOODING_S * 1e9
    return first


def test_a_silent_link_is_given_up_after_the_dead_interval(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """pe1-p1: 40 s after the last Hello that came, and then at once the other way."""
    silence = _silence(lab, evidence, "pe1-p1", DEAD, period_s=USUAL.hello_s, every_s=1.0)
    _require_as_the_timers_say(silence)
    for family in FAMILIES:
        outage = _outage(silence, family)
        assert outage.first_good_ns is not None
        lasted_s = (outage.first_good_ns - silence.silent_ns) / 1e9
        # The link is gone for everybody as soon as one of its ends says so (RFC 2328 section 16.1).
        first_s = _first_s(silence, family)
        assert first_s <= lasted_s < first_s + 1.1 + _FLOODING_S  # a ping a second
        assert USUAL.dead_s - USUAL.hello_s - 1 < first_s <= USUAL.dead_s
        assert set(outage.died) <= {"pe1", "p1"}
        taken = [way.there for way in silence.kept.ways(family)]
        assert taken[0] == taken[-1] == PREFERRED
        assert THE_OTHER_WAY in taken


def test_a_silent_transit_is_given_up_after_the_hold_time(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """br1-transit-a: 180 s after the last KEEPALIVE or UPDATE, three minutes without the world."""
    silence = _silence(
        lab, evidence, "br1-transit-a", HOLD, period_s=USUAL.keepalive_s, every_s=2.0
    )
    _require_as_the_timers_say(silence)
    for family in FAMILIES:
        outage = _outage(silence, family)
        assert outage.first_good_ns is not None
        lasted_s = (outage.first_good_ns - silence.silent_ns) / 1e9
        # br1 decides about the way there, transit-a about the way back: both must have noticed.
        times = [row.told_ns for row in silence.given_up if row.timer.family == family]
        both_s = (max(times) - silence.silent_ns) / 1e9
        assert both_s <= lasted_s < both_s + 4 + _FLOODING_S
        assert USUAL.hold_s - USUAL.keepalive_s - 1 < both_s <= USUAL.hold_s + _SLACK_S
        taken = [way.there for way in silence.kept.ways(family)]
        assert taken[0] == taken[-1] == PREFERRED
        assert THE_OTHER_TRANSIT in taken


def test_bfd_gives_a_silent_link_up_after_three_packets(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """p1-br1: 3 s after the last BFD packet, while OSPF alone would wait for 40 s."""
    began = lab.clock.now()
    for node in ("p1", "br1"):
        lab.run(node, start_bfd(RING_BFD), check=True)
    up = event("adjacency-up", protocol="BFD")
    eventually(lab, up, within="30s", since=began, count=4)
    timers = (
        Timer("BFD", "IPv4", RING_BFD.detection_s),
        Timer("BFD", "IPv6", RING_BFD.detection_s),
    )
    silence = _silence(lab, evidence, "p1-br1", timers, period_s=2, every_s=0.25)
    _require_as_the_timers_say(silence)
    for family in FAMILIES:
        outage = _outage(silence, family)
        assert outage.first_good_ns is not None
        lasted_s = (outage.first_good_ns - silence.silent_ns) / 1e9
        assert lasted_s < RING_BFD.detection_s + _FLOODING_S
        assert THE_OTHER_WAY in [way.there for way in silence.kept.ways(family)]
