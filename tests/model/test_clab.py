"""Containerlab files: what they mean here, and that their commands mean what iproute2 does."""

from __future__ import annotations

import json
import shutil
import subprocess
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest

from testbed.errors import TopologyError
from testbed.model import Interface, Link, Node, Route, Topology
from testbed.model.clab.commands import Effects, NotUnderstood, apply
from testbed.model.files import load_topology
from testbed.model.topology import HOST, ROUTER, SWITCH


def _load(tmp_path: Path, text: str, name: str = "lab.clab.yml") -> Topology:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return load_topology(path)


def test_a_whole_lab(tmp_path: Path) -> None:
    topology = _load(
        tmp_path,
        """
name: shop
topology:
  defaults:
    kind: linux
  kinds:
    linux:
      image: alpine:3
      sysctls:
        net.ipv4.icmp_echo_ignore_broadcasts: 0
  groups:
    clients:
      image: multitool:1
      exec:
        - ip link set eth1 up
  nodes:
    client1:
      group: clients
      exec:
        - ip addr add 192.168.11.2/24 dev eth1
        - ip route add default via 192.168.11.1
    client2:
      group: clients
      exec: [ip a a dev eth1 192.168.11.3/24 brd +, ip r add 10.9.0.0/16 via 192.168.11.1 dev eth1]
    gateway:
      sysctls: {net.ipv4.ip_forward: 1, net.ipv6.conf.all.forwarding: 1}
      labels: {rack: "7"}
      exec:
        - ip address add 192.168.11.1/24 dev eth1
        - ip -6 address add 2001:db8::1/64 dev eth2
    server:
      exec:
        - sysctl -w net.ipv4.tcp_ecn=1 net.ipv4.ip_forward=1
    lan:
      kind: bridge
  links:
    - endpoints: ["client1:eth1", "lan:p1"]
    - endpoints: ["client2:eth1", "lan:p2"]
    - endpoints: ["gateway:eth1", "lan:p3"]
    - type: veth
      mtu: 1500
      endpoints:
        - {node: gateway, interface: eth2, mac: "02:00:00:00:00:01"}
        - {node: server, interface: eth1, ipv4: 203.0.113.2/24, ipv6: "2001:db8::2/64"}
    - endpoints: ["client1:eth2", "server:eth2"]
      ipv4: ["", "198.51.100.1/24"]
      ipv6: ["2001:db8:1::1/64"]
""",
    )
    ignore = ("net.ipv4.icmp_echo_ignore_broadcasts", "0")
    assert topology == Topology(
        name="shop",
        nodes=(
            Node(
                "client1",
                ROUTER,  # on two links, and says nothing: a container forwards IPv4
                routes=(Route(ip_network("0.0.0.0/0"), via="192.168.11.1"),),
                sysctls=(ignore, ("net.ipv6.conf.all.forwarding", "0")),
                image="multitool:1",
            ),
            Node(
                "client2",
                HOST,
                routes=(Route(ip_network("10.9.0.0/16"), via="192.168.11.1", dev="eth1"),),
                sysctls=(ignore,),
                image="multitool:1",
            ),
            Node("gateway", ROUTER, sysctls=(ignore,), note="rack=7", image="alpine:3"),
            Node(
                "server",
                ROUTER,
                sysctls=(ignore, ("net.ipv4.tcp_ecn", "1"), ("net.ipv6.conf.all.forwarding", "0")),
                image="alpine:3",
            ),
            Node("lan", SWITCH),
        ),
        links=(
            Link(
                "client1.eth1-lan.p1",
                (
                    Interface("client1", "eth1", (ip_interface("192.168.11.2/24"),)),
                    Interface("lan", "p1"),
                ),
                mtu=9500,
            ),
            Link(
                "client2.eth1-lan.p2",
                (
                    Interface("client2", "eth1", (ip_interface("192.168.11.3/24"),)),
                    Interface("lan", "p2"),
                ),
                mtu=9500,
            ),
            Link(
                "gateway.eth1-lan.p3",
                (
                    Interface("gateway", "eth1", (ip_interface("192.168.11.1/24"),)),
                    Interface("lan", "p3"),
                ),
                mtu=9500,
            ),
            Link(
                "gateway.eth2-server.eth1",
                (
                    Interface(
                        "gateway",
                        "eth2",
                        (ip_interface("2001:db8::1/64"),),
                        mac="02:00:00:00:00:01",
                    ),
                    Interface(
                        "server",
                        "eth1",
                        (ip_interface("203.0.113.2/24"), ip_interface("2001:db8::2/64")),
                    ),
                ),
            ),
            Link(
                "client1.eth2-server.eth2",
                (
                    Interface("client1", "eth2", (ip_interface("2001:db8:1::1/64"),)),
                    Interface("server", "eth2", (ip_interface("198.51.100.1/24"),)),
                ),
                mtu=9500,
            ),
        ),
        groups=(("clients", ("client1", "client2")),),
    )


def test_known_by_its_content(tmp_path: Path) -> None:
    text = "name: x\ntopology:\n  nodes:\n    a: {kind: linux}\n"
    assert _load(tmp_path, text, "topo.yaml").name == "x"


