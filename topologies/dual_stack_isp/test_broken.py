"""Two ways to break a network that its routers do not see: each in a lab of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from testbed.events import Note
from testbed.model import Topology
from testbed.peers.frr import show
from testbed.peers.frr.router import FrrRouter
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.dual_stack_isp.account import FAMILIES
from topologies.dual_stack_isp.needed import MARKS
from topologies.dual_stack_isp.run import journey
from topologies.dual_stack_isp.state import (
    PREFERRED,
    TO_WWW,
    Known,
    adjacencies,
    await_quiet,
    await_way,
    expected_adjacencies,
    forwarding,
)
from topologies.dual_stack_isp.topology import small_isp, the_isp
from topologies.dual_stack_isp.topology import topology as dual_stack_isp

# On a busy machine sessions come and go by their timers; virtual time is nobody's hurry.
pytestmark = [*MARKS, pytest.mark.needs("virtual-time")]
BringUp = Callable[[Topology], ScenarioLab]

BY_THE_OTHER_TRANSIT = ("pc", "cpe", "pe1", "p2", "br2", "transit-b", "content", "www")
THE_OTHER_WAY = ("pc", "cpe", "pe1", "br2", "br1", "transit-a", "content", "www")


def test_a_router_without_zebra_forwards_as_before_and_learns_nothing_new(
    fresh_lab: BringUp, evidence: Evidence
) -> None:
    """p1's zebra is killed: the kernel keeps its routes, OSPF stays Full, nothing is lost.

    Then br1 loses its transit.  Everybody turns to the other one, but p1's kernel still points at
    br1, whatever its ospfd and bgpd know.
    """
    isp = the_isp()
    lab = fresh_lab(dual_stack_isp(isp))
    await_quiet(lab, isp)
    with journey(lab, evidence, "zebra.pcapng") as (kept, note):
        lab.sleep(0.5)
        note("p1's zebra is killed")
        lab.fault("kill-service", "p1/zebra")
        lab.sleep(2)
        for command, read in (
            (show.OSPF_NEIGHBORS, show.read_ospf_neighbors),
            (show.OSPF6_NEIGHBORS, show.read_ospf6_neighbors),
        ):
            neighbors = read(lab.run("p1", command, check=True).stdout)
            assert [neighbor.state for neighbor in neighbors] == [show.FULL] * 4
        note("br1-transit-a is cut")
        lab.cut("br1-transit-a")
        await_way(lab, BY_THE_OTHER_TRANSIT)
        lab.sleep(1)
    cut_ns = kept.mark_ns("br1-transit-a is cut")
    for family in FAMILIES:
        ways = kept.ways(family)
        assert (ways[0].there, ways[-1].there) == (PREFERRED, BY_THE_OTHER_TRANSIT)
        assert [out for out in kept.outages(family) if out.first_lost_ns < cut_ns] == []
    stale = forwarding(kept.records)
    assert [stale["p1", prefix] for prefix in TO_WWW] == [("br1",)] * 2


def test_routers_that_disagree_about_hellos_never_meet_and_say_so(
    fresh_lab: BringUp, evidence: Evidence
) -> None:
    """p1 says Hello to br1 every 2 s, br1 to p1 every second: no adjacency, and the other way."""

    def slower(router: FrrRouter) -> FrrRouter:
        return replace(
            router,
            ospf=tuple(
                replace(one, hello_s=2, dead_s=8) if one.name == "br1" else one
                for one in router.ospf
            ),
        )

    isp = small_isp(changes={"p1": slower})
    lab = fresh_lab(dual_stack_isp(isp))
    never = {("p1", "br1"), ("br1", "p1")}
    others = {
        key
        for key in expected_adjacencies(isp)
        if not (key[1].startswith("OSPF") and (key[0], key[2]) in never)
    }
    known = Known()
    lab.wait_for(lambda records: known.take(records).up == others, "all others", timeout=60)
    await_way(lab, THE_OTHER_WAY)
    with journey(lab, evidence, "mismatch.pcapng") as (kept, note):
        lab.sleep(1)
        note("all along")
    for family in FAMILIES:
        assert {way.there for way in kept.ways(family)} == {THE_OTHER_WAY}
        assert {way.back for way in kept.ways(family)} == {THE_OTHER_WAY[::-1]}
    complaints = {
        (record.node, record.event.text.partition(":")[0])
        for record in kept.records
        if isinstance(record.event, Note) and "mismatch" in record.event.text
    }
    assert complaints == {
        (node, protocol) for node in ("p1", "br1") for protocol in ("OSPF", "OSPF6")
    }
    assert adjacencies(kept.records) == others
