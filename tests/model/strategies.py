"""Topologies that are valid by construction, for every test that needs "any lab".

Every segment gets prefixes of its own, so nothing overlaps; every name is new; routes lead to a
neighbour's address.  :func:`topologies` is the entry; the parts are usable by themselves.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface, ip_network

from hypothesis import strategies as st

from testbed.model import Fault, Impairment, Interface, Link, Node, Ready, Route, Service, Topology
from testbed.model.fault import (
    CUT,
    FLUSH_ADDRESSES,
    IMPAIR,
    KILL_SERVICE,
    REBOOT,
    RESTART_SERVICE,
    RESTORE,
    SET_ADDRESSES,
)
from testbed.model.topology import HOST, ROLES, ROUTER, SWITCH, SWITCHES

_LETTERS = string.ascii_letters + string.digits
_RESERVED = {"lo", "all", "default", "br0", "sit0", "gre0"}
_REUSED = "192.168.1.0/24"

host_names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,8}[A-Za-z0-9])?", fullmatch=True)
free_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)
interface_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,14}", fullmatch=True).filter(
    lambda name: name not in _RESERVED
)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
one_line = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=30)
arguments = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
seconds = st.one_of(
    st.sampled_from([0.001, 0.02, 0.25, 1.5, 5.0, 60.0]),
    st.floats(min_value=1e-9, max_value=1e6, allow_nan=False),
)
fractions = st.one_of(
    st.sampled_from([0.0, 0.001, 0.01, 0.5, 1.0]), st.floats(min_value=0.0, max_value=1.0)
)


@st.composite
def impairments(draw: st.DrawFn) -> Impairment:
    """Any impairment a link can have."""
    delay = draw(st.one_of(st.just(0.0), seconds))
    return Impairment(
        rate=draw(
            st.one_of(st.none(), st.sampled_from([8, 64_000, 10**8]), st.integers(1, 10**12))
        ),
        delay=delay,
        jitter=draw(st.one_of(st.just(0.0), seconds)) if delay else 0.0,
        loss=draw(fractions),
        reorder=draw(fractions) if delay else 0.0,
        duplicate=draw(fractions),
        corrupt=draw(fractions),
        queue=draw(st.one_of(st.none(), st.integers(1, 10_000))),
    )


readiness = st.one_of(
    st.just(Ready()),
    st.builds(
        Ready, st.sampled_from(["tcp", "udp"]), st.integers(1, 65535).map(str), timeout=seconds
    ),
    st.builds(Ready, st.just("notify"), timeout=seconds),
    st.builds(Ready, st.just("log"), st.sampled_from(["ready", "listening on .*", " two  blanks"])),
    st.builds(Ready, st.just("file"), st.sampled_from(["/run/x", "{run}/socket"])),
    st.builds(Ready, st.just("command"), arguments.filter(str.strip)),
)


@st.composite
def services(draw: st.DrawFn, name: str, earlier: list[str]) -> Service:
    """A service that comes after some of the earlier ones (``node/service``)."""
    files = st.dictionaries(free_names, any_text, max_size=2)
    env = st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True), arguments, max_size=2
    )
    secrets: list[tuple[str, ...]] = [(), (f"secret-{draw(st.integers(0, 2**64)):x}-{name}",)]
    return Service(
        name=name,
        command=(draw(arguments.filter(str.strip)), *draw(st.lists(arguments, max_size=3))),
        ready=draw(readiness),
        files=tuple(draw(files).items()),
        env=tuple(draw(env).items()),
        after=tuple(draw(st.lists(st.sampled_from(earlier), unique=True))) if earlier else (),
        secrets=draw(st.sampled_from(secrets)),
        stop_signal=draw(st.sampled_from(["TERM", "INT", "KILL", "USR1"])),
        stop_timeout=draw(seconds),
        needs=draw(st.sampled_from([(), ("tun",), ("esp", "nf_tables")])),
        capabilities=draw(st.sampled_from([(), ("NET_ADMIN",), ("NET_RAW", "SYS_TIME")])),
        devices=draw(st.sampled_from([(), ("/dev/net/tun",)])),
    )


@dataclass(slots=True)
class _Draft:
    """A lab being drawn."""

    roles: dict[str, str]
    ends: list[list[Interface]] = field(default_factory=list)
    mtus: list[int] = field(default_factory=list)
    used: set[str] = field(default_factory=set)  # labels of interfaces
    reusing: set[str] = field(default_factory=set)  # nodes with an address of the reused prefix


def _interface(draw: st.DrawFn, draft: _Draft, node: str) -> Interface:
    name = draw(interface_names.filter(lambda text: f"{node}:{text}" not in draft.used))
    draft.used.add(f"{node}:{name}")
    return Interface(node, name, impairment=draw(st.one_of(st.none(), st.none(), impairments())))


def _wire(draw: st.DrawFn, draft: _Draft) -> list[int]:
    """Links without addresses; gives the number of the segment of each link.

    A switch is joined to those before it by at most one link each way up, so nothing circles.
    """
    segments: list[int] = []
    of_switch: dict[str, int] = {}
    stations = [name for name, role in draft.roles.items() if role != SWITCH]
    for switch in (name for name, role in draft.roles.items() if role == SWITCH):
        others = [*of_switch, *stations]
        if not others:
            continue
        other = draw(st.sampled_from(others))
        segment = of_switch.get(other, len(set(segments)))
        of_switch[switch] = segment
        draft.ends.append([_interface(draw, draft, switch), _interface(draw, draft, other)])
        segments.append(segment)
    for _ in range(draw(st.integers(0, 4)) if stations else 0):
        members = draw(st.lists(st.sampled_from(stations), min_size=1, max_size=3))
        ends = [_interface(draw, draft, node) for node in members]
        segment = len(set(segments))
        if len(members) == 1:
            if not of_switch:
                continue
            switch = draw(st.sampled_from(sorted(of_switch)))
            ends.append(_interface(draw, draft, switch))
            segment = of_switch[switch]
        draft.ends.append(ends)
        segments.append(segment)
    return segments


def _address(draw: st.DrawFn, draft: _Draft, segments: list[int]) -> None:
    """Give each segment prefixes of its own (or the reused one), and each end a choice of them."""
    for segment in sorted(set(segments)):
        links = [number for number, other in enumerate(segments) if other == segment]
        nodes = {end.node for number in links for end in draft.ends[number]}
        alone = all(draft.roles[node] != ROUTER for node in nodes) and not nodes & draft.reusing
        four = f"10.{segment // 256}.{segment % 256}.0/24"
        if alone and draw(st.booleans()):
            four = _REUSED
            draft.reusing |= nodes
        six = f"2001:db8:{segment:x}::/64"
        mtu = draw(st.sampled_from([1280, 1460, 1500, 9000]))
        position = 0
        seen: set[str] = set()
        for number in links:
            draft.mtus[number] = mtu
            for index, end in enumerate(draft.ends[number]):
                position += 1
                if draft.roles[end.node] == SWITCH or end.node in seen:
                    continue
                seen.add(end.node)
                choices = [
                    ip_interface(f"{ip_network(four)[position]}/24"),
                    ip_interface(f"{ip_network(six)[position]}/64"),
                    ip_interface(f"fe80::{position:x}/64"),
                    ip_interface(f"203.0.113.{position}/32"),
                    ip_interface(f"2001:db8:ffff:{segment:x}::{position:x}/128"),
                ]
                addresses = draw(st.lists(st.sampled_from(choices), unique=True))
                mac = draw(st.sampled_from([None, f"02:00:00:00:{segment:02x}:{position:02x}"]))
                draft.ends[number][index] = replace(end, addresses=tuple(addresses), mac=mac)


def _routes(
    draw: st.DrawFn, node: str, links: list[Link], segments: list[int]
) -> tuple[Route, ...]:
    """Routes through neighbours, out of interfaces, and to nowhere; no two to one prefix."""
    hops: list[tuple[str, str]] = []
    devices: list[str] = []
    for link, segment in zip(links, segments, strict=True):
        for mine in (end for end in link.ends if end.node == node):
            devices.append(mine.name)
            networks = [a.network for a in mine.addresses if a.network.prefixlen in (24, 64)]
            hops += [
                (str(other.ip), mine.name)
                for near, its in zip(links, segments, strict=True)
                if its == segment
                for end in near.ends
                if end.node != node
                for other in end.addresses
                if any(other.ip in network for network in networks) and other.network in networks
            ]
    routes: list[Route] = []
    for number in range(draw(st.integers(0, 3))):
        metric = draw(st.sampled_from([None, 5]))
        mtu = draw(st.sampled_from([None, 1280]))
        kind = draw(st.sampled_from(["via", "dev", "blackhole", "unreachable", "prohibit"]))
        four, six = f"198.18.{number}.0/24", f"3fff:{number:x}::/32"
        if kind == "via" and hops:
            via, dev = draw(st.sampled_from(hops))
            is_six = ":" in via
            to = draw(st.sampled_from([six if is_six else four, "::/0" if is_six else "0.0.0.0/0"]))
            if any(str(route.to) == to for route in routes):
                continue
            named = dev if via.startswith("fe80") or draw(st.booleans()) else None
            routes.append(Route(ip_network(to), via=via, dev=named, metric=metric, mtu=mtu))
        elif kind == "dev" and devices:
            to = draw(st.sampled_from([four, six]))
            routes.append(
                Route(ip_network(to), dev=draw(st.sampled_from(devices)), metric=metric, mtu=mtu)
            )
        elif kind not in ("via", "dev"):
            to = draw(st.sampled_from([four, six]))
            routes.append(Route(ip_network(to), kind=kind, metric=metric))
    return tuple(routes)


def _node(draw: st.DrawFn, name: str, role: str, devices: list[str], earlier: list[str]) -> Node:
    """A node without routes; its services are added to ``earlier``."""
    own = draw(st.lists(free_names, max_size=2, unique=True))
    made = []
    for service in own:
        made.append(draw(services(service, list(earlier))))
        earlier.append(f"{name}/{service}")
    settings = {"net.core.somaxconn": "128", "net.ipv4.conf.all.arp_ignore": "1"}
    if devices:
        settings[f"net.ipv6.conf.{devices[0]}.accept_ra"] = "2"
    keys = draw(st.lists(st.sampled_from(sorted(settings)), unique=True))
    paths = free_names.map(lambda text: f"/etc/{text}").filter(lambda text: ".." not in text)
    backend, image = draw(
        st.sampled_from([(None, None), ("netns", None), ("docker", "debian:12"), (None, "web")])
    )
    return Node(
        name=name,
        role=role,
        services=tuple(made),
        sysctls=tuple((key, settings[key]) for key in keys),
        files=tuple(draw(st.dictionaries(paths, any_text, max_size=2)).items()),
        firewall=draw(st.sampled_from([None, "table inet t {\n  chain c { }\n}\n"])),
        switch=draw(st.sampled_from([None, *SWITCHES])) if role == SWITCH else None,
        backend=backend,
        image=image,
        note=draw(any_text),
    )


def _faults(draw: st.DrawFn, nodes: list[Node], links: list[Link]) -> tuple[Fault, ...]:
    switches = {node.name for node in nodes if node.role == SWITCH}
    targets: dict[str, list[str]] = {
        REBOOT: [node.name for node in nodes],
        KILL_SERVICE: [f"{node.name}/{item.name}" for node in nodes for item in node.services],
        CUT: [link.name for link in links],
        FLUSH_ADDRESSES: [end.label for link in links for end in link.ends],
        SET_ADDRESSES: [
            end.label for link in links for end in link.ends if end.node not in switches
        ],
    }
    targets[RESTART_SERVICE] = targets[KILL_SERVICE]
    targets[RESTORE] = targets[IMPAIR] = [*targets[CUT], *targets[FLUSH_ADDRESSES]]
    faults = []
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(sorted(kind for kind, known in targets.items() if known)))
        faults.append(
            Fault(
                kind=kind,
                target=draw(st.sampled_from(targets[kind])),
                at=draw(st.one_of(st.none(), st.just(0.0), seconds)),
                impairment=draw(impairments()) if kind == IMPAIR else None,
                addresses=("192.0.2.7/24", "2001:db8::7/64") if kind == SET_ADDRESSES else (),
            )
        )
    return tuple(faults)


@st.composite
def topologies(draw: st.DrawFn, max_nodes: int = 5) -> Topology:
    """Any valid topology of up to that many nodes."""
    names = draw(
        st.lists(host_names, min_size=1, max_size=max_nodes, unique_by=lambda name: name.casefold())
    )
    roles = {name: draw(st.sampled_from([HOST, *ROLES])) for name in names}
    draft = _Draft(roles)
    segments = _wire(draw, draft)
    draft.mtus = [1500] * len(draft.ends)
    _address(draw, draft, segments)
    link_names = draw(
        st.lists(free_names, min_size=len(segments), max_size=len(segments), unique=True)
    )
    links = [
        Link(
            name=link_names[number],
            ends=tuple(ends),
            mtu=draft.mtus[number],
            impairment=draw(st.one_of(st.none(), impairments())),
            note=draw(any_text),
        )
        for number, ends in enumerate(draft.ends)
    ]
    earlier: list[str] = []
    nodes = []
    for name, role in roles.items():
        devices = [end.name for link in links for end in link.ends if end.node == name]
        node = _node(draw, name, role, devices, earlier)
        if role != SWITCH:
            node = replace(node, routes=_routes(draw, name, links, segments))
        nodes.append(node)
    cut = draw(st.integers(0, len(names)))
    titles = draw(st.lists(one_line.filter(str.strip), min_size=2, max_size=2, unique=True))
    halves = ((titles[0], tuple(names[:cut])), (titles[1], tuple(names[cut:])))
    return Topology(
        name=draw(host_names),
        title=draw(one_line),
        nodes=tuple(nodes),
        links=tuple(links),
        groups=tuple(group for group in halves if bool(group[1]) and draw(st.booleans())),
        faults=_faults(draw, nodes, links),
        seed=draw(st.integers(-(2**63), 2**63)),
    )
