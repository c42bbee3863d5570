"""However a lab in a guest ends, the next command says why, and nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from testbed.lab import Lab
from testbed.supervisor.channel import running_labs
from tests.cli.conftest import Terminal, command, read_until, unique
from tests.guest.running import processes_of_session
from tests.guest_labs.conftest import call, children, parent, processes
from tests.waiting import wait_until

TOPOLOGY = """\
name: cable
nodes: {alice: , bob: }
links:
  cable: {ends: ["alice:eth0 192.0.2.1/24", "bob:eth0 192.0.2.2/24"]}
"""
GUEST = ("--kernel", "guest", "--clock", "virtual")


def family(lab: Lab) -> list[int]:
    """Everybody on the host who belongs to a lab: who tidies up, the keeper, the guest's own."""
    keeper = lab.pid
    (guest,) = children(keeper)
    return [parent(keeper), keeper, *processes_of_session(guest)]


def assert_nothing_left(name: str, pids: list[int], folder: Path) -> None:
    wait_until(lambda: not processes(pids), "the processes to end")
    assert name not in running_labs()
    assert [path.name for path in (folder / "guest").iterdir()] == ["console.log"]


def test_down_leaves_only_the_record(own: Lab) -> None:
    pids = family(own)
    assert len(pids) > 3
    ran = call("down", own.name)
    assert ran.stdout == f"{own.name} is down; its record: {own.run_folder}\n", ran.stderr
    assert_nothing_left(own.name, pids, own.run_folder)
    assert (
        '"kind":"lab-down","data":{"reason":"asked"}'
        in (own.run_folder / "events.jsonl").read_text()
    )


def test_a_keeper_that_is_killed(own: Lab) -> None:
    pids = family(own)
    with subprocess.Popen(
        command("exec", own.name, "alice", "--", "sh", "-c", "echo up; exec cat"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        read_until(process.stdout, b"up\n")
        os.kill(own.pid, signal.SIGKILL)
        assert process.wait(30) == 1
        read_until(process.stderr, b"went down, and the command with it")
    assert_nothing_left(own.name, pids, own.run_folder)
    assert f"no lab named {own.name!r} is up" in call("exec", own.name, "alice", "true").stderr


def test_a_guest_that_is_killed_while_nobody_is_there(own: Lab) -> None:
    pids = family(own)
    os.kill(children(own.pid)[0], signal.SIGKILL)
    wait_until(lambda: "has ended" in call("list").stdout, "the list to say so")
    ran = call("exec", own.name, "alice", "--", "date")
    assert ran.returncode == 1
    assert "the guest was killed by SIGKILL" in ran.stderr
    assert_nothing_left(own.name, pids, own.run_folder)


def test_a_panic_ends_the_command_that_caused_it_with_the_reason(own: Lab) -> None:
    pids = family(own)
    script = "echo c > /proc/sysrq-trigger; sleep 60"
    ran = call("exec", own.name, "alice", "--", "sh", "-c", script)
    assert ran.returncode == 1
    assert "the guest's kernel panicked" in ran.stderr
    assert_nothing_left(own.name, pids, own.run_folder)
    assert (
        "its guest ended: the guest's kernel panicked"
        in (own.run_folder / "events.jsonl").read_text()
    )


def test_a_name_that_is_taken(own: Lab, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "cable.yaml").write_text(TOPOLOGY)
    for kernel in (GUEST, ()):
        said = refused("up", tmp_path / "cable.yaml", "--name", own.name, *kernel)
        assert f"a lab named {own.name!r} is up already" in said


def test_ctrl_c_while_it_comes_up(tmp_path: Path, terminal: Callable[..., Terminal]) -> None:
    (tmp_path / "cable.yaml").write_text(TOPOLOGY)
    name = unique("never")
    runs = tmp_path / "runs"
    screen = terminal("up", tmp_path / "cable.yaml", "--name", name, "--runs", runs, *GUEST)
    screen.expect("booting the guest")
    screen.type("\x03")
    assert screen.wait() == 130
    assert f"interrupted: nothing of {name} is running" in screen.seen
    (folder,) = runs.iterdir()
    wait_until(
        lambda: [path.name for path in (folder / "guest").iterdir()] == ["console.log"],
        "the folder to be tidy",
    )


def test_an_attached_lab_ends_with_its_owner(tmp_path: Path) -> None:
    (tmp_path / "cable.yaml").write_text(TOPOLOGY)
    name = unique("attached")
    words = ("up", tmp_path / "cable.yaml", "--name", name, "--runs", tmp_path / "runs", *GUEST)
    with subprocess.Popen(command(*words, "--foreground"), stdout=subprocess.PIPE) as owner:
        read_until(owner.stdout, b"record .*\n")
        pids = family(Lab.connect(name))
        owner.kill()
    wait_until(lambda: not processes(pids), "the processes to end")
    (folder,) = (tmp_path / "runs").iterdir()
    assert_nothing_left(name, pids, folder)


def test_what_cannot_be_brought_up(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "cable.yaml").write_text(TOPOLOGY)
    up = ("up", tmp_path / "cable.yaml", "--name", unique("no"))
    assert "needs the guest kernel" in refused(*up, "--clock", "virtual")
    assert "needs the guest kernel" in refused(*up, "--seed", "7")
    assert "no kernel is called 'gest'" in refused(*up, "--kernel", "gest")
    assert "--start" in refused(*up, "--kernel", "guest", "--clock", "virtual", "--start", "soon")
    assert "-1 is no seed" in refused(*up, "--kernel", "guest", "--seed", "-1")


def test_a_topology_that_fails_in_the_guest_leaves_nothing(tmp_path: Path) -> None:
    failing = TOPOLOGY.replace("alice: ", 'alice: {services: {no: {command: ["/no/such"]}}}')
    (tmp_path / "cable.yaml").write_text(failing)
    name = unique("failing")
    words = ("up", tmp_path / "cable.yaml", "--name", name, "--runs", tmp_path / "runs", *GUEST)
    ran = call(*words)
    assert ran.returncode == 1
    assert "cannot run '/no/such'" in ran.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert name not in running_labs()
    wait_until(
        lambda: [path.name for path in (folder / "guest").iterdir()] == ["console.log"],
        "the folder to be tidy",
    )
