"""While all is well: adjacencies, what is announced to whom, and the way of the packets."""

from __future__ import annotations

import json
import re

import pytest

from testbed.peers.frr import show
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.dual_stack_isp.account import FAMILIES
from topologies.dual_stack_isp.addresses import CUSTOMERS_V4, CUSTOMERS_V6, ISP_AS, WWW, WWW_V6
from topologies.dual_stack_isp.core import isp_routers
from topologies.dual_stack_isp.internet import outside_routers
from topologies.dual_stack_isp.needed import MARKS
from topologies.dual_stack_isp.run import journey
from topologies.dual_stack_isp.state import PREFERRED, await_settled
from topologies.dual_stack_isp.topology import the_isp

pytestmark = MARKS
ISP = the_isp()


@pytest.fixture(autouse=True)
def _is_settled(lab: ScenarioLab) -> None:
    await_settled(lab, ISP)


def test_everybody_is_adjacent_and_the_daemons_say_so(lab: ScenarioLab, evidence: Evidence) -> None:
    """Asked one by one, every router names the neighbours that it was given, and no others."""
    rows = []
    for router in (*isp_routers(ISP).values(), *outside_routers(ISP)):
        if router.ospf:
            for command, read in (
                (show.OSPF_NEIGHBORS, show.read_ospf_neighbors),
                (show.OSPF6_NEIGHBORS, show.read_ospf6_neighbors),
            ):
                neighbors = read(lab.run(router.name, command, check=True).stdout)
                states = {neighbor.interface: neighbor.state for neighbor in neighbors}
                assert states == {one.name: show.FULL for one in router.ospf}, router.name
        assert router.bgp is not None
        answer = lab.run(router.name, show.BGP_SESSIONS, check=True).stdout
        sessions = {one.address: one for one in show.read_bgp_sessions(answer)}
        assert sessions.keys() == {one.address for one in router.bgp.neighbors}, router.name
        assert {one.state for one in sessions.values()} == {show.ESTABLISHED}, router.name
        rows.append((router.name, len(router.ospf), len(sessions)))
    evidence.table("Adjacencies", ("router", "OSPFv2 and OSPFv3, each", "BGP sessions"), rows)


def test_packets_go_the_preferred_way_in_both_families(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """pe1, p1, br1, transit-a, content: on the wire, there and back, and nothing is lost."""
    with journey(lab, evidence, "steady.pcapng") as (kept, note):
        lab.sleep(1)
        note("all along")
    for family in FAMILIES:
        (way,) = kept.ways(family)
        assert way.there == PREFERRED
        assert way.back == tuple(reversed(PREFERRED))
        assert way.trips >= 10
        assert kept.outages(family) == []


@pytest.mark.needs("traceroute")
@pytest.mark.parametrize("address", [WWW, WWW_V6])
def test_traceroute_names_every_router(lab: ScenarioLab, address: str) -> None:
    """Seven hops, with addresses of those routers: each of them finds its way back to pc."""
    command = ["traceroute", "-n", "-w", "5", "-q", "1", "-N", "1", address]
    output = lab.run("pc", command, check=True).stdout
    hops = [hop for _, hop in re.findall(r"^\s*(\d+)\s+(\S+)", output, re.MULTILINE)]
    owners = {
        address.split("/")[0]: end.node
        for link in lab.topology.links
        for end in link.ends
        for address in map(str, end.addresses)
    }
    loopbacks = {address: name for name in ISP.routers for address in ISP.loopbacks(name)}
    assert [(owners | loopbacks).get(hop) for hop in hops] == list(PREFERRED[1:])


def test_the_internet_learns_two_prefixes_and_gets_no_transit(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """Only the aggregates go out; no way between the transits leads through the ISP."""
    rows = []
    for transit in ("transit-a", "transit-b"):
        for family, aggregate in (("ipv4", CUSTOMERS_V4), ("ipv6", CUSTOMERS_V6)):
            command = ["vtysh", "-d", "bgpd", "-c", f"show bgp {family} unicast json"]
            table = json.loads(lab.run(transit, command, check=True).stdout)["routes"]
            paths = {prefix: {path["path"] for path in known} for prefix, known in table.items()}
            rows += [(transit, prefix, sorted(known)) for prefix, known in paths.items()]
            through_us = {
                prefix
                for prefix, known in paths.items()
                if any(str(ISP_AS) in path.split() for path in known)
            }
            assert through_us == {str(aggregate)}
            assert all(path.split()[-1:] == [str(ISP_AS)] for path in paths[str(aggregate)])
    evidence.table("BGP tables", ("router", "prefix", "AS paths"), rows)
