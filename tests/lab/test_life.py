"""A lab's life: up, several at once, down; and every way in which it can end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import LabError, LabExistsError, LabNotFoundError
from testbed.events import CommandEnded, FaultApplied, LabDown, LabUp
from testbed.lab import Lab, read_events
from testbed.model import Topology
from testbed.supervisor.channel import running_labs
from tests.lab.conftest import exists, two_hosts, unique
from tests.waiting import wait_until

Up = Callable[[Topology], Lab]


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