def test_places_lead_to_the_command(tmp_path: Path) -> None:
    with pytest.raises(TopologyError) as caught:
        _load(
            tmp_path,
            "name: x\n"
            "topology:\n"
            "  nodes:\n"
            "    a:\n"
            "      kind: linux\n"
            "      exec:\n"
            "        - ip addr add 10.0.0.0/24 dev eth1\n"
            "    b: {kind: linux}\n"
            "  links:\n"
            '    - endpoints: ["a:eth1", "b:eth1"]\n',
        )
    (problem,) = caught.value.problems
    assert problem.code == "bad-address"
    assert str(problem.place).endswith("lab.clab.yml:7:11")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ip",
        "ip addr",
        "ip addr show",
        "ip addr add dev eth1",
        "ip addr add 10.0.0.1/24",
        "ip addr add 10.0.0.1/24 dev eth1 scope link",
        "ip addr del 10.0.0.1/24 dev eth1",
        "ip route add",
        "ip route add 10.0.0.0/8 nexthop via 10.0.0.1 nexthop via 10.0.0.2",
        "ip route add 10.0.0.0/8 via 10.0.0.1 metric low",
        "ip route del 10.0.0.0/8",
        "ip link set eth1 down",
        "ip link set eth1 name wan",
        "ip link set up",
        "ip link add type",
        "ip -br addr",
        "ip netns add x",
        "sysctl net.ipv4.ip_forward",
        "sysctl -w",
        "sysctl -w =1",
        "echo hello",
        "ip addr add 10.0.0.1/24 dev eth1 && true",
        "sudo ip addr add 10.0.0.1/24 dev eth1",
        "ip addr add 'unclosed",
    ],
)
def test_what_is_not_understood_is_said(line: str) -> None:
    effects = Effects()
    with pytest.raises(NotUnderstood):
        apply(line, effects)
    assert effects == Effects()


def test_routes_are_replaced_like_the_kernel_does() -> None:
    effects = Effects()
    for line in (
        "ip route add 10.0.0.0/8 via 192.0.2.1",
        "ip route replace 10.0.0.0/8 via 192.0.2.2",
        "ip route replace 10.0.0.0/8 via 192.0.2.3 metric 5",
        "ip route del default",
    ):
        apply(line, effects)
    assert [(route.via, route.metric) for route in effects.routes] == [
        ("192.0.2.2", None),
        ("192.0.2.3", 5),
    ]


UNDERSTOOD_LINES = [
    "ip addr add 192.0.2.1/24 dev eth1",
    "ip a a 192.0.2.9 dev eth1",
    "ip address add dev eth1 198.51.100.1/25 brd +",
    "ip -6 addr add 2001:db8::1/64 dev eth1 nodad",
    "ip ad add 2001:db8:1::7 dev eth2",
    "ip addr add local 203.0.113.1/30 dev eth2",
    "ip link set eth1 up",
    "ip l set dev eth2 mtu 1400 up",
    "ip link set address 02:00:00:00:00:07 dev eth2",
    "ip route add default via 192.0.2.254",
    "ip r add 10.0.0.0/8 via 192.0.2.253 dev eth1 metric 7",
    "ip ro a 10.7.0.1 via 192.0.2.253 mtu 1300",
    "ip route add blackhole 10.8.0.0/16",
    "ip route add unreachable 2001:db8:dead::/48",
    "ip -6 route add default via 2001:db8::fe metric 9",
    "ip route add 2001:db8:2::/48 dev eth2",
    "ip route add default via 2001:db8::fd metric 11",
    "ip route replace 10.0.0.0/8 via 192.0.2.252 dev eth1 metric 7",
    "ip -4 route add to 10.9.0.0/16 via inet 192.0.2.253 preference 3",
]


def _can_make_namespaces() -> bool:
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return False
    made = subprocess.run(["unshare", "--net", "ip", "link"], capture_output=True, check=False)
    return made.returncode == 0


@pytest.mark.needs_root
@pytest.mark.skipif(
    not _can_make_namespaces(), reason="needs ip, unshare and the right to use them"
)
def test_iproute2_does_what_we_understand() -> None:
    """The same lines, run by ``ip`` itself in a namespace that ends with the shell."""
    effects = Effects()
    for line in UNDERSTOOD_LINES:
        apply(line, effects)
    script = [
        "set -e",
        "ip link add eth1 type veth peer name peer1",
        "ip link add eth2 type veth peer name peer2",
        "for i in eth1 eth2 peer1 peer2; do ip link set $i up; done",
        *UNDERSTOOD_LINES,
        "ip -j addr; echo; ip -j -4 route show table main; echo; ip -j -6 route show table main",
    ]
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", "\n".join(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    links, four, six = (json.loads(line) for line in done.stdout.splitlines() if line)

    real_addresses = {
        (link["ifname"], ip_interface(f"{info['local']}/{info['prefixlen']}"))
        for link in links
        for info in link["addr_info"]
        if not link["ifname"].startswith("peer") and info["scope"] == "global"
    }
    assert set(effects.addresses) == real_addresses
    by_name = {link["ifname"]: link for link in links}
    assert {name: by_name[name]["mtu"] for name in effects.mtus} == effects.mtus
    assert {name: by_name[name]["address"] for name in effects.macs} == effects.macs

    real_routes = set()
    for version, route in [(4, item) for item in four] + [(6, item) for item in six]:
        if route.get("protocol") == "kernel":
            continue
        default = "0.0.0.0/0" if version == 4 else "::/0"
        to = ip_network(default if route["dst"] == "default" else route["dst"])
        kind = route.get("type", "unicast")
        metric = route.get("metric", 0 if version == 4 else 1024)
        mtu = next((item["mtu"] for item in route.get("metrics", ()) if "mtu" in item), None)
        real_routes.add((to, kind, route.get("gateway"), metric, mtu))
    understood = {
        (
            route.to,
            route.kind,
            route.via,
            (0 if route.to.version == 4 else 1024) if route.metric is None else route.metric,
            route.mtu,
        )
        for route in effects.routes
    }
    assert understood == real_routes
