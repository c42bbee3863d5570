"""Open vSwitch as the inside of switch nodes: by its own programs, and by what arrives."""

from __future__ import annotations

import hashlib
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.backends.registry import trouble
from testbed.errors import ServiceError
from testbed.events import Note
from testbed.guest.errors import GuestKernelError
from testbed.guest.interactive.bring_up import up_in_guest
from testbed.guest.kernel_build import find_kernel
from testbed.guest.machine import Machine, VirtualClock
from testbed.lab import Lab
from testbed.model import Builder, Impairment, Ready, Service, Topology
from testbed.peers.openvswitch.daemon import configuration, why_no_kernel_datapath
from testbed.plan import make_plan
from testbed.plan.operations import MakeBridge, MakeCable, StartService
from tests.lab.conftest import unique
from tests.waiting import wait_until

_PAGE = "import random; open('/tmp/page', 'wb').write(random.Random(1).randbytes(3_000_000))"


def two_switches(kind: str, delay: float = 0.0) -> Topology:
    """Two hosts at one switch, a server at the other."""
    lab = Builder("switched")
    lab.host("h1")
    lab.host("h2")
    serve = ("python3", "-m", "http.server", "80", "--directory", "/tmp")
    lab.host("h3", services=[Service("web", serve, ready=Ready("tcp", "80"))])
    lab.switch("s1", switch=kind)
    lab.switch("s2", switch=kind)
    slow = Impairment(delay=delay) if delay else None
    lab.link("one", "h1:eth0 192.0.2.1/24 2001:db8::1/64", "s1:p1", impairment=slow)
    lab.link("two", "h2:eth0 192.0.2.2/24", "s1:p2")
    lab.link("trunk", "s1:t", "s2:t")
    lab.link("three", "h3:eth0 192.0.2.3/24 2001:db8::3/64", "s2:p1")
    return lab.build()


def test_the_plan_has_a_service_on_which_the_others_wait() -> None:
    plan = make_plan(two_switches("ovs-user"))
    started = [step for step in plan.operations if isinstance(step, StartService)]
    assert [f"{step.node}/{step.service.name}" for step in started] == [
        "s1/ovs",
        "s2/ovs",
        "h3/web",
    ]
    assert started[0].service.command[2:] == (
        "testbed.peers.openvswitch",
        "user",
        "br0",
        "p1",
        "p2",
        "t",
    )
    assert started[2].service.after == ("s1/ovs", "s2/ovs")
    assert not [step for step in plan.operations if isinstance(step, MakeBridge)]
    cables = [step for step in plan.operations if isinstance(step, MakeCable)]
    assert all(port.bridge is None for step in cables for port in (step.left, step.right))
    assert ("ovs-vsctl", "service s1/ovs") in plan.needs
    assert "openvswitch" not in dict(plan.needs)
    assert "openvswitch" in dict(make_plan(two_switches("ovs-kernel")).needs)


def test_the_words_for_ovs_vsctl() -> None:
    words = " ".join(configuration("user", "br0", ["p1"]))
    assert "add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=standalone" in words
    assert "add-port br0 p1" in words
    assert "type=linux-noop" in words, "it leaves the engine's queueing disciplines alone"
    assert "datapath_type=system" in configuration("kernel", "br0", [])


@pytest.fixture(params=["netns", "mininet"])
def up(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Topology], Lab]]:
    """Bring a topology up on each backend that works with this machine's programs."""
    backend = str(request.param)
    why = trouble(backend)
    if why is not None:
        pytest.skip(why)
    _need_open_vswitch()
    labs: list[Lab] = []

    def bring_up(topology: Topology) -> Lab:
        name = unique(topology.name)
        labs.append(Lab.up(topology, name=name, run_folder=tmp_path / name, backend=backend))
        return labs[-1]

    yield bring_up
    for lab in labs:
        lab.down()


def _need_open_vswitch() -> None:
    if shutil.which("ovs-vsctl") is None:
        pytest.skip("the program 'ovs-vsctl' is not installed (see testbed doctor)")


