"""dual_stack_isp: an ISP with OSPFv2, OSPFv3 and BGP, a customer, and two ways to the internet.

    customer           AS 64500 (OSPF area 0)                transit              AS 64510

                  +- pe1 ---- p1 ------ br1 ---- transit-a (AS 64501) --+
    pc -- cpe ----+      \\  / |          |                              +-- content -- www
                          \\/  |          |                              |
                          /\\  |          |                              |
                         /  \\ |          |                              |
                     pe2 ---- p2 ------ br2 ---- transit-b (AS 64502) --+

Every router is FRR's zebra, ospfd, ospf6d and bgpd.  p1 and p2 reflect BGP routes; transit-a is
preferred in both directions, so pc and www reach each other by pe1, p1, br1, transit-a, content
while all is well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from testbed.model import Builder, Topology
from testbed.peers.frr.router import Bfd
from topologies.dual_stack_isp.addresses import PC, PC_V6, TRANSIT_AS, plain
from topologies.dual_stack_isp.core import (
    QUICK,
    Change,
    CoreLink,
    Customer,
    Isp,
    Origin,
    Timers,
    Upstream,
    add_isp,
    link_customer,
)
from topologies.dual_stack_isp.internet import CONTENT, add_internet

CUSTOMER = Customer(
    "cpe",
    "pe1",
    ("198.51.100.129/30", "198.51.100.130/30"),
    ("3fff:500:ffff:1::1/64", "3fff:500:ffff:1::2/64"),
    ("198.51.100.136/29", "3fff:500:1000::/48"),
)
"""A business with addresses of its own and no NAT, so that a packet is the same everywhere."""


def the_isp(
    timers: Timers = QUICK,
    changes: Mapping[str, Change] | None = None,
    origin: Origin = "reflectors",
) -> Isp:
    """The ISP of this topology; ``changes`` are what is made of a router's configuration."""
    return Isp(
        origin=origin,
        upstreams=(
            Upstream("transit-a", TRANSIT_AS["transit-a"], "br1", preference=200),
            Upstream("transit-b", TRANSIT_AS["transit-b"], "br2", preference=100),
        ),
        customers=(CUSTOMER,),
        timers=timers,
        changes=changes or {},
    )


RING_BFD = Bfd(interval_ms=1000, multiplier=3, shut=True)


def small_isp(timers: Timers = QUICK, changes: Mapping[str, Change] | None = None) -> Isp:
    """One ring of four routers instead: pe1, p1, br1 while all is well, else by br2.

    For scenarios that need a lab of their own.  Between p1 and br1 there is BFD with a packet a
    second, shut until a scenario wants it.
    """
    return replace(
        the_isp(timers, changes),
        edges=("pe1",),
        reflectors=("p1",),
        links=(
            CoreLink("pe1", "p1"),
            CoreLink("p1", "br1", bfd=RING_BFD),
            CoreLink("br1", "br2", cost=20),
            CoreLink("pe1", "br2"),
        ),
    )


def topology(isp: Isp | None = None) -> Topology:
    """The whole lab, with :func:`the_isp` or another one."""
    isp = isp or the_isp()
    lab = Builder("dual-stack-isp", "A dual-stack ISP with OSPFv2, OSPFv3 and BGP")
    lab.host("pc", routes=["default via 198.51.100.137", "default via 3fff:500:1000::1"])
    lab.router(
        "cpe",
        note="the customer's router",
        routes=[
            *(f"default via {plain(ends[0])}" for ends in (CUSTOMER.wan_v4, CUSTOMER.wan_v6)),
            "3fff:500:1000::/48 unreachable",
        ],
    )
    add_isp(lab, isp)
    add_internet(lab, isp)
    lab.link(
        "lan",
        "cpe:lan 198.51.100.137/29 3fff:500:1000::1/64",
        f"pc:eth0 {PC}/29 {PC_V6}/64",
    )
    link_customer(lab, CUSTOMER)

    lab.group("Customer", "pc", "cpe")
    lab.group("ISP (AS 64500)", *isp.routers)
    lab.group("Transit", *(upstream.name for upstream in isp.upstreams))
    lab.group("AS 64510", CONTENT, "www")
    return lab.build()
