"""What routers see at once: a cut cable, a router without power, a daemon that dies.  Real time.

On cables from router to router a failure takes the carrier away, and nobody waits for a timer.
"""

from __future__ import annotations

import pytest

from testbed.events import AdjacencyDown
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.dual_stack_isp.account import FAMILIES
from topologies.dual_stack_isp.needed import MARKS
from topologies.dual_stack_isp.power import power_off, power_on
from topologies.dual_stack_isp.run import Journey, journey
from topologies.dual_stack_isp.state import (
    ANNOUNCED,
    PREFERRED,
    TO_WWW,
    await_down,
    await_hop,
    await_quiet,
    await_settled,
)
from topologies.dual_stack_isp.topology import the_isp

# On a busy machine sessions come and go by their timers; virtual time is nobody's hurry.
pytestmark = [*MARKS, pytest.mark.needs("virtual-time")]
ISP = the_isp()

ROUND_THE_LINK = ("pc", "cpe", "pe1", "p2", "br2", "br1", "transit-a", "content", "www")
BY_THE_OTHER_TRANSIT = ("pc", "cpe", "pe1", "p2", "br2", "transit-b", "content", "www")


@pytest.fixture(autouse=True)
def _is_quiet(lab: ScenarioLab) -> None:
    await_quiet(lab, ISP)


def test_a_cut_link_is_left_at_once_and_taken_again(lab: ScenarioLab, evidence: Evidence) -> None:
    """p1-br1: both ends see the carrier go; no dead interval, no BGP session is lost."""
    with journey(lab, evidence, "cut.pcapng") as (kept, note):
        lab.sleep(0.5)
        note("cut p1-br1")
        lab.cut("p1-br1")
        await_hop(lab, "pe1", TO_WWW, "p2")
        lab.sleep(1)
        note("plug p1-br1 in again")
        lab.restore("p1-br1")
        await_settled(lab, ISP)
        lab.sleep(0.5)
    causes = _causes(kept, "cut p1-br1")
    assert causes.keys() == {
        (here, protocol, there)
        for here, there in (("p1", "br1"), ("br1", "p1"))
        for protocol in ("OSPFv2", "OSPFv3")
    }
    assert "InactivityTimer" not in causes.values()
    for family in FAMILIES:
        ways = kept.ways(family)
        assert ways[0].there == ways[-1].there == PREFERRED
        assert (ROUND_THE_LINK, ROUND_THE_LINK[::-1]) in [(way.there, way.back) for way in ways]


def test_a_router_without_power_is_left_and_taken_again(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """br1: its cables are dead, its daemons gone; packets leave by the other transit until it is
    back, and none is lost by its return."""
    lost = {(node, "BGP", address) for node in ISP.reflectors for address in ISP.loopbacks("br1")}
    with journey(lab, evidence, "power.pcapng", every_s=0.1) as (kept, note):
        lab.sleep(0.5)
        note("br1 loses power")
        power_off(lab, "br1")
        await_hop(lab, "pe1", TO_WWW, "p2")
        await_hop(lab, "content", ANNOUNCED, "transit-b")
        await_down(lab, lost)  # the reflectors have no cable to it: they wait for the hold time
        note("br1 has power again")
        power_on(lab, "br1")
        await_settled(lab, ISP)
        lab.sleep(0.5)
    back_ns = kept.mark_ns("br1 has power again")
    for family in FAMILIES:
        ways = kept.ways(family)
        assert ways[0].there == ways[-1].there == PREFERRED
        assert (BY_THE_OTHER_TRANSIT, BY_THE_OTHER_TRANSIT[::-1]) in [
            (way.there, way.back) for way in ways if way.first_ns < back_ns
        ]
        assert [out for out in kept.outages(family) if out.first_lost_ns > back_ns] == []


def test_without_ospfd_a_router_swallows_ipv4_until_its_neighbours_notice(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """p1's ospfd is killed: its own routes go at once, its neighbours wait for the dead interval.

    IPv6 has a daemon of its own and goes on as if nothing were.
    """
    with journey(lab, evidence, "ospfd.pcapng") as (kept, note):
        lab.sleep(0.5)
        note("p1's ospfd is killed")
        lab.fault("kill-service", "p1/ospfd")
        await_hop(lab, "pe1", TO_WWW[:1], "p2")
        lab.sleep(1)
        note("p1's ospfd is started")
        lab.service("p1/ospfd", "start")
        await_settled(lab, ISP)
        lab.sleep(0.5)
    causes = _causes(kept, "p1's ospfd is killed")
    for neighbor in ("pe1", "pe2", "p2", "br1"):
        assert causes["p1", "OSPFv2", neighbor] == "its daemon has gone"
        assert causes[neighbor, "OSPFv2", "p1"] == "InactivityTimer"
    killed = kept.outages("IPv4")[0]
    assert "p1" in killed.died
    assert set(killed.died) <= {"p1", "pe1", "br1"}
    assert any("p1" not in way.there for way in kept.ways("IPv4"))
    assert kept.outages("IPv6") == []
    assert {way.there for way in kept.ways("IPv6")} == {PREFERRED}


def _causes(kept: Journey, since: str) -> dict[tuple[str, str, str], str | None]:
    """Router, protocol and neighbour that it lost, and why it says so."""
    return {
        (record.node or "", record.event.protocol, record.event.neighbor): record.event.why
        for record in kept.lost_adjacencies(kept.mark_ns(since))
        if isinstance(record.event, AdjacencyDown)
    }
