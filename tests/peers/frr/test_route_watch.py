"""The kernel's routes: what iproute2 puts there in the name of FRR's daemons is told."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.events import RouteChanged
from testbed.peers.frr.route_watch import Route, RouteEars, RouteTable
from tests.kernel.in_netns import in_new_network

_NAMES = {2: "a", 3: "b"}
_ROUTES = st.builds(
    Route,
    prefix=st.sampled_from(["192.0.2.0/24", "198.51.100.0/24", "3fff::/32"]),
    by=st.sampled_from(["ospf", "bgp"]),
    hops=st.lists(
        st.tuples(st.none() | st.just("192.0.2.1"), st.sampled_from([2, 3, 4])), max_size=3
    ).map(tuple),
)


def test_new_changed_gone() -> None:
    table = RouteTable()
    first = Route("192.0.2.0/24", "ospf", (("10.0.0.1", 2),))
    both = Route("192.0.2.0/24", "ospf", (("10.0.0.2", 3), ("10.0.0.1", 2)))
    assert list(table.take([first], _NAMES)) == [
        RouteChanged("192.0.2.0/24", "ospf", ("10.0.0.1 dev a",))
    ]
    assert list(table.take([first], _NAMES)) == []
    assert list(table.take([both], _NAMES)) == [
        RouteChanged(
            "192.0.2.0/24", "ospf", ("10.0.0.1 dev a", "10.0.0.2 dev b"), ("10.0.0.1 dev a",)
        )
    ]
    assert list(table.take([], _NAMES)) == [
        RouteChanged("192.0.2.0/24", "ospf", (), ("10.0.0.1 dev a", "10.0.0.2 dev b"))
    ]


@given(st.lists(st.lists(_ROUTES, max_size=4), max_size=5))
def test_the_changes_add_up_to_the_tables(tables: list[list[Route]]) -> None:
    """Whoever hears every change knows what the table is; nothing is told that did not change."""
    table, heard = RouteTable(), dict[str, tuple[str, ...]]()
    for routes in tables:
        for change in table.take(routes, _NAMES):
            assert heard.get(change.prefix, ()) == change.was != change.now
            heard[change.prefix] = change.now
        assert {prefix: hops for prefix, hops in heard.items() if hops} == _plain(routes)


def _plain(routes: Iterable[Route]) -> dict[str, tuple[str, ...]]:
    """Slow and clear: all next hops of each prefix, in words."""
    found: dict[str, set[str]] = {}
    for route in routes:
        for via, link in route.hops:
            words = f"dev {_NAMES.get(link, link)}"
            found.setdefault(route.prefix, set()).add(f"{via} {words}" if via else words)
    return {prefix: tuple(sorted(words)) for prefix, words in found.items()}


def _ip(*lines: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


@pytest.mark.needs_root
@pytest.mark.parametrize("user_namespace", [False, True], ids=["root", "ordinary user"])
def test_the_real_kernel(user_namespace: bool) -> None:
    def work() -> list[list[tuple[str, str, tuple[str, ...]]]]:
        _ip(
            "link add name north type veth peer name north2",
            "link add name south type veth peer name south2",
            *(f"link set {name} up" for name in ("north", "north2", "south", "south2")),
            "addr add 192.0.2.1/24 dev north",
            "addr add 198.51.100.1/24 dev south",
            "addr add 3fff:a::1/64 dev north nodad",
            "addr add 3fff:b::1/64 dev south nodad",
        )
        ears = RouteEars()
        told = []
        for step in (
            (
                "route add 203.0.113.0/24 via 192.0.2.2 proto ospf",
                "route add 203.0.113.128/25 via 192.0.2.2 proto static",
                "route add 3fff:c::/32 proto bgp nexthop via 3fff:a::2 nexthop via 3fff:b::2",
            ),
            (
                "route replace 203.0.113.0/24 proto ospf nexthop via 192.0.2.2 "
                "nexthop via 198.51.100.2",
                "route del 3fff:c::/32 via 3fff:a::2",
            ),
            ("link set south down",),
            ("route flush proto ospf",),
        ):
            _ip(*step)
            told.append([(one.prefix, one.by, one.now) for one in ears.changes()])
        assert ears.changes() == []
        ears.close()
        return told

    assert in_new_network(work, user_namespace=user_namespace) == [
        [
            ("203.0.113.0/24", "ospf", ("192.0.2.2 dev north",)),
            ("3fff:c::/32", "bgp", ("3fff:a::2 dev north", "3fff:b::2 dev south")),
        ],
        [
            ("203.0.113.0/24", "ospf", ("192.0.2.2 dev north", "198.51.100.2 dev south")),
            ("3fff:c::/32", "bgp", ("3fff:b::2 dev south",)),
        ],
        [("203.0.113.0/24", "ospf", ("192.0.2.2 dev north",)), ("3fff:c::/32", "bgp", ())],
        [("203.0.113.0/24", "ospf", ())],
    ]
