"""However a lab ends, nothing of it is left, and the host's network is as it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import LabNotFoundError
from testbed.lab import Lab
from testbed.model import Topology
from testbed.supervisor.channel import running_labs
from tests.backends.contract.left_over import containers, host_network, running
from tests.lab.conftest import exists, two_hosts, unique
from tests.waiting import wait_until

Up = Callable[[Topology], Lab]


def test_the_hosts_network_is_untouched(up: Up) -> None:
    before = host_network()
    lab = up(two_hosts())
    during = host_network()
    lab.down()
    assert before == during == host_network()


def test_down_returns_when_all_of_it_is_gone(up: Up) -> None:
    lab = up(two_hosts())
    pid = lab.pid
    mark = f"sleep\x00{900_000 + os.getpid()}\x00"
    command = lab.start("alice", mark.rstrip("\x00").split("\x00"))
    assert running(mark)
    lab.down()
    assert command.wait(5).status == -signal.SIGKILL
    assert not exists(pid)
    assert not running(mark)
    assert not containers(lab.name)


@pytest.mark.parametrize("daemon", [False, True], ids=["a command", "what a command left behind"])
def test_a_supervisor_that_is_killed_takes_everything_along(
    daemon: bool, tmp_path: Path, backend: str
) -> None:
    name = unique("victim")
    lab = Lab.up(two_hosts(), name=name, run_folder=tmp_path / name, backend=backend)
    mark = f"sleep\x00{910_000 + os.getpid()}\x00"
    words = mark.rstrip("\x00").replace("\x00", " ")
    commands = []  # held: a command ends with its handle
    if daemon:
        lab.run("bob", ["sh", "-c", f"setsid {words} >/dev/null 2>&1 </dev/null &"], check=True)
    else:
        commands.append(lab.start("bob", words.split()))
    wait_until(lambda: running(mark), "the program to run")
    os.kill(lab.pid, signal.SIGKILL)
    wait_until(lambda: name not in running_labs(), "the lab's name to be free")
    wait_until(lambda: not running(mark), "its programs to end")
    assert all(command.wait(5).status == -signal.SIGKILL for command in commands)
    wait_until(lambda: not containers(name), "its containers to be gone")
    with pytest.raises(LabNotFoundError, match="no lab named"):
        lab.run("alice", ["true"])
    Lab.up(two_hosts(), name=name, run_folder=tmp_path / "again", backend=backend).down()


def test_labs_of_the_same_topology_run_side_by_side(up: Up) -> None:
    labs = [up(two_hosts()) for _ in range(2)]
    for lab in labs:
        lab.run("bob", ["sh", "-c", f"echo {lab.name} > /tmp/who"], check=True)
    for lab in labs:
        assert lab.get("bob", "/tmp/who") == f"{lab.name}\n"
        assert lab.run("alice", ["ping", "-c1", "-W2", "192.0.2.2"]).ok
    labs[0].down()
    assert labs[1].run("alice", ["ping", "-c1", "-W2", "192.0.2.2"]).ok
