"""One valid topology that uses every part of the model."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

from testbed.model import Fault, Impairment, Interface, Link, Node, Ready, Route, Service, Topology
from testbed.model.topology import ROUTER, SWITCH

_DSL = Impairment(
    rate=100_000_000,
    delay=0.02,
    jitter=0.001,
    loss=0.01,
    reorder=0.1,
    duplicate=0.001,
    corrupt=0.0001,
    queue=100,
)

RICH = Topology(
    name="rich",
    title="Everything once",
    nodes=(
        Node(
            "ce",
            ROUTER,
            routes=(
                Route(ip_network("0.0.0.0/0"), via="203.0.113.1", metric=10, mtu=1460),
                Route(ip_network("::/0"), via="fe80::1", dev="wan"),
                Route(ip_network("10.0.0.0/8"), kind="blackhole"),
            ),
            services=(
                Service(
                    "ike",
                    ("{python}", "-m", "ike", "--run", "{run}"),
                    Ready("log", "established .* peer", timeout=20.0),
                    files=(("psk", "correct-horse\n"),),
                    env=(("LANG", "C"),),
                    secrets=("correct-horse",),
                    stop_signal="INT",
                    stop_timeout=1.5,
                    needs=("esp", "tun"),
                    capabilities=("NET_ADMIN",),
                    devices=("/dev/net/tun",),
                ),
                Service("web", ("httpd",), Ready("tcp", "80"), after=("ce/ike",)),
            ),
            sysctls=(("net.ipv4.conf.wan.rp_filter", "0"),),
            files=(("/etc/motd", "two\nlines\n"),),
            firewall="table inet filter {\n}\n",
            note="the customer's router",
        ),
        Node("isp", ROUTER, backend="docker", image="debian:12"),
        Node("sw", SWITCH),
        Node("host"),
    ),
    links=(
        Link(
            "wan",
            (
                Interface(
                    "ce",
                    "wan",
                    (ip_interface("203.0.113.2/30"), ip_interface("fe80::2/64")),
                    mac="02:00:00:00:00:02",
                    impairment=_DSL,
                ),
                Interface(
                    "isp", "ce", (ip_interface("203.0.113.1/30"), ip_interface("fe80::1/64"))
                ),
            ),
            mtu=1492,
            impairment=Impairment(delay=0.005),
            note="FTTH",
        ),
        Link(
            "lan-ce",
            (Interface("ce", "lan", (ip_interface("192.168.1.1/24"),)), Interface("sw", "p1")),
        ),
        Link(
            "lan-host",
            (Interface("sw", "p2"), Interface("host", "eth0", (ip_interface("192.168.1.2/24"),))),
        ),
    ),
    groups=(("Home", ("ce", "sw", "host")),),
    faults=(
        Fault("cut", "wan", at=30.0),
        Fault("impair", "ce:wan", impairment=_DSL),
        Fault("set-addresses", "ce:wan", addresses=("203.0.113.6/30",)),
        Fault("kill-service", "ce/web"),
        Fault("reboot", "ce", at=0.0),
    ),
    seed=7,
)
