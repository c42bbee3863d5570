"""What the engine does to a node's network from outside holds inside it."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from testbed.events import Note
from testbed.evidence.pcapng_reader import PcapngReader
from testbed.lab import Lab
from testbed.model import Builder, Ready, Service, Topology
from tests.lab.conftest import two_hosts
from tests.waiting import wait_until

Up = Callable[[Topology], Lab]

_ROUTER_ADVERTISEMENT = 134
_PREFIX_INFORMATION = 3


def test_settings_are_the_nodes_own(up: Up) -> None:
    builder = Builder("settings")
    builder.router(
        "middle",
        sysctls={
            "net.ipv4.conf.a.rp_filter": 2,
            "net.ipv6.conf.b.accept_ra": 2,
            "net.ipv6.conf.b.forwarding": 0,
            "net.ipv4.ip_local_port_range": "30000 30100",
        },
    )
    builder.host("left")
    builder.host("right")
    builder.link("one", "left:eth0 192.0.2.1/24", "middle:a 192.0.2.2/24")
    builder.link("two", "right:eth0 2001:db8::1/64", "middle:b 2001:db8::2/64")
    lab = up(builder.build())

    def read(node: str, key: str) -> str:
        return " ".join(lab.get(node, f"/proc/sys/net/{key}").split())

    assert read("middle", "ipv4/conf/a/rp_filter") == "2"
    assert read("middle", "ipv6/conf/b/accept_ra") == "2"
    assert read("middle", "ipv6/conf/a/forwarding") == "1"
    assert read("middle", "ipv6/conf/b/forwarding") == "0"
    assert read("middle", "ipv4/ip_local_port_range") == "30000 30100"
    assert read("left", "ipv4/ip_forward") == "0"
    for node in ("left", "middle"):
        for interface in ("all", "lo"):
            assert read(node, f"ipv6/conf/{interface}/disable_ipv6") == "0", (node, interface)


def test_a_program_may_write_the_settings_of_its_node_and_no_others(up: Up) -> None:
    """As routing daemons do."""
    host = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    lab = up(two_hosts())
    for path in ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/eth0/accept_local"):
        lab.run("alice", ["sh", "-c", f"echo 1 > {path}"], check=True)
        assert lab.get("alice", path) == "1\n"
        assert lab.get("bob", path) == "0\n"
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == host


def _advertisement(prefix: str) -> bytes:
    """A Router Advertisement with one prefix for SLAAC (RFC 4861 section 4.2, 4.6.2)."""
    network = ipaddress.IPv6Network(prefix)
    head = struct.pack("!BBHBBHII", _ROUTER_ADVERTISEMENT, 0, 0, 64, 0, 1800, 0, 0)
    flags = 0xC0  # on link, autonomous
    option = struct.pack("!BBBBIII", _PREFIX_INFORMATION, 4, 64, flags, 7200, 3600, 0)
    return head + option + network.network_address.packed


def test_a_host_takes_its_address_from_a_router_advertisement(up: Up) -> None:
    builder = Builder("slaac")
    builder.host("host", sysctls={"net.ipv6.conf.eth0.accept_ra": 1})
    builder.router("router")
    builder.link("lan", "host:eth0", "router:lan 2001:db8:1::1/64")
    lab = up(builder.build())
    link_local = lab.run("router", ["ip", "-6", "address", "show", "lan"]).stdout
    assert "fe80::" in link_local
    index = int(lab.get("router", "/sys/class/net/lan/ifindex"))
    with lab.socket("router", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sender:
        sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sender.sendto(_advertisement("2001:db8:1::/64"), ("ff02::1", 0, 0, index))
    wait_until(
        lambda: "2001:db8:1:" in lab.run("host", ["ip", "-6", "address", "show", "eth0"]).stdout,
        "the host's address",
    )
    assert lab.run("host", ["ping", "-c1", "-W2", "2001:db8:1::1"]).ok
    assert "default via fe80::" in lab.run("host", ["ip", "-6", "route"]).stdout


def test_a_capture_has_the_packets_of_a_node(up: Up) -> None:
    lab = up(two_hosts())
    with lab.capture("bob:eth0", expression="icmp") as capture:
        lab.run("alice", ["ping", "-c2", "-i0.2", "-W2", "192.0.2.2"], check=True)
    with capture.path.open("rb") as file:
        packets = list(PcapngReader(file))
    assert len(packets) == 4
    assert {packet.interface.name for packet in packets} == {"bob/eth0"}


def test_a_firewall_of_a_node_drops(up: Up) -> None:
    builder = Builder("wall")
    builder.host("alice")
    builder.host(
        "bob",
        firewall="table inet wall {\n chain in {\n  type filter hook input priority 0\n"
        "  ip saddr 192.0.2.1 counter drop\n }\n}\n",
    )
    builder.link(
        "cable", "alice:eth0 192.0.2.1/24 2001:db8::1/64", "bob:eth0 192.0.2.2/24 2001:db8::2/64"
    )
    lab = up(builder.build())
    assert not lab.run("alice", ["ping", "-c1", "-W1", "192.0.2.2"]).ok
    assert lab.run("alice", ["ping", "-c1", "-W2", "2001:db8::2"]).ok


_PROGRAM = """
import signal
from testbed.components.notify import notify
from testbed.events import Note
from testbed.events.emitter import Emitter

Emitter.from_environment().emit(Note("hello from the node"))
notify("READY=1")
signal.pause()
"""


def test_a_service_hands_over_events_and_says_when_it_is_ready(up: Up) -> None:
    builder = Builder("talks")
    builder.host("box", services=[Service("s", ("{python}", "-c", _PROGRAM), Ready("notify"))])
    lab = up(builder.build())
    assert lab.status()["services"] == {"box/s": "ready"}
    (told,) = [one for one in lab.events() if one.event == Note("hello from the node")]
    assert (told.node, told.service) == ("box", "s")
    lab.service("box/s", "stop")
    assert lab.status()["services"] == {"box/s": "stopped"}
