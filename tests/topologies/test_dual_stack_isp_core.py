"""The ISP as data: addresses, who speaks with whom, and what is added up of its events."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network

import pytest

from testbed.events import AdjacencyDown, AdjacencyUp, Record, RouteChanged
from testbed.model import Builder
from topologies.dual_stack_isp.addresses import INSIDE_V4, INSIDE_V6, ends_v4, ends_v6
from topologies.dual_stack_isp.core import CoreLink, Isp, add_isp, isp_routers
from topologies.dual_stack_isp.state import (
    PREFERRED,
    adjacencies,
    expected_adjacencies,
    forwarding,
    hops_of,
)
from topologies.dual_stack_isp.topology import CUSTOMER, small_isp, the_isp, topology

BOTH = pytest.mark.parametrize("isp", [the_isp(), small_isp()], ids=["whole", "ring"])


def test_ends_of_links() -> None:
    assert ends_v4(IPv4Network("192.0.2.0/24"), 64, 3) == ("192.0.2.70/31", "192.0.2.71/31")
    assert ends_v6(IPv6Network("3fff:5ff::/48"), 3) == ("3fff:5ff:0:3::1/64", "3fff:5ff:0:3::2/64")


@BOTH
def test_no_address_of_the_isp_itself_is_in_what_it_announces(isp: Isp) -> None:
    """Else the next hop of a router that is gone would be found in an aggregate to nowhere."""
    announced = [ip_network(prefix) for prefix in isp.announced]
    for router in isp_routers(isp).values():
        for address in map(ip_interface, router.loopback):
            assert not any(address.ip in prefix for prefix in announced)
            assert address.ip in (INSIDE_V4 if address.version == 4 else INSIDE_V6)


@BOTH
def test_every_customer_prefix_is_announced(isp: Isp) -> None:
    for prefix in map(ip_network, CUSTOMER.prefixes):
        covering = [ip_network(one) for one in isp.announced]
        assert any(
            prefix.network_address in one and prefix.prefixlen >= one.prefixlen for one in covering
        )


@BOTH
def test_reflectors_speak_with_all_others_only_with_reflectors(isp: Isp) -> None:
    """RFC 4456: then every router gets every route."""
    for router in isp_routers(isp).values():
        assert router.bgp is not None
        inside = {one.name for one in router.bgp.neighbors if one.remote_as == isp.asn}
        others = isp.routers if router.name in isp.reflectors else isp.reflectors
        assert inside == set(others) - {router.name}


def test_another_isp_can_be_built_into_another_lab() -> None:
    """As the topologies to come will."""
    isp = Isp(edges=("e",), reflectors=("p",), borders=("b",), links=(CoreLink("e", "p"),))
    lab = Builder("mine")
    lab.host("other")
    add_isp(lab, isp)
    built = lab.build()
    assert {node.name for node in built.nodes} == {"other", "e", "p", "b"}
    assert [link.name for link in built.links] == ["e-p"]


def test_a_change_reaches_the_router_it_is_meant_for() -> None:
    isp = the_isp(changes={"p1": lambda router: router})
    assert isp_routers(isp) == isp_routers(the_isp())


@BOTH
def test_what_is_expected_of_the_lab_is_in_its_topology(isp: Isp) -> None:
    built = topology(isp)
    ports = {(end.node, end.name) for link in built.links for end in link.ends}
    for node, protocol, place in expected_adjacencies(isp):
        assert (node, place) in ports or protocol == "BGP"
    for (node, _), (interface,) in hops_of(PREFERRED).items():
        assert (node, interface) in ports


def _record(event: AdjacencyUp | AdjacencyDown | RouteChanged, node: str = "p1") -> Record:
    return Record(0, "service", event, node)


def test_adjacencies_are_added_up() -> None:
    up = AdjacencyUp("frr", "OSPFv2", "br1", "192.0.2.5", "br1")
    bgp = AdjacencyUp("frr", "BGP", "br1", "192.0.2.5")
    bfd = AdjacencyUp("frr", "BFD", "br1", "192.0.2.5", "br1")
    down = AdjacencyDown("frr", "OSPFv2", "br1", "192.0.2.5", "br1")
    told = [_record(up), _record(bgp), _record(bfd)]
    assert adjacencies(told) == {("p1", "OSPFv2", "br1"), ("p1", "BGP", "192.0.2.5")}
    assert adjacencies([*told, _record(down)]) == {("p1", "BGP", "192.0.2.5")}


def test_routes_are_added_up() -> None:
    first = RouteChanged("3fff::/32", "bgp", ("fe80::1 dev a", "fe80::2 dev b"))
    gone = RouteChanged("3fff::/32", "bgp", (), first.now)
    assert forwarding([_record(first)]) == {("p1", "3fff::/32"): ("a", "b")}
    assert forwarding([_record(first), _record(gone)]) == {("p1", "3fff::/32"): ()}
