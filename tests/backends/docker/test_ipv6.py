"""IPv6 in containers: advertisements accepted, prefixes forwarded, duplicates detected."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6NDOptPrefixInfo,
)

from testbed.lab import Lab
from testbed.model import Builder, Topology
from tests.waiting import wait_until

Up = Callable[[Topology], Lab]

_ALL_NODES = "ff02::1"


def _addresses(lab: Lab, node: str, interface: str = "eth0") -> list[dict[str, Any]]:
    text = lab.run(node, ["ip", "-j", "-6", "addr", "show", "dev", interface], check=True).stdout
    found = json.loads(text)[0]["addr_info"]
    assert isinstance(found, list)
    return found


def _advertise(lab: Lab, node: str, interface: str, prefix: str) -> None:
    """Send one advertisement of a /64, as a router does (RFC 4861 section 6.2.3)."""
    message = ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptPrefixInfo(
        prefix=prefix, prefixlen=64, L=1, A=1, validlifetime=3600, preferredlifetime=1800
    )
    with lab.socket(node, socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sock.sendto(bytes(message), (_ALL_NODES, 0))


def _access(image: str) -> Topology:
    """An ISP (a namespace) advertises to a home router (a container), behind which is a host."""
    lab = Builder("access")
    lab.router("isp")
    lab.router(
        "home",
        backend="docker",
        image=image,
        sysctls={
            "net.ipv6.conf.wan.accept_ra": "2",  # a router that is a client of its ISP
            "net.ipv6.conf.wan.accept_dad": "1",
        },
    )
    lab.host("pc", backend="docker", image=image)
    lab.link("wan", "isp:eth0", "home:wan")
    lab.link("lan", "home:lan 2001:db8:1::1/64", "pc:eth0 2001:db8:1::2/64")
    return lab.build()


def test_a_container_is_a_client_of_advertisements_and_a_router(up: Up, plain: str) -> None:
    lab = up(_access(plain))
    settings = lab.run(
        "home",
        [
            "sh",
            "-c",
            "cd /proc/sys/net/ipv6/conf; cat wan/accept_ra wan/forwarding wan/disable_ipv6",
        ],
    )
    assert settings.stdout.split() == ["2", "1", "0"]

    def has_address() -> bool:
        _advertise(lab, "isp", "eth0", "2001:db8:ff::")
        return any(
            entry["local"].startswith("2001:db8:ff:") and entry.get("dynamic")
            for entry in _addresses(lab, "home", "wan")
        )

    wait_until(has_address, "an address from the advertisement")
    routes = json.loads(lab.run("home", ["ip", "-j", "-6", "route"], check=True).stdout)
    (default,) = [route for route in routes if route["dst"] == "default"]
    assert (default["dev"], default["protocol"]) == ("wan", "ra")
    # It forwards, too: from the host behind it to the ISP and back.
    lab.run("isp", ["ip", "-6", "addr", "add", "2001:db8:ff::1/64", "dev", "eth0"], check=True)
    own = next(
        entry["local"]
        for entry in _addresses(lab, "home", "wan")
        if entry["local"].startswith("2001:db8:ff:")
    )
    lab.run("isp", ["ip", "-6", "route", "add", "2001:db8:1::/64", "via", own], check=True)
    lab.run("pc", ["ip", "-6", "route", "add", "default", "via", "2001:db8:1::1"], check=True)
    wait_until(
        lambda: lab.run("pc", ["ping", "-c1", "-W1", "2001:db8:ff::1"]).status == 0,
        "an answer from beyond the router",
    )


def test_a_duplicate_address_is_detected(up: Up, plain: str) -> None:
    lab = Builder("duplicates")
    detect = {"net.ipv6.conf.eth0.accept_dad": "1"}
    for node in ("alice", "bob"):
        lab.host(node, backend="docker", image=plain, sysctls=detect)
    lab.link("cable", "alice:eth0 2001:db8::1/64", "bob:eth0 2001:db8::2/64")
    running = up(lab.build())
    command = ["ip", "-6", "addr", "add", "2001:db8::1/64", "dev", "eth0"]
    running.run("bob", command, check=True)

    def state() -> dict[str, Any]:
        (entry,) = [e for e in _addresses(running, "bob") if e["local"] == "2001:db8::1"]
        return entry

    wait_until(lambda: "dadfailed" in state(), "the duplicate to be found out")
    (good,) = [e for e in _addresses(running, "alice") if e["local"] == "2001:db8::1"]
    assert "dadfailed" not in good
