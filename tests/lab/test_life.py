"""A lab's life: up, used, down; and every way in which it can end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import KernelError, LabError, LabExistsError, LabNotFoundError, ServiceError
from testbed.events import CommandEnded, FaultApplied, LabDown, LabUp, ServiceExited
from testbed.lab import Lab, read_events
from testbed.model import Builder, Impairment, Ready, Service, Topology
from testbed.supervisor.channel import running_labs
from tests.lab.conftest import exists, two_hosts, unique
from tests.waiting import wait_until

Up = Callable[[Topology], Lab]


def test_hosts_reach_each_other_over_both_families(up: Up) -> None:
    lab = up(two_hosts())
    for address in ("192.0.2.2", "2001:db8::2"):
        assert lab.run("alice", ["ping", "-c1", "-W2", address]).ok


def test_a_router_forwards_and_its_absence_does_not(up: Up) -> None:
    lab = Builder("routed")
    lab.host("left", routes=["default via 192.0.2.1"])
    lab.router("middle")
    lab.host("right", routes=["default via 198.51.100.1"])
    lab.link("one", "left:eth0 192.0.2.9/24", "middle:a 192.0.2.1/24")
    lab.link("two", "right:eth0 198.51.100.9/24", "middle:b 198.51.100.1/24")
    running = up(lab.build())
    assert running.run("left", ["ping", "-c1", "-W2", "198.51.100.9"]).ok
    running.cut("two")
    assert not running.run("left", ["ping", "-c1", "-W1", "198.51.100.9"]).ok
    running.restore("two")
    assert running.run("left", ["ping", "-c1", "-W2", "198.51.100.9"]).ok


def _two_ways() -> Topology:
    """A router with a default route through one link and a route through the other."""
    lab = Builder("two-ways")
    lab.host("left", routes=["default via 192.0.2.1"])
    lab.router(
        "middle",
        routes=["default via 198.51.100.9", "203.0.113.0/24 via 192.0.2.9"],
        services=[Service("talker", ("sleep", "1000"))],
    )
    lab.host("right", routes=["default via 198.51.100.1"])
    lab.link("one", "left:eth0 192.0.2.9/24", "middle:a 192.0.2.1/24")
    lab.link("two", "right:eth0 198.51.100.9/24", "middle:b 198.51.100.1/24")
    return lab.build()


def test_links_come_back_in_any_order(up: Up) -> None:
    lab = up(_two_ways())
    planned = lab.run("middle", ["ip", "route"]).stdout
    lab.cut("one")
    lab.cut("two")
    lab.restore("two")
    assert not lab.run("left", ["ping", "-c1", "-W1", "198.51.100.9"]).ok
    lab.restore("one")
    assert lab.run("middle", ["ip", "route"]).stdout == planned
    assert lab.run("left", ["ping", "-c1", "-W2", "198.51.100.9"]).ok


def test_a_node_comes_back_from_a_reboot(up: Up) -> None:
    lab = up(_two_ways())
    planned = lab.run("middle", ["ip", "route"]).stdout
    lab.fault("reboot", "middle")
    assert lab.run("middle", ["ip", "route"]).stdout == planned
    assert lab.status()["services"]["middle/talker"] == "ready"
    assert lab.run("left", ["ping", "-c1", "-W2", "198.51.100.9"]).ok


def test_a_segment_and_a_switch_carry_frames_between_all_ends(up: Up) -> None:
    lab = Builder("lan")
    for number in range(1, 5):
        lab.host(f"h{number}")
    lab.switch("sw")
    lab.link("segment", *(f"h{number}:eth0 192.0.2.{number}/24" for number in range(1, 5)))
    lab.link("p1", "h1:eth1 198.51.100.1/24", "sw:p1")
    lab.link("p2", "h2:eth1 198.51.100.2/24", "sw:p2")
    running = up(lab.build())
    for target in ("192.0.2.2", "192.0.2.3", "192.0.2.4", "198.51.100.2"):
        assert running.run("h1", ["ping", "-c1", "-W2", target]).ok, target


def test_commands_give_status_output_and_input(up: Up) -> None:
    lab = up(two_hosts())
    result = lab.run("bob", ["sh", "-c", "cat; echo err >&2; exit 7"], input_text="hello")
    assert (result.status, result.stdout, result.stderr) == (7, "hello", "err\n")
    assert lab.run("bob", ["sh", "-c", "kill -9 $$"]).status == -signal.SIGKILL
    with pytest.raises(LabError, match="a command failed"):
        lab.run("bob", ["false"], check=True)
    with pytest.raises(ServiceError, match="cannot run 'no-such-program'"):
        lab.run("bob", ["no-such-program"])
    with pytest.raises(LabError, match="no node named 'carol'"):
        lab.run("carol", ["true"])
    with pytest.raises(LabError, match="did not end within"):
        lab.run("bob", ["sleep", "1000"], timeout=0.2)
    much = "x" * 1_000_000
    assert lab.run("bob", ["cat"], input_text=much).stdout == much
    assert lab.run("bob", ["true"], input_text=much).ok, "it need not read"
    with pytest.raises(LabError, match="did not end within"):
        lab.run("bob", ["sleep", "1000"], input_text=much, timeout=0.2)


def test_a_node_sees_its_own_files_name_and_interfaces(up: Up) -> None:
    builder = Builder("files")
    builder.host("box", files={"/etc/resolv.conf": "nameserver 192.0.2.53\n", "/run/x/y": "deep"})
    builder.host("other")
    builder.link("cable", "box:eth0 192.0.2.1/24", "other:uplink 192.0.2.2/24")
    lab = up(builder.build())
    assert lab.run("box", ["cat", "/etc/resolv.conf"]).stdout == "nameserver 192.0.2.53\n"
    assert lab.run("box", ["cat", "/run/x/y"]).stdout == "deep"
    assert lab.run("box", ["hostname"]).stdout == "box\n"
    assert lab.run("other", ["ls", "/sys/class/net"]).stdout.split() == ["lo", "uplink"]


def test_files_are_put_and_got_in_the_nodes_view(up: Up) -> None:
    lab = up(two_hosts())
    lab.put("alice", "/etc/testbed-example/deep/file", "text\n")
    assert lab.get("alice", "/etc/testbed-example/deep/file") == "text\n"
    assert not Path("/etc/testbed-example").exists()
    with pytest.raises(LabError, match="No such file"):
        lab.get("bob", "/etc/testbed-example/deep/file")


def test_what_a_node_writes_does_not_reach_the_host(up: Up) -> None:
    lab = up(two_hosts())
    mark = unique("written-in-a-node")
    for folder in ("/etc", "/var", "/tmp", "/srv", "/run"):
        assert lab.run("alice", ["sh", "-c", f"echo x > {folder}/{mark}"]).ok, folder
        assert lab.run("alice", ["cat", f"{folder}/{mark}"]).stdout == "x\n"
        assert not (Path(folder) / mark).exists(), folder
        assert not lab.run("bob", ["cat", f"{folder}/{mark}"]).ok


def test_processes_of_the_host_are_out_of_sight(up: Up) -> None:
    lab = up(two_hosts())
    pids = {int(word) for word in lab.run("alice", ["ps", "-e", "-o", "pid="]).stdout.split()}
    assert 1 in pids
    assert len(pids) < 10
    assert lab.run("alice", ["sh", "-c", f"kill -0 {os.getpid()}"]).status != 0


def test_a_socket_of_a_node_works_in_this_process(up: Up) -> None:
    lab = up(two_hosts())
    with lab.socket("bob") as receiver, lab.socket("alice") as sender:
        receiver.bind(("192.0.2.2", 5000))
        receiver.settimeout(5)
        sender.sendto(b"hello", ("192.0.2.2", 5000))
        data, (address, _) = receiver.recvfrom(100)
    assert (data, address) == (b"hello", "192.0.2.1")


def test_events_tell_the_story_in_order(up: Up) -> None:
    lab = up(two_hosts())
    lab.run("alice", ["true"])
    lab.fault("flush-addresses", "alice:eth0")
    lab.down()
    events = [record.event for record in read_events(lab.run_folder / "events.jsonl")]
    kinds = [type(event) for event in events if not isinstance(event, CommandEnded)]
    assert kinds[0] is LabUp
    assert kinds[-2:] == [FaultApplied, LabDown]
    assert events[-1] == LabDown("asked")


def test_addresses_change_on_demand(up: Up) -> None:
    lab = up(two_hosts())
    lab.fault("set-addresses", "alice:eth0", addresses=["192.0.2.77/24", "2001:db8::77/64"])
    assert not lab.run("bob", ["ping", "-c1", "-W1", "192.0.2.1"]).ok
    assert lab.run("bob", ["ping", "-c1", "-W2", "192.0.2.77"]).ok
    assert lab.run("bob", ["ping", "-c1", "-W2", "2001:db8::77"]).ok


def test_an_unknown_fault_or_target_is_refused_with_the_choices(up: Up) -> None:
    lab = up(two_hosts())
    with pytest.raises(LabError, match="no link or interface 'rope'") as caught:
        lab.cut("rope")
    assert "cable" in str(caught.value.hint)
    with pytest.raises(LabError, match="no fault is called 'explode'"):
        lab.fault("explode", "cable")
    with pytest.raises(LabError, match="no service 'alice/web'"):
        lab.fault("kill-service", "alice/web")


def test_the_same_topology_runs_in_several_labs_at_once(up: Up) -> None:
    labs = [up(two_hosts()) for _ in range(3)]
    results: list[bool] = []

    def ping(lab: Lab) -> None:
        results.append(lab.run("alice", ["ping", "-c1", "-W2", "192.0.2.2"]).ok)

    threads = [threading.Thread(target=ping, args=(lab,)) for lab in labs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True, True, True]
    labs[0].down()
    assert labs[1].run("alice", ["ping", "-c1", "-W2", "192.0.2.2"]).ok


def test_a_second_up_of_the_same_name_is_refused_and_harms_nothing(up: Up, tmp_path: Path) -> None:
    lab = up(two_hosts())
    with pytest.raises(LabExistsError, match="is up already") as caught:
        Lab.up(two_hosts(), name=lab.name, run_folder=tmp_path / "second")
    assert f"testbed down {lab.name}" in str(caught.value.hint)
    assert lab.run("alice", ["ping", "-c1", "-W2", "192.0.2.2"]).ok


@pytest.mark.parametrize("name", ["", "a/b", "-x", "é", "x" * 81, "a b"])
def test_a_name_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be the name of a lab"):
        Lab.up(two_hosts("pair"), name=name or " ", run_folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_lab_is_found_by_name_and_gone_after_down(up: Up) -> None:
    lab = up(two_hosts())
    again = Lab.connect(lab.name)
    assert again.topology == lab.topology
    assert lab.name in running_labs()
    again.down()
    assert lab.name not in running_labs()
    with pytest.raises(LabNotFoundError, match="no lab named"):
        Lab.connect(lab.name)


def test_down_returns_when_every_process_of_the_lab_is_gone(up: Up) -> None:
    lab = up(two_hosts())
    pid = lab.pid
    assert exists(pid)
    mark = "sleep\x004321\x00"
    running = lab.start("alice", ["sleep", "4321"])
    assert _running(mark)
    lab.down()
    assert running.wait(5).status == -signal.SIGKILL
    assert not exists(pid)
    assert not _running(mark)


_OWNER = """
    import signal, sys, time
    # Whoever was started in the background may have inherited deafness to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from pathlib import Path
    from testbed.lab import Lab
    from tests.lab.conftest import two_hosts
    lab = Lab.up(two_hosts(), name=sys.argv[1], run_folder=Path(sys.argv[2]))
    running = lab.start("alice", ["sleep", sys.argv[3]])
    print("up", flush=True)
    time.sleep(1000)
