"""Using the line: the web, DNS, both families, both homes at once."""

from __future__ import annotations

import json
import threading

import pytest

from testbed.lab_command import CommandResult
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.v6plus.support import CE_ADDRESS, PSID, access_log, ports_of, wire
from topologies.v6plus.topology import BR_ADDRESS, DNS, IPERF, SHARED_IPV4, WWW, WWW6, WWW_V6

pytestmark = pytest.mark.needs("tun", "nginx", "unbound", "curl", "tshark")


def test_the_web_server_sees_a_port_of_psid_71(lab: ScenarioLab, evidence: Evidence) -> None:
    """The browser uses source port 63942; the web server's log shows one of PSID 71's ports.

    This is the verification of the blog (63942 became 5237), with the packets of the whole way.
    """
    before = len(access_log(lab))
    with lab.capture("pc-a1:eth0", "ce-a:wan", "br:inet", "www:eth0") as capture:
        answer = lab.run(
            "pc-a1",
            ["curl", "-sS", "--max-time", "10", "--local-port", "63942", f"http://{WWW}/"],
            check=True,
        )
    ((address, port),) = access_log(lab)[before:]
    evidence.table(
        "The same connection, seen from both ends",
        ["where", "source address", "source port"],
        [("pc-a1 (browser)", "192.168.1.11", 63942), ("www (access log)", address, port)],
    )
    assert answer.stdout == f"{SHARED_IPV4} {port}\n"
    assert address == SHARED_IPV4
    assert port in ports_of(PSID["a"])

    syn = "tcp.flags.syn == 1 && tcp.flags.ack == 0"
    at_home = wire(capture.path, f"{syn} && !ipv6", "frame.interface_name", "tcp.srcport")
    tunnelled = wire(
        capture.path,
        f"{syn} && ipv6",
        "frame.interface_name",
        "ipv6.src",
        "ipv6.dst",
        "tcp.srcport",
    )
    assert ("pc-a1/eth0", "63942") in at_home
    assert tunnelled == [("ce-a/wan", CE_ADDRESS["a"], BR_ADDRESS, str(port))]
    assert ("br/inet", str(port)) in at_home
    assert ("www/eth0", str(port)) in at_home


def test_names_resolve_through_the_tunnel(lab: ScenarioLab) -> None:
    """dig asks an IPv4 resolver through MAP-E and gets A and AAAA records; curl uses them."""
    for kind, expected in (("A", WWW), ("AAAA", WWW_V6)):
        answer = lab.run("pc-a1", ["dig", "+short", "+time=3", kind, "www.example.net"], check=True)
        assert answer.stdout.split() == [expected]
    page = lab.run("pc-b2", ["curl", "-sS4", "--max-time", "10", "http://www.example.net/"])
    assert page.stdout.split()[0] == SHARED_IPV4
    assert int(page.stdout.split()[1]) in ports_of(PSID["b"])


def test_ipv6_goes_natively(lab: ScenarioLab, evidence: Evidence) -> None:
    """IPv6 does not touch the CE's translation nor the BR: the server sees the host's address."""
    with lab.capture("br:vne", "ce-a:wan") as capture:
        native = lab.run("pc-a1", ["curl", "-sS", "--max-time", "10", f"http://[{WWW6}]/"])
        assert native.stdout.split()[0] == "240b:10:1234:4701::11"
        preferred = lab.run("pc-a1", ["curl", "-sS", "--max-time", "10", "http://www.example.net/"])
        assert preferred.stdout.split()[0] == "240b:10:1234:4701::11"
    seen = wire(capture.path, "tcp.flags.syn == 1", "frame.interface_name", "ipv6.src", "ip.src")
    evidence.table("SYNs of the two connections", ["interface", "IPv6 source", "IPv4 source"], seen)
    assert {row[0] for row in seen} == {"ce-a/wan"}
    assert all(row[2] == "" for row in seen)


def test_both_homes_at_once_never_share_a_port(lab: ScenarioLab, evidence: Evidence) -> None:
    """100 parallel connections from each home through the one public address, all answered."""
    before = len(access_log(lab))
    results: dict[str, CommandResult] = {}

    def browse(home: str) -> None:
        results[home] = lab.run(
            f"pc-{home}1",
            [
                *("curl", "-sS", "--parallel", "--parallel-immediate", "--parallel-max", "100"),
                *("--max-time", "30", "-H", "Connection: close", f"http://{WWW}/?[1-100]"),
            ],
        )

    threads = [threading.Thread(target=browse, args=(home,)) for home in PSID]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ports: dict[str, list[int]] = {}
    for home, result in results.items():
        result.require_ok()
        lines = [line.split() for line in result.stdout.splitlines()]
        assert {address for address, _ in lines} == {SHARED_IPV4}
        ports[home] = [int(port) for _, port in lines]
        assert len(ports[home]) == 100
        assert set(ports[home]) <= ports_of(PSID[home])
    evidence.table(
        "Ports that the server saw",
        ["home", "PSID", "connections", "distinct ports", "lowest", "highest"],
        [
            (home, PSID[home], len(used), len(set(used)), min(used), max(used))
            for home, used in ports.items()
        ],
    )
    assert not set(ports["a"]) & set(ports["b"])
    logged = access_log(lab)[before:]
    assert sorted(port for _, port in logged) == sorted(ports["a"] + ports["b"])


@pytest.mark.needs("iperf3")
@pytest.mark.capture(off=True)
def test_bulk_transfer_both_ways(lab: ScenarioLab, evidence: Evidence) -> None:
    """iperf3 carries data up and down through the reference data plane without an error.

    No figure is judged here: speed is the business of bench/.
    """
    for direction in ([], ["-R"]):
        result = lab.run(
            "pc-b1", ["iperf3", "-c", IPERF, "-n", "4M", "-J", *direction], timeout=60, check=True
        )
        summary = json.loads(result.stdout)["end"]["sum_received"]
        evidence.text(f"iperf3 {' '.join(direction) or 'up'}", f"{summary['bytes']} bytes received")
        assert summary["bytes"] > 1_000_000


def test_the_resolver_is_asked_from_the_shared_address(lab: ScenarioLab) -> None:
    """The DNS server's own log shows the shared IPv4 address as the client."""
    lab.run("pc-a2", ["dig", "+short", "+time=3", f"@{DNS}", "iperf.example.net"], check=True)
    log = (lab.run_folder / "logs" / "dns-unbound.log").read_text()
    asked = [line for line in log.splitlines() if "iperf.example.net. A IN" in line]
    assert asked
    assert all(SHARED_IPV4 in line for line in asked)
