"""Overlapping subnets: the rule, case by case, and against a slow and obvious reference."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from itertools import combinations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from testbed.errors import TopologyError
from testbed.model import Builder, Interface, Link, Node, Service, Topology
from testbed.model.checks.index import Index
from testbed.model.checks.subnets import check_overlaps
from testbed.model.topology import HOST, ROUTER, SWITCH

_TRANSLATOR = "table ip nat { chain c { type nat hook postrouting priority 100; masquerade } }"


def _codes(lab: Builder) -> set[str]:
    try:
        lab.build()
    except TopologyError as error:
        return {problem.code for problem in error.problems}
    return set()


def _two_homes(firewall: str | None, services: tuple[Service, ...] = ()) -> Builder:
    lab = Builder("two-homes")
    lab.router("isp")
    for home, subnet in (("a", 0), ("b", 4)):
        lab.router(f"ce-{home}", firewall=firewall, services=services)
        lab.host(f"host-{home}")
        lab.link(
            f"wan-{home}",
            f"ce-{home}:wan 203.0.113.{subnet + 1}/30 2001:db8:{subnet}::1/64",
            f"isp:{home} 203.0.113.{subnet + 2}/30 2001:db8:{subnet}::2/64",
        )
        lab.link(f"lan-{home}", f"ce-{home}:lan 192.168.1.1/24", f"host-{home}:eth0 192.168.1.2/24")
    return lab


def test_two_homes_behind_translators_may_use_one_private_prefix() -> None:
    assert _codes(_two_homes(_TRANSLATOR)) == set()
    assert _codes(_two_homes(None, (Service("map-e", ("testbed", "mape", "ce")),))) == set()


def test_two_homes_behind_plain_routers_may_not() -> None:
    assert _codes(_two_homes(None)) == {"overlapping-subnets"}


def test_a_forwarding_host_is_a_plain_router() -> None:
    def lab(forwarding: str) -> Builder:
        lab = Builder("forwarding")
        lab.host("middle", sysctls={"net.ipv4.ip_forward": forwarding})
        lab.router("r")
        lab.host("a")
        lab.host("b")
        lab.link("up", "middle:up 10.0.0.1/24", "r:down 10.0.0.2/24")
        lab.link("left", "middle:left 10.0.1.1/24", "a:eth0 10.0.1.2/24")
        lab.link("right", "r:right 10.0.1.3/24", "b:eth0 10.0.1.4/24")
        return lab

    assert _codes(lab("1")) == {"overlapping-subnets"}
    assert _codes(lab("0")) == set()


def test_links_of_one_switch_are_one_place() -> None:
    lab = Builder("switched")
    lab.switch("sw")
    for number in (1, 2, 3):
        lab.host(f"h{number}")
        lab.link(f"l{number}", f"sw:p{number}", f"h{number}:eth0 203.0.113.{number}/24")
    assert _codes(lab) == set()


def test_host_addresses_are_in_no_subnet() -> None:
    lab = Builder("anycast")
    lab.router("r")
    for number in (1, 2):
        lab.host(f"dns{number}")
        lab.link(
            f"l{number}",
            f"r:p{number} 203.0.113.{number * 4 + 1}/30",
            f"dns{number}:eth0 203.0.113.{number * 4 + 2}/30 203.0.113.53/32 2001:db8::53/128",
        )
    assert _codes(lab) == set()


@dataclass(frozen=True)
class _Held:
    node: str
    interface: str
    segment: int
    network: IPv4Network | IPv6Network


def _expected(topology: Topology) -> bool:
    """Is there an overlap that is a mistake?  Straight from the text of the rule, all with all."""
    roles = {node.name: node for node in topology.nodes}
    segment = list(range(len(topology.links)))
    for _ in topology.links:  # let the smallest number spread over every switch
        for one, other in combinations(range(len(topology.links)), 2):
            shared = {end.node for end in topology.links[one].ends} & {
                end.node for end in topology.links[other].ends
            }
            if any(roles[name].role == SWITCH for name in shared):
                segment[one] = segment[other] = min(segment[one], segment[other])
    reach = {number: {number} for number in segment}
    for _ in topology.links:
        for one, other in combinations(range(len(topology.links)), 2):
            shared = {end.node for end in topology.links[one].ends} & {
                end.node for end in topology.links[other].ends
            }
            plain = [roles[name] for name in shared if roles[name].role == ROUTER]
            if any(not node.services and node.firewall is None for node in plain):
                both = reach[segment[one]] | reach[segment[other]]
                for number in both:
                    reach[number] = reach[number] | both
    held = [
        _Held(end.node, end.label, segment[number], address.network)
        for number, link in enumerate(topology.links)
        for end in link.ends
        for address in end.addresses
        if address.network.prefixlen < address.max_prefixlen
        and not address.network.is_link_local
        and roles[end.node].role != SWITCH
    ]
    private = [ip_network("10.0.0.0/8"), ip_network("fc00::/7")]

    def reusable(network: IPv4Network | IPv6Network) -> bool:
        return any(
            network.version == known.version and network.network_address in known
            for known in private
        )

    for mine, theirs in combinations(held, 2):
        if mine.network.version != theirs.network.version:
            continue
        if not mine.network.overlaps(theirs.network):
            continue
        if mine.node == theirs.node and mine.interface != theirs.interface:
            return True
        if mine.segment == theirs.segment:
            continue
        if not (reusable(mine.network) and reusable(theirs.network)):
            return True
        if theirs.segment in reach[mine.segment]:
            return True
    return False


_addresses = st.sampled_from(
    [
        "10.0.0.1/8",
        "10.0.0.1/24",
        "10.0.0.130/25",
        "10.0.1.1/24",
        "10.0.0.1/32",
        "198.51.100.1/24",
        "198.51.100.129/25",
        "203.0.113.1/24",
        "203.0.113.1/32",
        "fd00::1/48",
        "fd00:0:0:1::1/64",
        "2001:db8::1/32",
        "2001:db8:7::1/64",
        "2001:db8:7::1/128",
        "fe80::1/64",
    ]
).map(ip_interface)


@st.composite
def _small_labs(draw: st.DrawFn) -> Topology:
    names = "abcdef"[: draw(st.integers(2, 6))]
    nodes = []
    for name in names:
        role = draw(st.sampled_from([HOST, ROUTER, ROUTER, SWITCH]))
        firewall = draw(st.sampled_from([None, None, _TRANSLATOR])) if role == ROUTER else None
        nodes.append(Node(name, role, firewall=firewall))
    switches = {node.name for node in nodes if node.role == SWITCH}
    links = []
    for number in range(draw(st.integers(1, 5))):
        ends = []
        for side in "xy":
            node = draw(st.sampled_from(names))
            few = st.lists(_addresses, max_size=2, unique=True).map(tuple)
            addresses = () if node in switches else draw(few)
            ends.append(Interface(node, f"{side}{number}", addresses))
        links.append(Link(f"l{number}", tuple(ends)))
    return Topology("small", nodes=tuple(nodes), links=tuple(links))


@settings(max_examples=300, deadline=None)
@given(_small_labs())
@example(
    Topology(
        "nested",
        nodes=(Node("a"), Node("b"), Node("c")),
        links=(
            Link("l0", (Interface("a", "x", (ip_interface("10.0.0.1/8"),)),)),
            Link("l1", (Interface("b", "x", (ip_interface("10.0.0.1/24"),)),)),
        ),
    )
)
def test_the_sweep_finds_what_comparing_all_with_all_finds(topology: Topology) -> None:
    found = list(check_overlaps(Index(topology)))
    assert bool(found) == _expected(topology), found
