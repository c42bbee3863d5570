"""Somebody's own Topo classes: drawn, built by Mininet, and used as labs."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from testbed import mininet as public
from testbed.backends import mininet_process
from testbed.errors import KernelUnsupportedError, MissingFeatureError, TestbedError
from testbed.events import Note
from testbed.evidence.pcapng_reader import PcapngReader
from testbed.lab import Lab
from testbed.lab_events import read_events
from testbed.mininet import mininet_topology
from testbed.model import Impairment, Ready, Service, Topology
from testbed.model.topology import ROUTER, SWITCH
from testbed.scenarios.needs import missing
from tests.backends.mininet.conftest import FILES, say
from tests.cli.conftest import run
from tests.lab.conftest import two_hosts, unique

pytestmark = [pytest.mark.needs_root, pytest.mark.usefixtures("mininet")]
Up = Callable[..., Lab]
CAMPUS = f"{FILES / 'campus.py'}"


def ends_of(topology: Topology) -> list[tuple[str, ...]]:
    """The ends of all links, in any order: label and addresses."""
    return sorted(
        (end.label, *map(str, end.addresses)) for link in topology.links for end in link.ends
    )


@pytest.mark.parametrize("text", ["Campus", "campus", "three", "Campus,departments=3", "Twice"])
def test_what_is_drawn_is_what_is_built(text: str, up: Up) -> None:
    """Our reading of the class against what Mininet and the kernel have in the end."""
    drawn = mininet_topology(f"{CAMPUS}:{text}", name="drawn")
    built = up(drawn).topology
    assert {node.name for node in built.nodes} == {node.name for node in drawn.nodes}
    assert [link.name for link in built.links] == [link.name for link in drawn.links]
    assert ends_of(built) == ends_of(drawn)
    assert built.mininet == drawn.mininet


@pytest.fixture(scope="module")
def campus(tmp_path_factory: pytest.TempPathFactory, mininet: None) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("campus")
    topology = mininet_topology(f"{CAMPUS}:Campus")
    with Lab.up(topology, name=unique("campus"), run_folder=folder) as lab:
        yield lab


def test_its_own_classes_have_run(campus: Lab) -> None:
    roles = {node.name: node.role for node in campus.topology.nodes}
    assert (roles["r0"], roles["s1"]) == (ROUTER, SWITCH)
    assert campus.topology.node("r0").note == "LinuxRouter"
    # Nodes share a view of the files, as in Mininet, and the host has no part in it.
    assert campus.get("h1", "/tmp/from-the-class") == "written by the class\n"
    assert not Path("/tmp/from-the-class").exists()
    assert "0% dropped (6/6" in say(campus, "pingall")


def test_captures_and_faults(campus: Lab) -> None:
    ping = ["ping", "-c1", "-W1", "192.168.2.100"]
    with campus.capture("s1:s1-eth1", "h2:h2-eth0", expression="icmp") as capture:
        campus.run("h1", ping, check=True)
    with capture.path.open("rb") as file:
        names = [packet.interface.name for packet in PcapngReader(file)]
    assert sorted(set(names)) == ["h2/h2-eth0", "s1/s1-eth1"]
    for target in ("s2-r0", "h1-s1", "h1:h1-eth0", "r0:r0-eth2"):
        campus.cut(target)
        assert not campus.run("h1", ping).ok
        campus.restore(target)
        assert campus.run("h1", ping).ok, f"after {target} came back"
    routes = campus.run("r0", ["ip", "route", "get", "203.0.113.1"]).stdout
    assert "via 192.168.1.100" in routes, "the class's own route is back, too"
    campus.impair("h1-s1", Impairment(rate=1_000_000))
    assert "tbf" in campus.run("s1", ["tc", "qdisc", "show", "dev", "s1-eth2"]).stdout
    campus.impair("h1-s1", Impairment())


def test_services_and_the_record(campus: Lab, up: Up) -> None:
    drawn = mininet_topology(f"{CAMPUS}:Campus", name="served")
    server = Service("web", ("python3", "-m", "http.server", "80"), ready=Ready("tcp", "80"))
    nodes = tuple(
        replace(node, services=(server,)) if node.name == "h2" else node for node in drawn.nodes
    )
    lab = up(replace(drawn, nodes=nodes))
    assert lab.status()["services"] == {"h2/web": "ready"}
    assert lab.run("h1", ["curl", "-sS", "http://192.168.2.100/"]).ok
    assert Lab.connect(lab.name).topology == lab.topology


def test_more_impairment_than_the_class_has(up: Up) -> None:
    drawn = mininet_topology(f"{CAMPUS}:Campus", name="worse")
    slow = Impairment(rate=10_000_000)
    links = tuple(
        replace(link, impairment=slow) if link.name == "s1-r0" else link for link in drawn.links
    )
    lab = up(replace(drawn, links=links))
    for node, interface in (("s1", "s1-eth1"), ("r0", "r0-eth1")):
        assert "tbf" in lab.run(node, ["tc", "qdisc", "show", "dev", interface]).stdout
        assert "tbf" not in lab.run("r0", ["tc", "qdisc", "show", "dev", "r0-eth2"]).stdout
    impaired = [
        end.label for link in lab.topology.links for end in link.ends if end.impairment == slow
    ]
    assert impaired == ["s1:s1-eth1", "r0:r0-eth1"]


@pytest.mark.parametrize("options", [[], ["--switch", "ovs"], ["--switch", "ovsbr"]])
def test_switches(options: list[str], up: Up) -> None:
    lab = up(mininet_topology(f"{CAMPUS}:Campus", options=options, name="switches"))
    assert "0% dropped (6/6" in say(lab, "pingall")
    ours = [one.event.text for one in lab.events() if isinstance(one.event, Note)]
    assert any(re.match(r"Open vSwitch \d\S+, (kernel|user) datapath", text) for text in ours) == (
        bool(options)
    )


def test_a_controller_and_a_switch_of_the_files_own(up: Up) -> None:
    options = ["--switch", "multi", "--controller", "ovsc", "--mac"]
    lab = up(mininet_topology(f"{CAMPUS}:Campus", options=options, name="controlled"))
    assert "c0" in {node.name for node in lab.topology.nodes}
    assert lab.topology.node("s1").note == "MultiSwitch"
    assert "02:00:00:00:00:99" in lab.run("s1", ["ovs-vsctl", "list", "bridge", "s1"]).stdout
    assert lab.get("h1", "/sys/class/net/h1-eth0/address") == "00:00:00:00:00:01\n"
    assert "0% dropped (6/6" in say(lab, "pingall")


def test_delay_without_netem_is_an_error_and_not_a_fast_link(tmp_path: Path) -> None:
    topology = mininet_topology(f"{CAMPUS}:Shaped,delay=5ms", name="shaped")
    (first, _), (_, second) = (link.ends for link in topology.links)
    assert first.impairment == second.impairment == Impairment(delay=0.005)
    if missing("netem") is None:
        pytest.skip("root may use netem here")
    with pytest.raises(KernelUnsupportedError, match="netem delay 5ms") as caught:
        Lab.up(topology, name=unique("shaped"), run_folder=tmp_path / "run")
    assert caught.value.where == "h1:h1-eth0"
    assert "--kernel guest" in str(caught.value.hint)


def test_a_delay_is_never_ignored_silently(tmp_path: Path, up: Up) -> None:
    """A plain Link passes over ``delay``; so does a Host over ``cpu``."""
    drawn = mininet_topology(f"{CAMPUS}:Plain", name="plain")
    assert [end.impairment for end in drawn.links[0].ends] == [Impairment(delay=0.02)] * 2
    asked = mininet_topology(f"{CAMPUS}:Plain", options=["--link", "default"], name="plain")
    assert [end.impairment for end in asked.links[0].ends] == [None] * 2
    lab = up(asked)
    notes = [one.event.text for one in lab.events() if isinstance(one.event, Note)]
    assert notes == ["no host's CPU is limited, although the class gives some of them cpu"]
    if missing("netem") is not None:
        with pytest.raises(KernelUnsupportedError, match="netem delay 20ms"):
            Lab.up(drawn, name=unique("plain"), run_folder=tmp_path / "run")


def test_what_mininet_ignores_is_told(up: Up) -> None:
    lab = up(mininet_topology(f"{CAMPUS}:TooFast", name="ignored"))
    notes = [one.event.text for one in lab.events() if isinstance(one.event, Note)]
    assert any("Bandwidth limit 5000 is outside supported range" in text for text in notes)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("missing.py:X", "missing.py: there is no such file"),
        (".:X", "it is no file"),
        ("broken.py:Nope", "it has no topology 'Nope'; it has: Raises, Exits"),
        ("broken.py", "which of its topologies? it has: Raises, Exits"),
        ("broken.py:Raises", r"broken.py:12: making Raises: ValueError: no more hosts"),
        ("broken.py:Exits", "Mininet gave up making Exits: 3"),
        ("broken.py:Raises,1,2", "making Raises,1,2: TypeError: "),
        ("broken.py:LongNames", "'a-very-long-name-eth0' of an interface is 21 bytes long"),
        ("syntax.py:X", "syntax.py:1: running it: SyntaxError: "),
        ("imports.py:X", "imports.py:1: running it: ModuleNotFoundError: No module named 'nosuch'"),
        ("table.py:X", "table.py: its topos is a list and not a dict"),
        (":X", "':X' is no Mininet topology"),
    ],
)
def test_a_wrong_file_is_one_clear_error(
    text: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text((FILES / "broken.py").read_text())
    (tmp_path / "syntax.py").write_text("def (\n")
    (tmp_path / "imports.py").write_text("import nosuch\n")
    (tmp_path / "table.py").write_text("topos = []\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TestbedError) as caught:
        mininet_topology(text)
    assert error in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("RaisesLater", r"broken.py:23: building RaisesLater: KeyError: 'no such thing'"),
        ("Limited", "CPULimitedHost limits the CPU by control groups of the whole machine"),
        ("NoNumber", "building NoNumber: Exception: Unable to derive default datapath ID"),
    ],
)
def test_what_only_building_shows(name: str, error: str, tmp_path: Path) -> None:
    lab = unique("broken")
    with pytest.raises(TestbedError) as caught:
        Lab.up(
            mininet_topology(f"{FILES / 'broken.py'}:{name}"),
            name=lab,
            run_folder=tmp_path / "run",
        )
    assert error in str(caught.value)
    last = [record.event for record in read_events(tmp_path / "run" / "events.jsonl")][-1]
    assert "failed to come up" in str(last)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--switch", "nope"], "nothing is called 'nope' among its switches"),
        (["--topo", "x"], "the options for Mininet: unrecognized arguments: --topo x"),
        (["--ipbase"], "the options for Mininet: argument --ipbase: expected one argument"),
    ],
)
def test_wrong_options(options: list[str], error: str) -> None:
    with pytest.raises(TestbedError, match=re.escape(error)):
        mininet_topology(f"{CAMPUS}:Campus", options=options)


def test_a_file_that_does_harm_does_it_nowhere(tmp_path: Path) -> None:
    """Drawing runs the file: in namespaces of its own, over files that are not the host's."""
    file = tmp_path / "harm.py"
    marks = [Path("/tmp/mininet-harm"), Path("/etc/mininet-harm"), Path("/var/mininet-harm")]
    file.write_text(
        "import os, subprocess\n"
        "from mininet.topo import MinimalTopo as Mine\n"
        "topos = {'mine': Mine}\n"
        f"for path in {[str(path) for path in marks]}:\n"
        "    open(path, 'w').write('x')\n"
        "subprocess.run(['ip', 'link', 'add', 'harm0', 'type', 'veth'], check=True)\n"
        "assert os.listdir('/proc').count('1') and os.getpid() == 1\n"
    )
    before = Path("/proc/net/dev").read_text().count(":")
    drawn = mininet_topology(str(file))
    assert {node.name for node in drawn.nodes} == {"h1", "h2", "s1"}
    assert not [path for path in marks if path.exists()]
    assert Path("/proc/net/dev").read_text().count(":") == before


