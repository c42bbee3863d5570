"""The line: its routes lead where they should, and every contender builds the same network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import containers, startup
from bench.line import STAGE_HOPS, Line, left_address, name, prefix, right_address
from bench.line_testbed import topology_of
from bench.our_runs import IMAGE
from testbed.backends.registry import trouble
from testbed.lab import Lab
from testbed.model import Topology
from testbed.model.topology import DOCKER, MININET, NETNS
from tests.lab.conftest import unique

_ROOT = Path(__file__).parents[2]
_NODES = 5


@given(st.integers(2, 1200))
def test_the_stages_cross_the_whole_line(nodes: int) -> None:
    line = Line(nodes)
    assert line.stages[0].start == 0
    assert line.stages[-1].end == nodes - 1
    for stage, following in zip(line.stages, line.stages[1:], strict=False):
        assert stage.end == following.start
    assert all(1 <= stage.end - stage.start <= STAGE_HOPS for stage in line.stages)


def _walk(line: Line, node: int, target: str) -> list[int]:
    """The nodes a packet passes, by longest prefix over what each node is given."""
    address = ip_address(target)
    path = [node]
    while True:
        here = path[-1]
        own = {right_address(here - 1)} if here else set()
        own |= {left_address(here)} if here < line.nodes - 1 else set()
        if target in own:
            return path
        beside = {here - 1: here - 1, here + 1: here}
        via = [
            neighbour
            for neighbour, cable in beside.items()
            if cable in line.cables and address in ip_network(prefix(cable))
        ]
        gateways = {left_address(here - 1): here - 1} if here else {}
        gateways |= {right_address(here): here + 1} if here < line.nodes - 1 else {}
        via += [gateways[r.via] for r in line.routes(here) if address in ip_network(r.prefix)]
        path.append(via[0])
        assert len(path) <= line.nodes, f"{target} goes round: {path[-6:]}"


@given(st.integers(2, 600))
def test_pings_of_all_stages_go_straight_there_and_back(nodes: int) -> None:
    line = Line(nodes)
    for start, end, target in line.stages:
        assert _walk(line, start, target) == list(range(start, end + 1))
        back = left_address(start)  # the source of the ping: its interface to the right
        assert _walk(line, end, back) == list(range(end, start - 1, -1))


def test_a_single_stage_takes_two_routes_in_each_router() -> None:
    line = Line(200)
    assert [len(line.routes(node)) for node in (0, 1, 2, 100, 198, 199)] == [1, 1, 2, 2, 1, 1]
    assert line.settings(0) == line.settings(199) == {"net.ipv4.ip_default_ttl": 255}
    assert line.settings(100) == {}


# What a node looks like, by the same programs for every contender.

_LOOK = (
    "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_default_ttl; "
    "ip -j -4 address show up; ip -j -4 route"
)

_FLOOR = """
import os, subprocess, sys
from bench.floor import build
from bench.line import Line
from testbed.kernel import libc
libc.unshare(libc.CLONE_NEWNET)
nodes, kernels = build(Line(int(sys.argv[1])))
for node in nodes:
    libc.setns(node, libc.CLONE_NEWNET)
    print(subprocess.check_output(["sh", "-c", sys.argv[2]], text=True).replace("\\n", " "))
"""

_MININET = """
import sys
from bench import line_mininet
from bench.line import Line, name
from mininet.net import Mininet
Mininet.inited = True
line = Line(int(sys.argv[1]))
network = line_mininet._build(line, line_mininet._topology_of(line))
for node in range(line.nodes):
    print(network[name(node)].cmd(sys.argv[2]).replace("\\r\\n", " ").replace("\\n", " "))
network.stop()
"""


def _normal(text: str) -> dict[str, Any]:
    """Forwarding, TTL, addresses by interface, and static routes."""
    forward, ttl, rest = text.split(maxsplit=2)
    decoder = json.JSONDecoder()
    addresses, end = decoder.raw_decode(rest)
    routes, _ = decoder.raw_decode(rest[end:].lstrip())
    return {
        "forward": forward,
        "ttl": ttl,
        "addresses": {
            # Mininet's interfaces begin with the node's name.
            link["ifname"].rpartition("-")[2]: [
                f"{entry['local']}/{entry['prefixlen']}" for entry in link["addr_info"]
            ]
            for link in addresses
            if link["ifname"] != "lo"
        },
        "routes": sorted(
            (route["dst"], route["gateway"]) for route in routes if "gateway" in route
        ),
    }


def _by_script(*command: str) -> list[dict[str, Any]]:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    result = subprocess.run(
        [*command, str(_NODES), _LOOK],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return [_normal(line) for line in result.stdout.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return _looks(topology_of(Line(_NODES)), tmp_path_factory.mktemp("line"), NETNS)


def _looks(topology: Topology, folder: Path, backend: str) -> list[dict[str, Any]]:
    with Lab.up(topology, name=unique("line"), run_folder=folder, backend=backend) as lab:
        looks = [lab.run(name(node), ["sh", "-c", _LOOK], check=True) for node in range(_NODES)]
    return [_normal(look.stdout) for look in looks]


@pytest.mark.needs_root
def test_our_line_is_what_the_numbers_say(ours: list[dict[str, Any]]) -> None:
    assert ours[2] == {
        "forward": "1",
        "ttl": "64",
        "addresses": {
            "left": [f"{right_address(1)}/30"],
            "right": [f"{left_address(2)}/30"],
        },
        "routes": sorted(tuple(route) for route in Line(_NODES).routes(2)),
    }
    assert ours[0]["ttl"] == ours[-1]["ttl"] == "255"


@pytest.mark.needs_root
@pytest.mark.parametrize("backend", [MININET, DOCKER])
def test_our_line_is_the_same_on_every_backend(
    ours: list[dict[str, Any]], backend: str, tmp_path: Path
) -> None:
    why = containers.why_not(IMAGE) if backend == DOCKER else trouble(backend)
    if why is not None:
        pytest.skip(f"{backend}: {why}")
    topology = topology_of(Line(_NODES), IMAGE if backend == DOCKER else None)
    assert _looks(topology, tmp_path, backend) == ours


@pytest.mark.needs_root
def test_the_floor_builds_the_same_network(ours: list[dict[str, Any]]) -> None:
    if os.geteuid() != 0:
        pytest.skip("the floor needs root")
    assert _by_script(sys.executable, "-c", _FLOOR) == ours


@pytest.mark.needs_root
def test_mininet_builds_the_same_network(ours: list[dict[str, Any]]) -> None:
    missing = startup.why_no_mininet()
    if missing:
        pytest.skip(f"Mininet: {missing}")
    *unshare, python, _, _ = startup.COMMANDS[startup.MININET]
    assert _by_script(*unshare, python, "-c", _MININET) == ours
