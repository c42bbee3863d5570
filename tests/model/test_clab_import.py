"""What ordinary containerlab files say beyond the plainest: carried over, or left out and told."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest

from testbed.errors import Problem, TopologyError
from testbed.images import reference
from testbed.model import Interface, Topology
from testbed.model.clab import words
from testbed.model.clab.commands import Effects, Mistake, NotUnderstood, commands_in
from testbed.model.clab.words import COMMON_SETTINGS, escaped, expanded, has_template
from testbed.model.files import load_topology
from testbed.model.topology import HOST, OVS, ROUTER, SWITCH
from testbed.plan.planner import _COMMON_SETTINGS


class Loaded:
    """A file's topology and what was left out of it."""

    def __init__(self, folder: Path, text: str) -> None:
        path = folder / "lab.clab.yml"
        path.write_text(text, encoding="utf-8")
        self.left: list[Problem] = []
        self.topology: Topology = load_topology(path, self.left.append)

    @property
    def told(self) -> str:
        """Everything that was told, a line each with its line in the file."""
        return "\n".join(
            f"{item.place.line if item.place else '-'} {item.path}: {item.what}"
            for item in self.left
        )

    def ends(self, link: str) -> list[str]:
        return [end.label for end in self.topology.link(link).ends]


def test_a_lab_of_routing_daemons(tmp_path: Path) -> None:
    """Images, bound files of a folder and a file, groups, hosts without a word on forwarding."""
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / "daemons").write_text("ospfd=yes\n")
    (tmp_path / "r1" / "frr.conf").write_text("router ospf\r\n")
    (tmp_path / "motd").write_text("hello")
    lab = Loaded(
        tmp_path,
        """
name: routing
mgmt: {network: lab_mgmt, ipv4-subnet: 172.30.0.0/24}
topology:
  groups:
    routers: {kind: linux, image: "example/frr:${FRR_OF_NOBODY:=10.1}"}
    hosts: {kind: linux, image: example/tools}
  nodes:
    r1:
      group: routers
      binds: ["r1:/etc/frr", "motd:/etc/motd:ro", "none:/etc/none", "motd:/proc/x", "~/.ssh/id:/k"]
      mgmt-ipv4: 172.30.0.7
    pc_1:
      group: hosts
      startup-delay: 5
      ports: ["8080:80"]
      env: {A: b}
      cmd: httpd -f
      exec: [ip addr add 192.0.2.2/24 dev eth1, ip route replace default via 192.0.2.1]
    pc2: {group: hosts, cmd: sleep infinity}
  links:
    - endpoints: ["r1:eth1", "pc_1:eth1"]
    - endpoints: ["r1:eth2", "pc2:eth1"]
""",
    )
    r1, pc1, pc2 = lab.topology.nodes
    assert (r1.role, r1.image) == (ROUTER, "example/frr:10.1")
    assert r1.sysctls == (("net.ipv6.conf.all.forwarding", "0"),)
    assert r1.files == (
        ("/etc/frr/daemons", "ospfd=yes\n"),
        ("/etc/frr/frr.conf", "router ospf\r\n"),
        ("/etc/motd", "hello"),
    )
    assert (pc1.name, pc1.role, pc1.image) == ("pc-1", HOST, "example/tools")
    assert pc2.role == HOST
    assert lab.topology.groups == (("routers", ("r1",)), ("hosts", ("pc-1", "pc2")))
    assert lab.ends("r1.eth1-pc-1.eth1") == ["r1:eth1", "pc-1:eth1"]
    for line in (
        "3 mgmt: mgmt: a lab has no management network",
        "11 nodes.r1.binds: the bind none:/etc/none: there is no file",
        "11 nodes.r1.binds: the bind motd:/proc/x: /proc/x belongs to the kernel",
        "11 nodes.r1.binds: the bind ~/.ssh/id:/k: it is a file of a machine, not of the lab",
        "12 topology.nodes.r1.mgmt-ipv4",
        "13 nodes.pc_1: the name 'pc_1': it is 'pc-1' here",
        "15 topology.nodes.pc_1.startup-delay",
        "16 topology.nodes.pc_1.ports",
        "17 topology.nodes.pc_1.env",
        "18 topology.nodes.pc_1.cmd",
        "6 nodes.r1.image: image: example/frr:10.1 is used by --backend docker",
    ):
        assert line in lab.told, lab.told


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    """Their interfaces are there with their addresses, each on a switch of its own."""
    lab = Loaded(
        tmp_path,
        """
name: outside
topology:
  defaults: {kind: linux}
  nodes:
    a:
      exec:
        - ip addr add 192.0.2.1/24 dev eth1
        - ip addr add 10.255.0.1/32 dev lo
        - ip link add d0 type dummy
        - ip link set d0 up
        - ip addr add 10.254.0.1/32 dev d0
    real: {kind: host}
  links:
    - endpoints: ["a:eth1", "host:veth7"]
    - {type: macvlan, endpoint: {node: a, interface: eth2}, host-interface: enp0s3, mode: bridge}
    - {type: mgmt-net, endpoint: {node: a, interface: eth3}, host-interface: x}
    - {type: dummy, endpoint: {node: a, interface: eth4, mac: 02-00-00-00-00-04}, mtu: 1400}
    - {type: vxlan, endpoint: {node: a, interface: eth5}, remote: 192.0.2.9, vni: 7, dst-port: 4789}
    - endpoints: ["a:eth6", "real:veth8"]
""",
    )
    ends = {link.ends[0].name: link for link in lab.topology.links}
    assert list(ends) == ["eth1", "eth2", "eth3", "eth4", "eth5", "eth6", "d0", "lo1"]
    assert ends["eth1"].ends[0].addresses == (ip_interface("192.0.2.1/24"),)
    assert ends["lo1"].ends[0].addresses == (ip_interface("10.255.0.1/32"),)
    assert ends["d0"].ends[0].addresses == (ip_interface("10.254.0.1/32"),)
    assert (ends["eth4"].mtu, ends["eth4"].ends[0].mac) == (1400, "02:00:00:00:00:04")
    far = {link.ends[1].node for link in lab.topology.links}
    assert len(far) == len(ends), "none reaches another"
    assert {lab.topology.node(name).role for name in far} == {SWITCH}
    assert lab.topology.node("a").role == HOST, "it is on no two links that lead anywhere"
    for text in ("host:veth7", "macvlan:enp0s3", "mgmt-net:x", "vxlan:192.0.2.9", "real:veth8"):
        assert f"leads out of the lab to {text}" in lab.told
    assert "addresses on lo: they are on lo1" in lab.told
    assert "real is no node of the lab" in lab.told


