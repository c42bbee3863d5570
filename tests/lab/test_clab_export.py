"""An exported lab, built the way containerlab builds one, is the lab that we build ourselves.

Containerlab does this with a file: containers with the settings of ``sysctls``, bridges in their
namespaces, veth pairs with MTU and MAC, everything up, then the commands of ``exec``.  Here ``ip``
and ``sysctl`` do the same in namespaces that end with their shell.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.kernel.namespaces import find_program
from testbed.lab import Lab
from testbed.model import Builder, Interface, Topology
from testbed.model.clab.words import expanded
from testbed.model.clab.writing import export_clab
from testbed.model.files import load_topology
from testbed.model.topology import SWITCH, parse_address

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(
        not all(find_program(name) for name in ("ip", "sysctl", "unshare", "ping")),
        reason="ip, sysctl, unshare or ping is missing",
    ),
]
_SETTINGS = (
    *("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.rp_filter"),
    *("net.ipv6.conf.default.accept_ra", "net.ipv6.conf.default.accept_dad"),
)
_LOOK = [
    *(["ip", "-j", "addr"], ["ip", "-j", "-4", "route"], ["ip", "-j", "-6", "route"]),
    *(["ip", "-j", "link", "show", "type", "bridge_slave"], ["sysctl", "-n", *_SETTINGS]),
]


def _topology() -> Topology:
    """A segment, a switch, two routers, and every kind of route, address and setting."""
    lab = Builder("office", "An office")
    lab.host("a", routes=["default via 192.0.2.1", "default6 via 2001:db8::1"])
    lab.host("b", routes=["default via 192.0.2.1"])
    lab.router(
        "gw",
        routes=[
            "10.0.0.0/8 via 198.51.100.2 metric 7 mtu 1300",
            "10.0.0.0/8 blackhole metric 9",
            "2001:db8:9::/48 via fe80::2 dev far",
            "2001:db8:8::/48 unreachable",
        ],
        sysctls={"net.ipv4.conf.far.arp_ignore": 1, "net.ipv4.conf.all.send_redirects": 0},
    )
    lab.switch("sw")
    lab.host("c", routes=["default via 203.0.113.1"], sysctls={"net.ipv4.tcp_ecn": 1})
    lab.router("isp", sysctls={"net.ipv4.ip_forward": 0})
    lab.link(
        "lan",
        "gw:lan 192.0.2.1/24 2001:db8::1/64",
        "a:eth0 192.0.2.10/24 2001:db8::10/64",
        Interface("b", "eth0", (parse_address("192.0.2.11/24"),), mac="02:00:00:00:00:0b"),
    )
    lab.link("desk", "gw:desk 203.0.113.1/24", "sw:p1", mtu=1400)
    lab.link("cable", "sw:p2", "c:eth0 203.0.113.10/24", mtu=1400)
    lab.link("far", "gw:far 198.51.100.1/30 fe80::1/64", "isp:gw 198.51.100.2/30 fe80::2/64")
    return lab.build()


def _deploy(data: dict[str, Any]) -> Iterator[str]:
    """The steps of containerlab for such a file, as a shell script."""
    inner = data["topology"]
    kind, nodes = inner["kinds"]["linux"], inner["nodes"]
    where: dict[str, tuple[str, str | None]] = {}  # namespace and bridge of each node
    yield "set -e; mount -t tmpfs none /run; mkdir /run/netns; ip link set lo up"
    for name, node in nodes.items():
        if node["kind"] == "linux":
            where[name] = name, None
            yield f"ip netns add {name}; ip -n {name} link set lo up"
            for key, value in {**kind["sysctls"], **node.get("sysctls", {})}.items():
                yield f"ip netns exec {name} sysctl -qw {shlex.quote(f'{key}={value}')}"
    for name, node in nodes.items():
        if node["kind"] == "bridge":
            bridge, _, parent = name.partition("|")
            assert node["network-mode"] == f"container:{parent}"
            where[name] = parent, bridge
            yield f"ip -n {parent} link add {bridge} type bridge"
            yield f"ip -n {parent} link set {bridge} up"
    for link in inner["links"]:
        one, two = "ends0", "ends1"
        yield f"ip link add {one} mtu {link['mtu']} type veth peer name {two} mtu {link['mtu']}"
        for temporary, end in zip((one, two), link["endpoints"], strict=True):
            space, bridge = where[end["node"]]
            words = f"name {end['interface']}"
            words += f" address {end['mac']}" if "mac" in end else ""
            words += f" master {bridge}" if bridge else ""
            yield f"ip link set {temporary} netns {space}"
            yield f"ip -n {space} link set {temporary} {words}"
            yield f"ip -n {space} link set {end['interface']} up"
    for name, node in nodes.items():
        for line in node.get("exec", ()):
            yield f"ip netns exec {name} {line} >/dev/null"


def _seen(outputs: list[str], topology: Topology, node: str) -> dict[str, Any]:
    """What the commands of ``_LOOK`` say of a node, as far as a topology decides it."""
    links, four, six, ports = (json.loads(text) for text in outputs[:4])
    ends = {end.name: end for _, end in topology.interfaces_of(node)}
    addresses = {
        (link["ifname"], f"{info['local']}/{info['prefixlen']}")
        for link in links
        for info in link["addr_info"]
        if link["ifname"] in ends
        and (
            info["scope"] == "global"
            or info["local"] in {str(held.ip) for held in ends[link["ifname"]].addresses}
        )
    }
    by_name = {link["ifname"]: link for link in links}
    return {
        "addresses": addresses,
        "mtus": {name: by_name[name]["mtu"] for name in ends},
        "macs": {name: by_name[name]["address"] for name, end in ends.items() if end.mac},
        "up": {name: "UP" in by_name[name]["flags"] for name in ends},
        "routes": sorted(
            json.dumps(
                {
                    key: route.get(key)
                    for key in ("type", "dst", "gateway", "dev", "metric", "metrics")
                }
            )
            for route in (*four, *six)
            if route.get("protocol") not in ("kernel", "ra")
        ),
        "ports": {port["ifname"] for port in ports if port},
        "settings": outputs[4].split(),
    }


def test_it_is_the_same_lab(up: Callable[[Topology], Lab], tmp_path: Path) -> None:
    topology = _topology()
    exported = export_clab(topology)
    assert exported.left_out == ()
    data = yaml.safe_load(expanded(exported.text, {}))
    script = list(_deploy(data))
    nodes = [node.name for node in topology.nodes]
    for node in nodes:
        for words in _LOOK:
            script.append(f"echo; echo @@; ip netns exec {node} {shlex.join(words)}")
    # Through the bridges: over the segment and a router, then a switch; IPv6 over the segment.
    script.append("echo; echo @@; ip netns exec a ping -c 1 -W 5 203.0.113.10")
    script.append(
        "ip netns exec a ping -c 1 -W 5 2001:db8::1; ip netns exec b ping -c 1 192.0.2.10"
    )
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--fork", "--kill-child", "sh", "-c", "\n".join(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    blocks = [block.strip() for block in done.stdout.split("@@")[1:]]

    path = tmp_path / "office.clab.yml"
    path.write_text(exported.text)
    lab = up(load_topology(path))  # what was exported comes up again
    for number, node in enumerate(nodes):
        theirs = _seen(blocks[number * len(_LOOK) :][: len(_LOOK)], topology, node)
        outputs = [lab.run(node, words, check=True).stdout.strip() for words in _LOOK]
        ours = _seen(outputs, topology, node)
        if topology.node(node).role == SWITCH:  # it forwards frames only: settings do not matter
            ours.pop("settings"), theirs.pop("settings")
        assert theirs == ours, node
    lab.run("a", ["ping", "-c", "1", "-W", "5", "203.0.113.10"], check=True)
