"""A lab in a guest with a real clock: nothing waits for anybody, and the rest is the same."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from testbed.guest.interactive.bring_up import up_in_guest
from testbed.guest.machine import Machine
from testbed.lab import Lab
from tests.cli.conftest import Terminal, command, pair, read_until, unique
from tests.guest_labs.conftest import call


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("real")
    with up_in_guest(pair(), Machine(), name=unique("real"), run_folder=folder) as lab:
        yield lab


def test_commands_run_and_time_is_ours(real: Lab) -> None:
    ran = call("exec", real.name, "alice", "--", "sh", "-c", "ping -c1 192.0.2.2 && date +%s")
    assert "1 received" in ran.stdout, ran.stderr
    assert abs(int(ran.stdout.split()[-1]) - time.time()) < 60


def test_it_goes_on_while_nobody_asks(real: Lab) -> None:
    script = "(sleep 0.3; echo came > /srv/later) > /dev/null 2>&1 &"
    assert call("exec", real.name, "alice", "--", "sh", "-c", script).returncode == 0
    deadline = time.monotonic() + 30
    while "came" not in call("exec", real.name, "alice", "cat", "/srv/later").stdout:
        assert time.monotonic() < deadline


def test_input_that_comes_late(real: Lab) -> None:
    with subprocess.Popen(
        command("exec", real.name, "alice", "--", "sh", "-c", "echo ready; cat"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        read_until(process.stdout, b"ready\n")
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"late\n")
        process.stdin.close()
        assert process.stdout.read() == b"late\n"


def test_signals_reach_the_command(real: Lab) -> None:
    script = "trap 'echo caught; exit 9' TERM; echo up; while :; do sleep 0.05; done"
    with subprocess.Popen(
        command("exec", real.name, "alice", "--", "sh", "-c", script), stdout=subprocess.PIPE
    ) as process:
        read_until(process.stdout, b"up\n")
        process.terminate()
        read_until(process.stdout, b"caught\n")
        assert process.wait(30) == 9


def test_a_shell(real: Lab, terminal: Callable[..., Terminal]) -> None:
    screen = terminal("shell", real.name, "bob", SHELL="/bin/sh")
    screen.expect(r"# $")
    screen.type("echo $TESTBED_NODE; exit 3\r")
    screen.expect("bob\r\n")
    assert screen.wait() == 3


def test_services_events_and_logs(real: Lab) -> None:
    assert "ready" in call("status", real.name).stdout
    assert "one\nready\n" in call("logs", real.name, "bob/talker").stdout
    ran = call("fault", real.name, "restart-service", "bob/talker")
    assert ran.returncode == 0, ran.stderr
    assert "restart-service" in call("events", real.name, "--kind", "fault-applied").stdout


def test_its_clock_cannot_be_told_anything(real: Lab, refused: Callable[..., str]) -> None:
    said = refused("clock", real.name, "--by", "1h")
    assert "shows real time and waits for nobody" in said
    assert "--clock virtual" in said


def test_a_socket_stays_inside(real: Lab) -> None:
    with pytest.raises(Exception, match="cannot leave its guest"):
        real.socket("alice")