def test_bridges_of_all_kinds(tmp_path: Path) -> None:
    lab = Loaded(
        tmp_path,
        """
name: bridges
topology:
  defaults: {kind: linux, network-mode: none}
  nodes:
    lan: {kind: bridge, network-mode: host, exec: [ip link set lan up]}
    ovs: {kind: ovs-bridge, network-mode: host}
    "br0|sw": {kind: bridge, network-mode: "container:sw"}
    sw: {}
    "br1|gw": {kind: bridge, network-mode: "container:gw"}
    gw: {exec: [ip addr add 192.0.2.1/24 dev br1]}
    a: {exec: [ip addr add 192.0.2.2/24 dev eth3]}
  links:
    - endpoints: ["a:eth0", "lan:p1"]
    - endpoints: ["a:eth1", "ovs:p1"]
    - endpoints: ["a:eth2", "br0|sw:p1"]
    - endpoints: ["a:eth3", "br1|gw:p1"]
""",
    )
    roles = {node.name: node.role for node in lab.topology.nodes}
    assert roles == {
        **dict.fromkeys(("lan", "ovs", "sw", "br1-gw"), SWITCH),
        "gw": HOST,
        "a": ROUTER,
    }
    assert lab.topology.node("ovs").switch == OVS
    gateway = Interface("gw", "br1", (ip_interface("192.0.2.1/24"),))
    (inner,) = (link for link in lab.topology.links if gateway in link.ends)
    assert {end.node for end in inner.ends} == {"gw", "br1-gw"}
    assert lab.ends("a.eth3-br1-gw.p1") == ["a:eth3", "br1-gw:p1"]
    assert lab.ends("a.eth2-sw.p1") == ["a:eth2", "sw:p1"]
    assert "no commands on a bridge" in lab.told


def test_nodes_that_share_a_namespace(tmp_path: Path) -> None:
    lab = Loaded(
        tmp_path,
        """
name: side
topology:
  defaults: {kind: linux}
  nodes:
    main: {}
    sidecar: {network-mode: "container:main", exec: [ip addr add 192.0.2.1/24 dev eth1]}
    foreign: {network-mode: "container:somebody"}
    peer: {}
  links:
    - endpoints: ["sidecar:eth1", "peer:eth1"]
""",
    )
    assert [node.name for node in lab.topology.nodes] == ["main", "peer"]
    (link,) = lab.topology.links
    assert link.ends[0] == Interface("main", "eth1", (ip_interface("192.0.2.1/24"),))
    assert "sidecar is not a node of its own: it shares the namespace of main" in lab.told
    assert "foreign is no node of the lab" in lab.told