def test_the_command(tmp_path: Path) -> None:
    name = unique("cli")
    words = ("--mininet-topo", f"{CAMPUS}:Campus", "--mininet-args", "--mac", "--name", name)
    up = run("up", *words, "--runs", tmp_path)
    try:
        assert up.returncode == 0, up.stderr
        assert f"{name} is up: 5 nodes, 4 links" in up.stdout
        assert f"testbed mininet {name}" in up.stdout
        assert "0% packet loss" in run("mininet", name, "-c", "h1 ping -c1 h2").stdout
    finally:
        down = run("down", name)
    assert down.returncode == 0
    wrong = run("up", "pair", "--mininet-topo", f"{CAMPUS}:Campus")
    assert (wrong.returncode, "name a topology, or a Mininet class" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("how", ["the backend", "somebody's topology"])
def test_without_mininet_the_error_says_what_to_install(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter of the tests stands for a Python without the module."""
    monkeypatch.setattr(public, "PYTHON", sys.executable)
    monkeypatch.setattr(mininet_process, "PYTHON", sys.executable)
    with pytest.raises(MissingFeatureError, match="Mininet cannot be loaded: No module") as caught:
        if how == "the backend":
            folder = tmp_path / "run"
            Lab.up(two_hosts(), name=unique("none"), run_folder=folder, backend="mininet")
        else:
            mininet_topology(f"{CAMPUS}:Campus")
    assert caught.value.hint == "apt-get install --no-install-recommends mininet"
