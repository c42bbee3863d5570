"""The path: ping, traceroute, ICMP errors and path MTU, in both families."""

from __future__ import annotations

import re

import pytest

from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.v6plus.support import PSID, ports_of, wire
from topologies.v6plus.topology import SHARED_IPV4, WWW, WWW6

pytestmark = pytest.mark.needs("tun", "nginx", "curl", "tshark", "ping")

_TUNNEL_MTU = 1460


def test_ping_goes_out_and_comes_back_with_an_identifier_of_the_set(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """ICMP echo shares the address too: its identifier is one of PSID 71's numbers outside."""
    with lab.capture("www:eth0", expression="icmp") as capture:
        lab.run("pc-a1", ["ping", "-c3", "-i0.2", "-W5", WWW], check=True)
    seen = wire(capture.path, "icmp.type == 8", "ip.src", "icmp.ident")
    evidence.table("Echo requests at the server", ["source", "identifier"], seen)
    assert len(seen) == 3
    assert {source for source, _ in seen} == {SHARED_IPV4}
    assert {int(identifier.split(",")[0], 0) for _, identifier in seen} <= ports_of(PSID["a"])


@pytest.mark.needs("traceroute")
def test_traceroute_shows_every_ipv4_hop(lab: ScenarioLab) -> None:
    """CE, BR, internet router, server: time-exceeded messages come back translated."""
    result = lab.run(
        "pc-a1", ["traceroute", "-n", "-w", "5", "-q", "1", "-N", "1", WWW], check=True
    )
    hops = re.findall(r"^\s*(\d+)\s+(\S+)", result.stdout, re.MULTILINE)
    assert [address for number, address in hops if number.isdigit()] == [
        "192.168.1.1",
        "198.51.100.1",
        "198.51.100.2",
        WWW,
    ]


def test_port_unreachable_comes_back_translated(lab: ScenarioLab, evidence: Evidence) -> None:
    """A UDP packet to a closed port: the error quotes the packet as the host had sent it."""
    with (
        lab.capture("pc-a1:eth0", "www:eth0", expression="icmp or udp port 9") as capture,
        lab.socket("pc-a1") as client,
    ):
        client.bind(("192.168.1.11", 40000))
        client.connect((WWW, 9))
        client.settimeout(10)
        client.send(b"anyone?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)
    seen = wire(
        capture.path,
        "icmp.type == 3",
        *("frame.interface_name", "icmp.code", "ip.src", "ip.dst", "udp.srcport"),
    )
    evidence.table(
        "The error at the server and at home (outer, quoted)",
        ["interface", "code", "sources", "destinations", "quoted source port"],
        seen,
    )
    by_place = {row[0]: row[1:] for row in seen}
    assert by_place["pc-a1/eth0"] == (
        "3",
        f"{WWW},192.168.1.11",
        f"192.168.1.11,{WWW}",
        "40000",
    )
    code, _, destinations, quoted = by_place["www/eth0"]
    assert (code, destinations) == ("3", f"{SHARED_IPV4},{WWW}")
    assert int(quoted) in ports_of(PSID["a"])


def test_a_packet_too_big_for_the_tunnel_is_answered_with_1460(lab: ScenarioLab) -> None:
    """ping with DF: 1460 bytes fit, 1461 bring "fragmentation needed, mtu 1460"."""
    fits = lab.run("pc-a2", ["ping", "-c1", "-W5", "-M", "do", "-s", str(_TUNNEL_MTU - 28), WWW])
    assert fits.ok, fits
    big = lab.run("pc-a2", ["ping", "-c1", "-W5", "-M", "do", "-s", str(_TUNNEL_MTU - 27), WWW])
    assert not big.ok
    assert re.search(r"192\.168\.1\.1\b.*Frag needed.*mtu = 1460", big.stdout), big


def test_ten_megabytes_come_down_with_a_1500_byte_lan_and_no_mss_help(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """The host announces MSS 1460; path MTU discovery at the BR cuts the server down to 1460."""
    told_or_opened = "icmp or (tcp[tcpflags] & tcp-syn != 0)"
    report = ["-o", "/dev/null", "-w", "%{http_code} %{size_download}"]
    with lab.capture("www:eth0", expression=told_or_opened) as capture:
        result = lab.run(
            "pc-a1", ["curl", "-sS", "--max-time", "60", *report, f"http://{WWW}/10mb"], timeout=90
        )
    assert result.stdout == "200 10000000", result
    announced = wire(
        capture.path, "tcp.flags.syn == 1 && tcp.flags.ack == 0", "tcp.options.mss_val"
    )
    errors = wire(capture.path, "icmp.type == 3 && icmp.code == 4", "ip.src", "icmp.mtu")
    evidence.table("Fragmentation needed, as the server got it", ["from, quoted", "MTU"], errors)
    assert announced[0] == ("1460",)
    assert ("198.51.100.1", str(_TUNNEL_MTU)) in [
        (sources.split(",")[0], mtu) for sources, mtu in errors
    ]


def test_ipv6_path_mtu_discovery_finds_the_narrow_link(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """A 1400-byte IPv6 link behind the internet router: packet too big, then it fits."""
    with lab.capture("www6:eth0", "inet:vne", expression="icmp6") as capture:
        first = lab.run("pc-b1", ["ping", "-6", "-c1", "-W2", "-M", "do", "-s", "1452", WWW6])
        assert not first.ok
        fits = lab.run("pc-b1", ["ping", "-6", "-c1", "-W5", "-M", "do", "-s", "1352", WWW6])
        assert fits.ok, fits
        upload = lab.run(
            "pc-b1",
            [
                "sh",
                "-c",
                f"head -c 200000 /dev/zero | curl -sS --max-time 30 -o /dev/null "
                f"-w %{{http_code}} --data-binary @- 'http://[{WWW6}]/'",
            ],
        )
    assert upload.stdout == "200", upload
    told = wire(capture.path, "icmpv6.type == 2", "icmpv6.mtu")
    evidence.table("Packet too big", ["MTU"], told)
    assert told
    assert {mtu for (mtu,) in told} == {"1400"}