def test_commands_beyond_a_topology_are_told_and_the_rest_is_done(tmp_path: Path) -> None:
    (tmp_path / "fw.nft").write_text("table inet t { }\n")
    lab = Loaded(
        tmp_path,
        """
name: commands
topology:
  nodes:
    a:
      kind: linux
      binds: ["fw.nft:/etc/fw.nft"]
      exec:
        - bash -c "ip addr add 192.0.2.1/24 dev eth1 && ip route add 10.0.0.0/8 via 192.0.2.2"
        - sh -c 'echo $$HOME > /x'
        - iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE
        - ip route add default via 172.20.20.1 dev eth0
        - ip link add link eth1 name eth1.7 type vlan id 7
        - ip addr add 10.7.0.1/24 dev eth1.7
        - nft -f /etc/fw.nft
        - nft -f /etc/other.nft
        - echo hello
        - sysctl -w net.ipv4.conf.eth0.rp_filter=0
    b: {kind: linux}
  links:
    - endpoints: ["a:eth1", "b:eth1"]
""",
    )
    a = lab.topology.node("a")
    assert lab.topology.links[0].ends[0].addresses == (ip_interface("192.0.2.1/24"),)
    assert [(route.to, route.via) for route in a.routes] == [
        (ip_network("10.0.0.0/8"), "192.0.2.2")
    ]
    assert (a.files, a.firewall, a.sysctls) == ((), "table inet t { }\n", ())
    for line in (
        "10 nodes.a.exec: '$HOME' in",
        "11 nodes.a.exec: 'iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE' is not run",
        "12 nodes.a.exec: the route to 0.0.0.0/0: the node has no interface 'eth0'",
        "13 nodes.a.exec: 'ip link add link eth1 name eth1.7 type vlan id 7' makes an interface",
        "nodes.a.exec: commands of 'a' change 'eth1.7', and no link has that interface",
        "nodes.a.exec: nft -f /etc/other.nft: no such file is bound",
        "17 nodes.a.exec: 'echo hello' is not run",
        "net.ipv4.conf.eth0.rp_filter: the node has no interface 'eth0'",
    ):
        assert line in lab.told, lab.told


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("ip link set eth1 up", ["ip link set eth1 up"]),
        ("sh -c 'one && two; three\nfour'", ["one", "two", "three", "four"]),
        ("/bin/bash -c 'one \"a b\"'", ["one 'a b'"]),
    ],
)
def test_the_commands_of_a_line(line: str, commands: list[str]) -> None:
    assert commands_in(line) == commands


@pytest.mark.parametrize(
    "script",
    ["a | b", "a > b", "a &", "if true; then a; fi", "a $(b)", "a `b`", "(a)", "cd /x && a", "a *"],
)
def test_a_shell_is_asked_for_no_more(script: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        commands_in(f'sh -c "{script}"')
    assert not isinstance(caught.value, Mistake)


@pytest.mark.parametrize(
    "line", ["ip addr add 10.0.0.1", "ip route add 10.0.0.1/8 via 10.0.0.2", "sh -c 'a \"b'"]
)
def test_what_no_machine_would_do_is_a_mistake(line: str) -> None:
    from testbed.model.clab.commands import apply

    with pytest.raises(Mistake):
        for command in commands_in(line):
            apply(command, Effects())


def test_a_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"this is a Go template.*\[clab-template\]"):
        Loaded(tmp_path, 'name: "{{ .name }}"\ntopology:\n  nodes: {a: {kind: linux}}\n')


def test_variables_are_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_MTU", "1400")
    monkeypatch.delenv("LAB_IMAGE", raising=False)
    lab = Loaded(
        tmp_path,
        """
name: variables
topology:
  nodes:
    a: {kind: linux, image: "$LAB_IMAGE"}
    b: {kind: linux, labels: {price: "5$$"}}
  links:
    - endpoints: ["a:eth1", "b:eth1"]
      mtu: ${LAB_MTU}
""",
    )
    assert lab.topology.links[0].mtu == 1400
    assert lab.topology.node("b").note == "price=5$"
    assert lab.topology.node("a").image is None
    assert "'$LAB_IMAGE' names a variable that is not set" in lab.told


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$$HOME", "$HOME"),
        ("$A-${A}", "x-x"),
        ("${B:-d e}${B-f}${A:+g}${B:+h}${B:=i}", "d efgi"),
        ("$B ${B}", "$B $B"),
        ("$1 $ ${", "$1 $ ${"),
    ],
)
def test_variables_as_containerlab_expands_them(text: str, value: str) -> None:
    assert expanded(text, {"A": "x", "EMPTY": ""}) == value


@pytest.mark.parametrize("text", ["$HOME", "{{ x }}", "{{{$$", "a{{`{{`}}b", "plain"])
def test_escaped_text_comes_back(text: str) -> None:
    assert not has_template(escaped(text))
    assert expanded(escaped(text), {"HOME": "/root"}) == text


@pytest.mark.parametrize(
    "name", ["alpine", "alpine:3", "example/frr", "quay:5000/x", "alpine@sha256:ab"]
)
def test_an_image_means_the_same_to_both(name: str) -> None:
    """A short name is to us one of our own images, to containerlab one of the public ones."""
    assert words.own_image(name) == reference(name)
    assert reference(words.foreign_image(name)) == (f"{name}:latest" if name == "alpine" else name)


def test_our_own_ways_are_those_of_the_plan() -> None:
    assert dict(_COMMON_SETTINGS) == COMMON_SETTINGS
