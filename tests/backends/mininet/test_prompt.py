"""The ``mininet>`` prompt on labs of ours."""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.errors import LabError
from testbed.events import LabDown, Record
from testbed.lab import Lab, read_events
from testbed.model import Builder, Topology
from tests.backends.mininet.conftest import say
from tests.cli.conftest import Terminal, run
from tests.lab.conftest import two_hosts, unique
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_root
Up = Callable[[Topology], Lab]
Open = Callable[..., Terminal]


def campus() -> Topology:
    """A router between a cable and a switch, and a LAN segment."""
    lab = Builder("campus")
    lab.host("a", routes=["default via 192.0.2.1"], files={"/etc/motd": "of a\n"})
    lab.router("r")
    lab.switch("core")
    lab.host("b", routes=["default via 198.51.100.1"])
    lab.host("c")
    lab.host("d")
    lab.link("one", "a:eth0 192.0.2.2/24", "r:in 192.0.2.1/24")
    lab.link("two", "r:out 198.51.100.1/24", "core:p1")
    lab.link("three", "b:eth0 198.51.100.2/24", "core:p2")
    lab.link("lan", "b:eth1 10.0.0.2/24", "c:eth0 10.0.0.3/24", "d:eth0 10.0.0.4/24")
    return lab.build()


@pytest.fixture(scope="module")
def campus_lab(tmp_path_factory: pytest.TempPathFactory, mininet: None) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("prompt")
    with Lab.up(campus(), name=unique("prompt"), run_folder=folder, backend="mininet") as lab:
        yield lab


def test_mininet_knows_the_nodes_and_the_links(campus_lab: Lab) -> None:
    assert say(campus_lab, "nodes").split("\n")[1].split() == [
        "a",
        "b",
        "c",
        "core",
        "d",
        "lan",
        "r",
    ]
    net = say(campus_lab, "net").splitlines()
    assert "a eth0:in" in net
    assert "r in:eth0 out:p1" in net
    assert "core p1:out p2:eth0" in net
    links = say(campus_lab, "links").splitlines()
    assert len(links) == 6
    assert all(line.strip().endswith("(OK OK)") for line in links)
    assert say(campus_lab, "py h.intf() if (h := net['a']) else None", "py a.MAC()").split("\n")[
        1
    ] == (campus_lab.run("a", ["cat", "/sys/class/net/eth0/address"]).stdout.strip())


def test_commands_in_nodes_are_where_ours_are(campus_lab: Lab) -> None:
    assert ", 0% packet loss" in say(campus_lab, "a ping -c1 b")
    assert say(campus_lab, "a cat /etc/motd; hostname") == "of a\na\n"
    campus_lab.put("b", "/tmp/here", "put by us\n")
    assert say(campus_lab, "b cat /tmp/here") == "put by us\n"
    assert not Path("/tmp/here").exists()
    ours = campus_lab.run(
        "a", ["readlink", "/proc/self/ns/net", "/proc/self/ns/mnt"]
    ).stdout.split()
    assert say(campus_lab, "a readlink /proc/$$/ns/net /proc/$$/ns/mnt").split() == ours


def test_pingall_and_its_figures(campus_lab: Lab) -> None:
    told = say(campus_lab, "pingall")
    assert "*** Results: 50% dropped (10/20 received)" in told
    reached = {
        (source, target)
        for source, targets in re.findall(r"^(\S+) -> (.*)$", told, re.MULTILINE)
        for target in targets.split()
        if target != "X"
    }
    routed = {(x, y) for x in "arb" for y in "arb" if x != y}
    # b is its first address, which c and d have no route to.
    assert reached == routed | {("b", "c"), ("b", "d"), ("c", "d"), ("d", "c")}


def test_what_mininet_does_is_seen_by_the_engine(campus_lab: Lab) -> None:
    """``link a r down`` in Mininet is a cable without carrier to everybody."""
    say(campus_lab, "link a r down")
    assert not campus_lab.run("a", ["ping", "-c1", "-W1", "192.0.2.1"]).ok
    campus_lab.restore("one")
    assert campus_lab.run("a", ["ping", "-c1", "-W2", "198.51.100.2"]).ok


def test_complaints_are_an_exit_code(campus_lab: Lab) -> None:
    result = campus_lab.run("@mininet", ["nonsense"])
    assert (result.status, result.stdout) == (1, "*** Unknown command: nonsense\n")
    ran = run("mininet", campus_lab.name, "-c", "a echo $((6*7))", "-c", "nonsense")
    assert (ran.returncode, ran.stdout) == (1, "42\n*** Unknown command: nonsense\n")
    ran = run("mininet", campus_lab.name, stdin="a echo one\nb echo two # three\n")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "one\ntwo\n", "")