"""


def _owner(name: str, folder: Path, seconds: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_OWNER), name, str(folder), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_owner_is_killed(number: int, tmp_path: Path) -> None:
    name = unique("owned")
    mark = f"sleep\x00{1000 + number}\x00"
    with _owner(name, tmp_path / name, 1000 + number) as owner:
        pid = Lab.connect(name).pid
        assert _running(mark)
        owner.send_signal(number)
        owner.wait()
    wait_until(lambda: not exists(pid), "the lab to end with its owner")
    wait_until(lambda: not _running(mark), "the processes in it to end")
    assert name not in running_labs()


def _running(command_line: str) -> bool:
    """Does any process of the machine have this command line?"""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes() == command_line.encode():
                    return True
            except OSError:
                continue
    return False


def test_a_killed_lab_is_told_clearly_and_leaves_nothing(tmp_path: Path) -> None:
    name = unique("victim")
    lab = Lab.up(two_hosts(), name=name, run_folder=tmp_path / name)
    os.kill(lab.pid, signal.SIGKILL)
    wait_until(lambda: name not in running_labs(), "the lab's name to be free")
    with pytest.raises(LabNotFoundError, match="no lab named"):
        lab.run("alice", ["true"])
    Lab.up(two_hosts(), name=name, run_folder=tmp_path / "again").down()


def test_the_hosts_network_is_untouched(up: Up) -> None:
    def host() -> tuple[str, ...]:
        commands = (["ip", "-d", "link"], ["ip", "route", "show", "table", "all"], ["ip", "rule"])
        texts = [
            subprocess.run(command, capture_output=True, text=True, check=True).stdout
            for command in commands
        ]
        settings = sorted(Path("/proc/sys/net/ipv4").glob("conf/*/*"))
        return (*texts, *(f"{path} {_read(path)}" for path in settings), _read("/proc/mounts"))

    before = host()
    lab = up(two_hosts())
    during = host()
    lab.down()
    assert before == during == host()


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        return str(error)


def test_delay_without_netem_is_an_error_that_says_what_would_provide_it(tmp_path: Path) -> None:
    from testbed.kernel.probe import probe

    builder = Builder("slow")
    builder.host("a")
    builder.host("b")
    builder.link(
        "cable", "a:eth0 192.0.2.1/24", "b:eth0 192.0.2.2/24", impairment=Impairment(delay=0.05)
    )
    topology = builder.build()
    name = unique("slow")
    if probe()["netem"].present:
        with Lab.up(topology, name=name, run_folder=tmp_path / "slow") as lab:
            result = lab.run("a", ["ping", "-c1", "-W2", "192.0.2.2"], check=True)
            time = float(result.stdout.partition("time=")[2].split()[0])
            assert time > 100
        return
    with pytest.raises(KernelError, match="netem") as caught:
        Lab.up(topology, name=name, run_folder=tmp_path / "slow")
    assert "CONFIG_NET_SCH_NETEM" in str(caught.value.hint)
    wait_until(lambda: name not in running_labs(), "the half-built lab to end")


def test_a_rate_limit_is_in_force(up: Up) -> None:
    builder = Builder("rate")
    builder.host("a")
    builder.host("b")
    builder.link(
        "cable",
        "a:eth0 192.0.2.1/24",
        "b:eth0 192.0.2.2/24",
        impairment=Impairment(rate=5_000_000),
    )
    lab = up(builder.build())
    shown = lab.run("a", ["tc", "qdisc", "show", "dev", "eth0"]).stdout
    assert "tbf" in shown
    assert "rate 5Mbit" in shown


def test_services_become_ready_in_order_and_their_end_is_told(up: Up) -> None:
    builder = Builder("services")
    builder.host(
        "box",
        services=[
            Service(
                "second",
                ("sh", "-c", "test -e /var/first-was-here && echo ready; exec sleep 1000"),
                ready=Ready("log", "^ready$"),
                after=("box/first",),
            ),
            Service(
                "first",
                ("sh", "-c", "touch /var/first-was-here; exec sleep 1000"),
                ready=Ready("file", "/var/first-was-here"),
            ),
        ],
    )
    lab = up(builder.build())
    assert set(lab.status()["services"].values()) == {"ready"}
    lab.fault("kill-service", "box/first")
    assert lab.status()["services"]["box/first"] == "exited -9"
    ends = [record.event for record in lab.events() if isinstance(record.event, ServiceExited)]
    assert ends == [ServiceExited(-9, expected=False)]
    lab.service("box/first", "start")
    with pytest.raises(LabError, match="runs already"):
        lab.service("box/first", "start")
    with pytest.raises(LabError, match="nothing called 'bless'"):
        lab.service("box/first", "bless")
    assert lab.status()["services"]["box/first"] == "ready"


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (Service("bad", ("sh", "-c", "echo my last words; exit 3")), "my last words"),
        (
            Service("slow", ("sleep", "1000"), ready=Ready("tcp", "80", timeout=0.2)),
            r"not ready after 0\.2 s \(waited for tcp 80\)",
        ),
        (Service("missing", ("no-such-daemon",)), "cannot run 'no-such-daemon'"),
        (
            Service("hung", ("sleep", "1000"), ready=Ready("command", "sleep 1000", timeout=0.3)),
            r"not ready after 0\.3 s \(waited for command sleep 1000\)",
        ),
    ],
)
def test_a_service_that_does_not_come_up_ends_the_lab_with_its_log(
    service: Service, expected: str, tmp_path: Path
) -> None:
    if service.name == "bad":
        service = Service("bad", service.command, ready=Ready("tcp", "80"))
    builder = Builder("failing")
    builder.host("box", services=[service])
    builder.host("other")
    builder.link("cable", "box:eth0 192.0.2.1/24", "other:eth0 192.0.2.2/24")
    name = unique("failing")
    with pytest.raises(ServiceError, match=expected):
        Lab.up(builder.build(), name=name, run_folder=tmp_path / "run")
    wait_until(lambda: name not in running_labs(), "the half-built lab to end")


_SECRET = 'correct"horse\\bättery'


def test_secrets_of_a_service_stay_out_of_events_and_logs(up: Up) -> None:
    builder = Builder("secret")
    builder.host(
        "box",
        services=[
            Service(
                "talkative",
                ("sh", "-c", "cat {run}/psk; echo; exec sleep 1000"),
                files=(("psk", _SECRET),),
                secrets=(_SECRET,),
                ready=Ready("log", "."),
            )
        ],
    )
    builder.host("other")
    builder.link("cable", "box:eth0 192.0.2.1/24", "other:eth0 192.0.2.2/24")
    lab = up(builder.build())
    lab.note(f"the key is {_SECRET}")
    lab.run("box", ["echo", _SECRET])
    lab.down()
    files = [path for path in lab.run_folder.rglob("*") if path.is_file()]
    assert {"topology.json", "events.jsonl", "box-talkative.log"} <= {path.name for path in files}
    for path in files:
        text = path.read_text()
        for form in (_SECRET, json.dumps(_SECRET)[1:-1], 'correct"horse'):
            assert form not in text, path