@pytest.mark.needs_root
def test_frames_cross_and_streams_are_whole(up: Callable[[Topology], Lab]) -> None:
    """The user datapath hands on what it gets: unfinished checksums would never arrive."""
    lab = up(two_switches("ovs-user"))
    assert lab.run("h1", ["ping", "-c1", "-W2", "2001:db8::3"]).ok
    lab.run("h3", ["python3", "-c", _PAGE], check=True)
    (digest,) = {
        lab.run(node, ["sh", "-c", command], check=True).stdout.split()[0]
        for node, command in (
            ("h3", "sha256sum /tmp/page"),
            ("h1", "curl -fsS http://192.0.2.3/page | sha256sum"),
            ("h2", "curl -fsS http://192.0.2.3/page | sha256sum"),
        )
    }
    assert digest != hashlib.sha256(b"").hexdigest()
    table = lab.run("s1", ["ovs-appctl", "fdb/show", "br0"], check=True).stdout
    macs = [lab.get(node, "/sys/class/net/eth0/address").strip() for node in ("h1", "h2", "h3")]
    assert all(mac in table for mac in macs), "it has learnt where they are"


@pytest.mark.needs_root
def test_faults_on_its_links_and_on_itself(up: Callable[[Topology], Lab]) -> None:
    lab = up(two_switches("ovs"))
    ping = ["ping", "-c1", "-W1", "192.0.2.3"]
    assert lab.run("h1", ping).ok
    lab.cut("trunk")
    assert not lab.run("h1", ping).ok
    lab.restore("trunk")
    assert lab.run("h1", ping).ok
    lab.impair("s1:t", Impairment(rate=10_000_000))
    assert "tbf" in lab.run("s1", ["tc", "qdisc", "show", "dev", "t"]).stdout
    assert lab.run("h1", ping).ok
    lab.fault("kill-service", "s1/ovs")
    assert not lab.run("h1", ping).ok, "a switch that has crashed forwards nothing"
    lab.service("s1/ovs", "start")
    assert lab.run("h1", ping).ok
    lab.fault("reboot", "s2")
    assert lab.run("h1", ping).ok


@pytest.mark.needs_root
def test_it_ends_with_one_of_its_daemons_and_leaves_none(up: Callable[[Topology], Lab]) -> None:
    lab = up(two_switches("ovs-user"))
    daemon = lab.get("s1", "/run/openvswitch/ovs-vswitchd.pid").strip()
    others = lab.get("s2", "/run/openvswitch/ovs-vswitchd.pid").strip()
    lab.run("s1", ["kill", "-KILL", daemon], check=True)
    wait_until(lambda: lab.status()["services"]["s1/ovs"] == "exited 1", "the switch to end")
    log = (lab.run_folder / "logs" / "s1-ovs.log").read_text()
    assert f"ovs-vswitchd ended by itself (status -{signal.SIGKILL})" in log
    left = lab.run("s1", ["pgrep", "-x", "ovs-vswitchd"]).stdout.split()
    assert left == [others]


@pytest.mark.needs_root
def test_the_kernels_datapath_is_used_or_its_lack_is_told(up: Callable[[Topology], Lab]) -> None:
    trouble_here = why_no_kernel_datapath()
    if trouble_here is not None:
        with pytest.raises(ServiceError, match="this kernel has no datapath of Open vSwitch"):
            up(two_switches("ovs-kernel"))
    lab = up(two_switches("ovs"))
    notes = [one.event.text for one in lab.events() if isinstance(one.event, Note)]
    chosen = "kernel" if trouble_here is None else "user"
    assert len([text for text in notes if f", {chosen} datapath" in text]) == 2


def test_in_a_guest_the_kernels_datapath_and_exact_delays(tmp_path: Path) -> None:
    _need_open_vswitch()
    why = trouble("mininet")
    if why is not None:
        pytest.skip(why)
    try:
        kernel = find_kernel()
    except GuestKernelError as error:
        pytest.skip(f"no guest kernel: {error.what}")
    if kernel is None:
        pytest.skip("the guest kernel is not built: testbed kernel build")
    machine = Machine(clock=VirtualClock(), seed=1)
    topology = two_switches("ovs-kernel", delay=0.03)
    with up_in_guest(
        topology, machine, name=unique("guest"), run_folder=tmp_path / "run", backend="mininet"
    ) as lab:
        shown = lab.run("s1", ["ovs-dpctl", "show"], check=True).stdout
        assert "system@ovs-system" in shown
        lab.run("h1", ["ping", "-c1", "192.0.2.3"], check=True)  # addresses are learnt now
        times = lab.run("h1", ["ping", "-c5", "-i1", "192.0.2.3"], check=True).stdout
        assert times.count("time=60.0 ms") == 5
        prompt = lab.run("@mininet", ["h1 ping -c2 h3"], check=True).stdout
        assert prompt.count("time=60.0 ms") == 2