def test_a_line_that_mininet_stumbles_over_ends_no_session(up: Up) -> None:
    """And nodes with a hyphen in their name are nodes, too."""
    builder = Builder("hyphens")
    builder.host("pc-a1")
    builder.host("six-only")
    builder.link("lan", "pc-a1:eth0 192.0.2.1/24 2001:db8::1/64", "six-only:eth0 2001:db8::2/64")
    lab = up(builder.build())
    lines = ("pc-a1 echo $((6*7))", "x -1", "six-only echo still here")
    ran = run("mininet", lab.name, stdin="".join(f"{line}\n" for line in lines))
    first, stumbled, last = ran.stdout.splitlines()
    assert (ran.returncode, first, last) == (1, "42", "still here"), ran
    assert stumbled.startswith("*** x -1: "), ran


def test_a_session_on_a_terminal(campus_lab: Lab, terminal: Open, tmp_path: Path) -> None:
    at = terminal("mininet", campus_lab.name, HOME=str(tmp_path), TERM="dumb")
    at.expect("mininet> ")
    at.type("a ping b\n")
    at.expect("icmp_seq=2")
    busy = run("mininet", campus_lab.name, "-c", "nodes")
    assert busy.returncode == 1
    assert "prompt of this lab is in use" in busy.stderr
    at.type("\x03")
    at.expect("mininet> ")
    at.type("py a.name * 3\n")
    at.expect("aaa")
    at.type("exit\n")
    assert at.wait() == 0
    assert at.restored
    assert list(tmp_path.iterdir()) == []  # no history file


def test_a_prompt_that_is_killed_leaves_the_nodes_usable(campus_lab: Lab, terminal: Open) -> None:
    at = terminal("mininet", campus_lab.name, TERM="dumb")
    at.expect("mininet> ")
    at.type("b sleep 76543\n")
    looks = ["pgrep", "-xf", "sleep 76543"]
    wait_until(lambda: campus_lab.run("b", looks).ok, "the command to run")
    # The youngest process of the Mininet side is the prompt's.
    side = campus_lab.run("b", ["pgrep", "-nf", "mininet_side"]).stdout.strip()
    campus_lab.run("b", ["kill", "-KILL", side], check=True)
    assert at.wait() == 128 + signal.SIGKILL
    assert say(campus_lab, "b echo again") == "again\n"
    assert not campus_lab.run("b", looks).ok


def is_down(record: Record) -> bool:
    return isinstance(record.event, LabDown)


def test_a_prompt_that_is_told_to_end_does(campus_lab: Lab) -> None:
    """Also while a program runs that passes over Ctrl-C."""
    deaf = "sh -c 'trap : INT; echo begun; while :; do sleep 0.1; done'"
    with campus_lab.start("@mininet", [f"d {deaf}"]) as command:
        wait_until(lambda: "begun" in command.output_so_far(), "the program to run")
        command.send_signal(signal.SIGTERM)
        assert command.wait(20).status == 128 + signal.SIGTERM
    campus_lab.run("d", ["pkill", "-KILL", "-f", "trap : INT"], check=True)
    assert say(campus_lab, "d echo again") == "again\n"


def test_the_side_that_ends_takes_the_lab_down(up: Up) -> None:
    lab = up(two_hosts())
    supervisor = os.pidfd_open(lab.pid)
    side = lab.run("alice", ["pgrep", "-of", "mininet_side"]).stdout.strip()
    killer = lab.start("alice", ["kill", "-KILL", side])  # held: a command ends with its handle
    wait_until(lambda: bool(select.select([supervisor], [], [], 0)[0]), "the lab to end")
    os.close(supervisor)
    (last,) = (one.event for one in read_events(lab.run_folder / "events.jsonl") if is_down(one))
    assert last == LabDown("its Mininet process was ended by signal 9")
    assert killer.wait(5).status in (0, -signal.SIGKILL)  # it ends with the lab


def test_a_lab_without_mininet_has_no_prompt(tmp_path: Path) -> None:
    with (
        Lab.up(two_hosts(), name=unique("plain"), run_folder=tmp_path / "run") as lab,
        pytest.raises(LabError, match="it has no mininet> prompt"),
    ):
        lab.run("@mininet", ["net"])
