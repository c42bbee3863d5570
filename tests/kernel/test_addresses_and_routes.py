"""Addresses, neighbours, routes and rules we make, judged by what ``ip`` reads back."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Network, ip_address, ip_interface, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import KernelError
from testbed.kernel import addresses, links, routes
from testbed.kernel.netlink import Request
from testbed.kernel.routes import Rule, add_route, add_rule, delete_rule
from testbed.kernel.rtnl import RouteSocket
from tests.kernel.in_netns import in_new_network, show


def _pair(kernel: RouteSocket) -> None:
    """A veth pair, indices 10 and 11, names a and b, both up, without link-local addresses."""
    kernel.run(
        links.change("lo", up=True),
        links.veth(links.VethEnd("a", 10), links.VethEnd("b", 11)),
        links.change(10, link_local=False),
        links.change(11, link_local=False),
        links.change(10, up=True),
        links.change(11, up=True),
    )
    kernel.settle((10, 11))


def _with_pair(*requests: Request, read: Callable[[RouteSocket], Any]) -> Any:
    def work() -> Any:
        with RouteSocket() as kernel:
            _pair(kernel)
            kernel.run(*requests)
            return read(kernel)

    return in_new_network(work)


def _ip(*command: str) -> Callable[[RouteSocket], Any]:
    return lambda _: show("ip", "-j", "-d", "-N", *command)


def _addresses(device: str) -> Callable[[RouteSocket], Any]:
    def read(_: RouteSocket) -> dict[str, Any]:
        (link,) = show("ip", "-j", "addr", "show", "dev", device)
        return {entry["local"]: entry for entry in link["addr_info"]}

    return read


@pytest.mark.needs_root
def test_addresses_carry_their_flags_and_lifetimes() -> None:
    seen = _with_pair(
        addresses.add_address(10, "192.0.2.1/24", broadcast="192.0.2.255"),
        addresses.add_address(10, IPv4Interface("198.51.100.1/32"), peer="198.51.100.2"),
        addresses.add_address(10, "2001:db8::1/64", nodad=True, prefix_route=False),
        addresses.add_address(10, "2001:db8:1::1/64", preferred_s=1800, valid_s=3600),
        read=_addresses("a"),
    )
    assert (seen["192.0.2.1"]["prefixlen"], seen["192.0.2.1"]["broadcast"]) == (24, "192.0.2.255")
    assert seen["198.51.100.1"]["address"] == "198.51.100.2"
    first, second = seen["2001:db8::1"], seen["2001:db8:1::1"]
    assert first["nodad"]
    assert first["noprefixroute"]
    assert "tentative" not in first
    assert first["valid_life_time"] == addresses.FOREVER
    assert "nodad" not in second
    assert 3590 < second["valid_life_time"] <= 3600
    assert 1790 < second["preferred_life_time"] <= 1800


@pytest.mark.needs_root
def test_an_address_without_prefix_route_adds_no_route() -> None:
    table = _with_pair(
        addresses.add_address(10, "192.0.2.1/24", prefix_route=False),
        addresses.add_address(11, "198.51.100.1/24"),
        read=_ip("route"),
    )
    assert [route["dst"] for route in table] == ["198.51.100.0/24"]


@pytest.mark.needs_root
def test_addresses_are_replaced_and_deleted() -> None:
    seen = _with_pair(
        addresses.add_address(10, "192.0.2.1/24"),
        addresses.add_address(10, "2001:db8::1/64", nodad=True),
        addresses.add_address(10, "2001:db8::1/64", nodad=True, valid_s=77, replace=True),
        addresses.add_address(10, "2001:db8::2/64", nodad=True),
        addresses.delete_address(10, "192.0.2.1/24"),
        addresses.delete_address(10, "2001:db8::2/64"),
        read=_addresses("a"),
    )
    assert set(seen) == {"2001:db8::1"}
    assert seen["2001:db8::1"]["valid_life_time"] <= 77


@pytest.mark.needs_root
def test_the_address_dump_tells_what_ip_tells() -> None:
    def read(kernel: RouteSocket) -> Any:
        return kernel.addresses(), show("ip", "-j", "addr")

    ours, theirs = _with_pair(
        addresses.add_address(10, "192.0.2.1/24"),
        addresses.add_address(10, "198.51.100.1/32", peer="198.51.100.2"),
        addresses.add_address(11, "2001:db8::1/64", valid_s=500, nodad=True),
        read=read,
    )
    told = {
        (link["ifindex"], entry["local"]): entry for link in theirs for entry in link["addr_info"]
    }
    assert {(entry.link, str(entry.address.ip)) for entry in ours} == set(told)
    for entry in ours:
        judge = told[entry.link, str(entry.address.ip)]
        assert entry.scope == judge["scope"]
        assert (entry.peer is None) == ("address" not in judge)
        assert entry.nodad == judge.get("nodad", False)
        assert entry.tentative == judge.get("tentative", False)
        assert entry.permanent == (not judge.get("dynamic", False))
        assert (entry.valid_s is None) == (judge["valid_life_time"] == addresses.FOREVER)
        if entry.peer is None:
            assert entry.address.network.prefixlen == judge["prefixlen"]
    assert next(e for e in ours if e.peer is not None).peer == ip_address("198.51.100.2")


ROUTES: list[tuple[Request, tuple[str, ...], dict[str, Any]]] = [
    (
        add_route("198.51.100.0/24", via="192.0.2.254"),
        ("route", "show", "198.51.100.0/24"),
        {"gateway": "192.0.2.254", "dev": "a", "type": "1", "protocol": "4", "scope": "0"},
    ),
    (
        add_route("198.51.100.0/24", via="203.0.113.1", link=10, onlink=True),
        ("route", "show", "198.51.100.0/24"),
        {"gateway": "203.0.113.1", "dev": "a", "flags": ["onlink"]},
    ),
    (
        add_route("default", link=11),
        ("route", "show", "default"),
        {"dev": "b", "scope": "253"},
    ),
    (
        add_route("default", via="2001:db8::99"),
        ("-6", "route", "show", "default"),
        {"gateway": "2001:db8::99", "dev": "a"},
    ),
    (
        add_route("default", link=11, family=6, metric=33),
        ("-6", "route", "show", "default"),
        {"dev": "b", "metric": 33},
    ),
    (
        add_route("198.51.100.0/24", via="192.0.2.254", metric=50, mtu=1460, source="192.0.2.1"),
        ("route", "show", "198.51.100.0/24"),
        {"metric": 50, "metrics": [{"mtu": 1460}], "prefsrc": "192.0.2.1"},
    ),
    (
        add_route("2001:db8:9::/48", via="2001:db8::99", mtu=1280, source="2001:db8::1"),
        ("-6", "route", "show", "2001:db8:9::/48"),
        {"metrics": [{"mtu": 1280}], "prefsrc": "2001:db8::1", "gateway": "2001:db8::99"},
    ),
    (
        add_route("198.51.100.0/24", via="192.0.2.254", table=100),
        ("route", "show", "table", "100"),
        {"dst": "198.51.100.0/24", "gateway": "192.0.2.254"},
    ),
    (
        add_route("2001:db8:9::/48", via="2001:db8::99", table=70000),
        ("-6", "route", "show", "table", "70000"),
        {"dst": "2001:db8:9::/48"},
    ),
    (
        add_route("198.51.100.0/24", kind="blackhole"),
        ("route", "show", "198.51.100.0/24"),
        {"type": "6"},
    ),
    (
        add_route("198.51.100.0/24", kind="unreachable"),
        ("route", "show", "198.51.100.0/24"),
        {"type": "7"},
    ),
    (
        add_route("2001:db8:9::/48", kind="prohibit"),
        ("-6", "route", "show", "2001:db8:9::/48"),
        {"type": "8"},
    ),
    (
        add_route("198.51.100.7", link=1, kind="local", table=routes.TABLE_LOCAL),
        ("route", "show", "table", "255", "198.51.100.7"),
        {"type": "2", "dev": "lo", "scope": "254"},
    ),
    (
        add_route("198.51.100.0/24", via="2001:db8::99", link=10),
        ("route", "show", "198.51.100.0/24"),
        {"via": {"family": "inet6", "host": "2001:db8::99"}, "dev": "a"},
    ),
]


@pytest.mark.needs_root
@pytest.mark.parametrize(("request_", "command", "expected"), ROUTES, ids=lambda v: "")
def test_a_route_is_as_asked(
    request_: Request, command: tuple[str, ...], expected: dict[str, Any]
) -> None:
    (seen,) = _with_pair(
        addresses.add_address(10, "192.0.2.1/24"),
        addresses.add_address(10, "2001:db8::1/64", nodad=True),
        request_,
        read=_ip(*command),
    )
    assert {name: seen.get(name) for name in expected} == expected


@pytest.mark.needs_root
def test_routes_are_replaced_and_deleted() -> None:
    base = (
        addresses.add_address(10, "192.0.2.1/24"),
        addresses.add_address(10, "2001:db8::1/64", nodad=True),
        add_route("198.51.100.0/24", via="192.0.2.254"),
        add_route("198.51.100.0/24", via="192.0.2.253", replace=True),
        add_route("default", via="192.0.2.254"),
        add_route("default", via="2001:db8::99"),
        add_route("203.0.113.0/24", via="192.0.2.254", table=1000, metric=7),
    )
    kept = _with_pair(*base, read=lambda kernel: kernel.routes())
    wanted = {str(route.destination): route for route in kept if route.protocol == 4}
    assert str(wanted["198.51.100.0/24"].via) == "192.0.2.253"
    assert set(wanted) == {"198.51.100.0/24", "0.0.0.0/0", "::/0", "203.0.113.0/24"}
    gone = _with_pair(
        *base,
        routes.delete_route("198.51.100.0/24"),
        routes.delete_route("default", family=4),
        routes.delete_route("default", via="2001:db8::99"),
        routes.delete_route("203.0.113.0/24", table=1000, metric=7),
        read=lambda kernel: kernel.routes(),
    )
    assert [route for route in gone if route.protocol == 4] == []


@pytest.mark.needs_root
def test_the_route_dump_tells_what_ip_tells() -> None:
    def read(kernel: RouteSocket) -> Any:
        shown = show("ip", "-j", "-N", "-d", "-4", "route", "show", "table", "all")
        return kernel.routes(), shown + show(
            "ip", "-j", "-N", "-d", "-6", "route", "show", "table", "all"
        )

    ours, theirs = _with_pair(
        addresses.add_address(10, "192.0.2.1/24"),
        addresses.add_address(10, "2001:db8::1/64", nodad=True),
        add_route("default", link=11),
        add_route("default", via="2001:db8::99", metric=33),
        add_route("198.51.100.0/24", via="192.0.2.254", mtu=1460, source="192.0.2.1", table=100),
        add_route("2001:db8:9::/48", via="2001:db8::99", table=70000),
        add_route("2001:db8:8::/48", kind="prohibit"),
        read=read,
    )
    names = {"lo": 1, "a": 10, "b": 11}
    types = {"1": "unicast", "2": "local", "3": "broadcast", "4": "anycast", "5": "multicast"}
    types["8"] = "prohibit"
    told = sorted(
        (
            route["dst"].replace("default", "::/0" if _is_v6(route) else "0.0.0.0/0"),
            types[route["type"]],
            int(route.get("table", 254)),
            route.get("gateway", ""),
            names.get(route.get("dev", ""), 0),
            (route.get("metrics") or [{}])[0].get("mtu", 0),
            route.get("prefsrc", ""),
        )
        for route in theirs
    )
    read_by_us = sorted(
        (
            _plain(str(route.destination)),
            route.kind,
            route.table,
            str(route.via or ""),
            route.link or 0,
            route.mtu or 0,
            str(route.source or ""),
        )
        for route in ours
    )
    assert read_by_us == told


def _is_v6(route: dict[str, Any]) -> bool:
    return ":" in route.get("gateway", "") or "pref" in route


def _plain(prefix: str) -> str:
    return prefix.removesuffix("/32") if ":" not in prefix else prefix.removesuffix("/128")


@pytest.mark.needs_root
def test_neighbours_are_made_read_and_deleted() -> None:
    def read(kernel: RouteSocket) -> Any:
        proxies = show("ip", "-j", "-6", "neigh", "show", "proxy")
        static = show("ip", "-j", "neigh", "show", "nud", "permanent")
        ours = [entry for entry in kernel.neighbours() if entry.proxy or entry.state == "permanent"]
        kernel.run(
            addresses.delete_neighbour(10, "192.0.2.9"),
            addresses.delete_neighbour(10, "2001:db8::8", proxy=True),
        )
        return static, proxies, ours, show("ip", "-j", "neigh", "show", "nud", "permanent")

    static, proxies, ours, after = _with_pair(
        addresses.add_address(10, "192.0.2.1/24"),
        addresses.add_neighbour(10, "192.0.2.9", "02:00:00:00:00:09"),
        addresses.add_neighbour(10, "2001:db8::9", "02:00:00:00:00:19"),
        addresses.add_proxy_neighbour(10, "2001:db8::8"),
        read=read,
    )
    assert {(e["dst"], e["lladdr"]) for e in static} == {
        ("192.0.2.9", "02:00:00:00:00:09"),
        ("2001:db8::9", "02:00:00:00:00:19"),
    }
    assert [entry["dst"] for entry in proxies] == ["2001:db8::8"]
    assert {(str(e.address), e.mac, e.proxy) for e in ours} == {
        ("192.0.2.9", "02:00:00:00:00:09", False),
        ("2001:db8::9", "02:00:00:00:00:19", False),
        ("2001:db8::8", None, True),
    }
    assert [entry["dst"] for entry in after] == ["2001:db8::9"]


@pytest.mark.needs_root
def test_rules_are_made_read_and_deleted() -> None:
    asked = [
        Rule(4, priority=100, table=100, source="192.0.2.0/24", destination="198.51.100.7/32"),
        Rule(4, priority=101, table=70000, fwmark=0x10, fwmask=0xF0, iif="a"),
        Rule(4, priority=102, action="prohibit", oif="b"),
        Rule(6, priority=103, table=100, source="2001:db8::/32"),
        Rule(6, priority=104, suppress_prefix_length=0),
    ]

    def read(kernel: RouteSocket) -> Any:
        told = show("ip", "-j", "-N", "rule"), show("ip", "-j", "-N", "-6", "rule")
        ours = [rule for rule in kernel.rules() if 100 <= rule.priority < 200]
        kernel.run(*map(delete_rule, asked))
        return told, ours, [rule for rule in kernel.rules() if 100 <= rule.priority < 200]

    (told4, told6), ours, after = _with_pair(*map(add_rule, asked), read=read)
    by_priority = {rule["priority"]: rule for rule in told4 + told6}
    assert by_priority[100] == {
        "priority": 100,
        "src": "192.0.2.0",
        "srclen": 24,
        "dst": "198.51.100.7",
        "table": "100",
        "protocol": "4",
    }
    assert by_priority[101]["fwmark"] == "0x10"
    assert by_priority[101]["fwmask"] == "0xf0"
    assert by_priority[101]["iif"] == "a"
    assert by_priority[101]["table"] == "70000"
    assert by_priority[102]["oif"] == "b"
    assert by_priority[102]["action"] == "8"  # FR_ACT_PROHIBIT
    assert (by_priority[103]["src"], by_priority[103]["srclen"]) == ("2001:db8::", 32)
    assert by_priority[104]["suppress_prefixlen"] == 0
    assert [
        (rule.family, rule.priority, rule.action, rule.iif, rule.oif, rule.fwmark) for rule in ours
    ] == [(r.family, r.priority, r.action, r.iif, r.oif, r.fwmark) for r in asked]
    assert ours[0].source == ip_network("192.0.2.0/24")
    assert ours[1].table == 70000
    assert after == []


@pytest.mark.needs_root
def test_a_rule_of_the_kernels_choice_of_priority_works() -> None:
    rules = _with_pair(add_rule(Rule(4, table=9)), read=_ip("rule"))
    assert [rule for rule in rules if rule["table"] == "9"]


@pytest.mark.needs_root
def test_a_gateway_out_of_reach_is_refused_with_advice() -> None:
    def read(kernel: RouteSocket) -> str:
        with pytest.raises(KernelError) as caught:
            kernel.run(add_route("default", via="203.0.113.1").at("node r1"))
        return str(caught.value)

    text = _with_pair(read=read)
    assert "node r1: could not add the route to default via 203.0.113.1" in text
    assert "mark the route onlink" in text


@given(st.ip_addresses(), st.data())
def test_text_and_objects_pack_alike(address: Any, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, address.max_prefixlen))
    packed = addresses.PackedPrefix(2 if address.version == 4 else 10, address.packed, length)
    interface = ip_interface((address, length))
    assert addresses.pack_prefix(f"{address}/{length}") == packed
    assert addresses.pack_prefix(interface) == packed
    network = interface.network
    assert addresses.pack_prefix(network) == addresses.pack_prefix(str(network))
    assert addresses.pack_address(str(address)) == addresses.pack_address(address)
    assert addresses.pack_prefix(str(address)).length == address.max_prefixlen


@pytest.mark.parametrize("text", ["", "192.0.2", "2001:db8::/129", "192.0.2.1/33", "192.0.2.1/-1"])
def test_bad_prefixes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an IP address|no prefix length"):
        addresses.pack_prefix(text)


def test_families_must_fit() -> None:
    with pytest.raises(ValueError, match="cannot go through the IPv4 gateway"):
        add_route("2001:db8::/32", via="192.0.2.1")
    with pytest.raises(ValueError, match="not an IPv4 prefix"):
        add_rule(Rule(4, source=IPv6Network("2001:db8::/32")))
