"""Two ways to break a network that its routers do not see: each in a lab of its own, a ring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from testbed.events import Note
from testbed.model import Topology
from testbed.peers.frr import show
from testbed.peers.frr.router import FrrRouter
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.dual_stack_isp.account import FAMILIES
from topologies.dual_stack_isp.addresses import CUSTOMERS_V4, CUSTOMERS_V6
from topologies.dual_stack_isp.needed import MARKS
from topologies.dual_stack_isp.run import journey
from topologies.dual_stack_isp.state import (
    PREFERRED,
    TO_WWW,
    adjacencies,
    await_gone,
    await_hop,
    await_settled,
    expected_adjacencies,
)
from topologies.dual_stack_isp.topology import CUSTOMER, small_isp
from topologies.dual_stack_isp.topology import topology as dual_stack_isp

pytestmark = MARKS
BringUp = Callable[[Topology], ScenarioLab]

THE_OTHER_WAY = ("pc", "cpe", "pe1", "br2", "br1", "transit-a", "content", "www")


def test_a_zebra_that_comes_back_alone_makes_a_black_hole_that_nobody_sees(
    fresh_lab: BringUp, evidence: Evidence
) -> None:
    """p1's zebra is killed and nothing is lost; started again, it takes all routes away.

    The kernel goes on with its routes, until the new zebra removes those of its predecessor; the
    other daemons do not tell it theirs again.  OSPF stays Full all the while, so packets come to p1
    and die there.  FRR's own watchfrr therefore restarts all daemons with zebra, as is done here in
    the end (for IPv4: an ospf6d that was restarted does not always get its routes back).
    """
    isp = small_isp()
    lab = fresh_lab(dual_stack_isp(isp))
    await_settled(lab, isp)
    with journey(lab, evidence, "zebra.pcapng") as (kept, note):
        lab.sleep(0.5)
        note("p1's zebra is killed")
        lab.fault("kill-service", "p1/zebra")
        lab.sleep(2)
        note("p1's zebra is started")
        lab.service("p1/zebra", "start")
        await_gone(lab, "p1", TO_WWW)
        lab.sleep(1)
        for command, read in (
            (show.OSPF_NEIGHBORS, show.read_ospf_neighbors),
            (show.OSPF6_NEIGHBORS, show.read_ospf6_neighbors),
        ):
            neighbors = read(lab.run("p1", command, check=True).stdout)
            assert [neighbor.state for neighbor in neighbors] == [show.FULL] * 2
        note("p1's ospfd and bgpd are restarted")
        for daemon in ("bgpd", "ospfd"):
            lab.service(f"p1/{daemon}", "restart")
        await_hop(lab, "p1", TO_WWW[:1], "br1")
        await_hop(lab, "pe1", TO_WWW[:1], "p1")
        lab.sleep(1)
    started_ns = kept.mark_ns("p1's zebra is started")
    for family in FAMILIES:
        assert kept.ways(family)[0].there == PREFERRED
        hole = kept.outages(family)[0]
        assert hole.first_lost_ns > started_ns
        assert "p1" in hole.died
    assert kept.ways("IPv4")[-1].there == PREFERRED


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
    lab.wait_for(lambda records: adjacencies(records) == others, "all others", timeout=60)
    await_hop(lab, "pe1", TO_WWW, "br2")
    await_hop(lab, "br1", CUSTOMER.prefixes, "br2")
    announced = (str(CUSTOMERS_V4), str(CUSTOMERS_V6))
    await_hop(lab, "transit-a", announced, "br1")
    await_hop(lab, "content", announced, "transit-a")
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
