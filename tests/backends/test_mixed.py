"""One lab of nodes from every backend: namespaces, hosts of Mininet, containers, on one wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.backends.registry import trouble
from testbed.evidence.pcapng_reader import PcapngReader
from testbed.lab import Lab
from testbed.model import Builder, Ready, Service, Topology
from testbed.model.topology import BACKENDS
from tests.lab.conftest import unique

_PAGE = "a page from a container\n"


def _mixed() -> Topology:
    lab = Builder("mixed", "A host of Mininet's, a router in a namespace, a server in a container")
    lab.host("client", backend="mininet", routes=["default via 192.0.2.1"])
    lab.router("router")
    lab.host(
        "server",
        backend="docker",
        image="web",
        routes=["default via 198.51.100.1"],
        files={"/var/www/html/index.html": _PAGE},
        services=[Service("web", ("start",), Ready("tcp", "80"))],
    )
    lab.link("inside", "client:eth0 192.0.2.10/24", "router:in 192.0.2.1/24")
    lab.link("outside", "server:eth0 198.51.100.80/24", "router:out 198.51.100.1/24")
    return lab.build()


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Lab]:
    for name in BACKENDS:
        why = trouble(name)
        if why is not None:
            pytest.skip(f"{name}: {why}")
    with Lab.up(_mixed(), name=unique("mixed"), run_folder=tmp_path / "run") as lab:
        yield lab


def test_packets_cross_from_one_to_another(mixed: Lab) -> None:
    made = {node["name"]: node["backend"] for node in mixed.status()["nodes"]}
    assert made == {"client": "mininet", "router": "netns", "server": "docker"}
    with mixed.capture(expression="tcp port 80") as capture:
        page = mixed.run("client", ["curl", "-s", "-m5", "http://198.51.100.80/"], check=True)
    assert page.stdout == _PAGE
    with capture.path.open("rb") as file:
        seen = {packet.interface.name for packet in PcapngReader(file)}
    assert seen == {"client/eth0", "router/in", "router/out", "server/eth0"}


def test_faults_hit_them_alike(mixed: Lab) -> None:
    ask = ["curl", "-s", "-m2", "http://198.51.100.80/"]
    for link in ("inside", "outside"):
        mixed.cut(link)
        assert not mixed.run("client", ask).ok
        mixed.restore(link)
        assert mixed.run("client", ask).ok
    mixed.fault("reboot", "server")
    assert mixed.run("client", ask).ok
    mixed.service("server/web", "stop")
    assert mixed.run("client", ask).status == 7, "refused: nobody listens"


def test_each_is_made_of_its_own(mixed: Lab) -> None:
    """The container has its image's programs and processes, the others this machine's."""
    assert mixed.run("server", ["cat", "/proc/1/comm"]).stdout != "testbed-lab\n"
    for node in ("client", "router"):
        assert mixed.run(node, ["cat", "/proc/1/comm"]).stdout == "testbed-lab\n"
