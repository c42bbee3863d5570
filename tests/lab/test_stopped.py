"""A stopped supervisor (SIGSTOP) answers nobody: nobody waits for ever, and it can be ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.cli import talk
from testbed.errors import LabError
from testbed.kernel.channel import Channel, NoAnswerError
from testbed.lab import Lab
from testbed.model import Topology
from testbed.supervisor import ending
from testbed.supervisor.channel import connect, running_labs
from tests.lab.conftest import exists, two_hosts, unique
from tests.waiting import wait_until

Up = Callable[[Topology], Lab]


@contextmanager
def _stopped(lab: Lab) -> Iterator[int]:
    pid = lab.pid
    os.kill(pid, signal.SIGSTOP)
    stat = Path(f"/proc/{pid}/stat")
    wait_until(lambda: ") T " in stat.read_text(), "the supervisor to stop")
    try:
        yield pid
    finally:
        if exists(pid):
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    "ask",
    [
        lambda lab: lab.status(),
        lambda lab: lab.run("alice", ["true"]),
        lambda lab: lab.capture("bob:eth0"),
        lambda lab: lab.cut("cable"),
        lambda lab: talk.status(lab.name),
    ],
    ids=["status", "exec", "capture", "fault", "the command's status"],
)
def test_a_question_ends_with_what_to_do(up: Up, ask: Callable[[Lab], object]) -> None:
    lab = up(two_hosts())
    with _stopped(lab) as pid, pytest.raises(NoAnswerError) as caught:
        ask(lab)
    assert f"process {pid}) is stopped" in caught.value.what
    assert lab.name in caught.value.what
    assert f"kill -CONT {pid}" in (caught.value.hint or "")
    assert lab.run("alice", ["true"]).ok, "once it goes on, so does everything"


def test_a_full_queue_of_connections_is_told(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.supervisor.channel._LONGEST_CONNECT", 1)
    lab = up(two_hosts())
    waiting: list[Channel] = []
    with _stopped(lab):
        with pytest.raises(NoAnswerError, match="takes no connection"):
            while len(waiting) < 1000:
                waiting.append(connect(lab.name))
        for channel in waiting:
            channel.close()


def test_down_ends_it_and_all_in_it(tmp_path: Path) -> None:
    lab = Lab.up(two_hosts(), name=unique("stopped"), run_folder=tmp_path / "run")
    inside = lab.start("alice", ["sh", "-c", "echo $$; exec sleep 1000000"])
    namespace = Path(f"/proc/{lab.pid}/ns/pid").readlink()
    pid = lab.pid
    with _stopped(lab):
        lab.down()
    assert not exists(pid)
    assert lab.name not in running_labs()
    left = [
        process.name
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and _namespace(process) == namespace
    ]
    assert left == []
    inside.stop()


def _namespace(process: Path) -> Path | None:
    try:
        return (process / "ns" / "pid_for_children").readlink()
    except OSError:
        return None


def test_the_command_down_says_what_it_did(tmp_path: Path) -> None:
    name = unique("stopped")
    command = [sys.executable, "-m", "testbed"]
    folder = tmp_path / "run"
    lab = Lab.up(two_hosts(), name=name, run_folder=folder, attached=False)
    with _stopped(lab) as pid:
        done = subprocess.run(
            [*command, "down", name], capture_output=True, text=True, timeout=100, check=False
        )
    assert done.returncode == 0, done.stderr
    assert f"process {pid}) is stopped; it is killed" in done.stderr
    assert f"its record: {folder}" in done.stdout
    assert not exists(pid)
    assert name not in running_labs()


def test_nobody_but_a_supervisor_is_killed() -> None:
    """Whoever holds the socket of a lab's name is looked at first."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, pytest.raises(LabError, match="is no supervisor of a lab"):
        ending.kill(Channel(ours), "nobody's")
