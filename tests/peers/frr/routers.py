"""Routers for tests."""

from __future__ import annotations

from testbed.peers.frr.router import Bfd, Bgp, BgpNeighbor, FrrRouter, OspfInterface

BORDER = FrrRouter(
    "br1",
    "192.0.2.5",
    ("192.0.2.5/32", "3fff:5ff::5/128"),
    (
        OspfInterface("p1", cost=20, hello_s=5, dead_s=20, bfd=Bfd(100, 4)),
        OspfInterface("office", passive=True),
    ),
    Bgp(
        64500,
        (
            BgpNeighbor("192.0.2.3", 64500, "p1", source="lo", next_hop_self=True),
            BgpNeighbor("3fff:5ff::3", 64500, "p1", source="lo", client=True),
            BgpNeighbor(
                "203.0.113.129",
                64501,
                "transit-a",
                preference=200,
                announce=("198.51.100.0/24", "3fff:500::/32"),
                bfd=Bfd(300, 3, shut=True),
            ),
            BgpNeighbor("3fff:a00::2", 64501, "transit-a", announce=()),
        ),
        networks=("198.51.100.0/24", "3fff:500::/32"),
    ),
)
