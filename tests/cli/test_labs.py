"""``testbed up``, ``down``, ``status`` and ``list`` with real labs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.lab import Lab
from testbed.supervisor.channel import running_labs
from tests.cli.conftest import (
    PAIR_YAML,
    Call,
    Start,
    Terminal,
    end_lab,
    read_until,
    run,
    unique,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_root

_NEVER_READY = """\
name: never
nodes:
  alice:
    services:
      never: {command: [sleep, "98765"], ready: {kind: tcp, value: "80", timeout: 1000}}
"""


@pytest.fixture
def name() -> Iterator[str]:
    """A lab name; whatever the test leaves under it is taken down."""
    chosen = unique("cli")
    yield chosen
    end_lab(chosen)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pair.yaml").write_text(PAIR_YAML)
    (tmp_path / "never.yaml").write_text(_NEVER_READY)
    monkeypatch.chdir(tmp_path)


def test_a_lab_from_up_to_down(name: str, tmp_path: Path) -> None:
    done = run("up", "pair.yaml", "--name", name, "--runs", tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert f"{name} is up: 2 nodes, 1 link, 0 services" in done.stdout
    assert f"testbed shell {name} alice" in done.stdout
    assert done.stderr.splitlines() == [
        f"bringing up {name}: making nodes (2)",
        f"bringing up {name}: laying cables (1)",
        f"bringing up {name}: configuring addresses and routes",
    ]
    state = json.loads(run("status", name, "--json").stdout)
    assert (state["name"], state["topology"], state["attached"]) == (name, "hosts", False)
    record = Path(state["run_folder"])
    assert record.parent == tmp_path / "elsewhere"
    assert run("exec", name, "alice", "--", "ping", "-c1", "192.0.2.2").returncode == 0
    done = run("down", name)
    assert (done.returncode, done.stdout) == (0, f"{name} is down; its record: {record}\n")
    assert name not in running_labs()
    assert (record / "events.jsonl").is_file()
    again = run("down", name)
    assert again.returncode == 1
    assert f"no lab named '{name}' is up" in again.stderr


def test_up_as_json_prints_the_state_alone(name: str) -> None:
    done = run("up", "pair.yaml", "--name", name, "--json")
    assert json.loads(done.stdout)["name"] == name


def test_status_and_list_show_the_lab(pair_lab: Lab, call: Call) -> None:
    shown = call("status", pair_lab.name).out
    for part in ("alice", "eth0 192.0.2.1/24 2001:db8::1/64", "bob", "talker", "ready"):
        assert part in shown, part
    listing = json.loads(call("list", "--json").out)
    assert pair_lab.name in listing["other_labs"]
    states = json.loads(call("status", "--json").out)
    assert pair_lab.name in [state["name"] for state in states]


def test_without_a_name_the_only_lab_is_meant(
    call: Call, pair_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other labs of this machine must not decide over this test: their list is given."""
    names = [pair_lab.name]
    monkeypatch.setattr("testbed.supervisor.channel.running_labs", lambda: list(names))
    assert f"{pair_lab.name} is up" in call("status").out
    names.append("zzz-not-there")
    overview = call("status").out
    assert pair_lab.name in overview
    assert "zzz-not-there" in overview
    refused = call("down")
    assert refused.code == 1
    assert "2 labs are up" in refused.err
    names.clear()
    assert "no lab is up" in call("status").out
    assert call("status", "--json").out == "[]\n"
    assert call("down").err.startswith("error: no lab is up\n")
    nothing = call("down", "--all")
    assert (nothing.code, nothing.out) == (0, "no lab is up\n")


def test_down_takes_several_labs(tmp_path: Path) -> None:
    names = [unique("many"), unique("many")]
    try:
        for one in names:
            assert run("up", "pair.yaml", "--name", one).returncode == 0
        done = run("down", *names)
        assert done.returncode == 0
        assert not set(names) & set(running_labs())
    finally:
        for one in names:
            end_lab(one)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_lab_in_the_foreground_ends_with_a_signal(
    name: str, start: Start, number: signal.Signals
) -> None:
    process = start("up", "pair.yaml", "--name", name, "--foreground")
    read_until(process.stdout, b"record .*\n")
    assert name in running_labs()
    process.send_signal(number)
    assert process.wait(30) == 0
    assert name not in running_labs()
    told = read_until(process.stderr, b"is down; its record: .*\n")
    record = Path(told.decode().rpartition(": ")[2].strip())
    assert '"kind":"lab-down","data":{"reason":"asked"}' in (record / "events.jsonl").read_text()


def test_a_lab_in_the_foreground_ends_when_another_takes_it_down(name: str, start: Start) -> None:
    process = start("up", "pair.yaml", "--name", name, "--foreground")
    read_until(process.stdout, b"record .*\n")
    assert run("down", name).returncode == 0
    assert process.wait(30) == 0
    read_until(process.stderr, b"was taken down \\(asked\\)")


def test_a_lab_in_the_foreground_dies_with_its_owner(name: str, start: Start) -> None:
    process = start("up", "pair.yaml", "--name", name, "--foreground")
    read_until(process.stdout, b"record .*\n")
    process.kill()
    wait_until(lambda: name not in running_labs(), "the lab to end")


def test_a_lab_whose_supervisor_is_killed_is_told(name: str, start: Start) -> None:
    process = start("up", "pair.yaml", "--name", name, "--foreground")
    read_until(process.stdout, b"record .*\n")
    os.kill(_supervisor_of(process.pid), signal.SIGKILL)
    assert process.wait(30) == 1
    read_until(process.stderr, b"error: .* has ended by itself\n")


def _supervisor_of(owner: int) -> int:
    """The lab's first process: it was forked by the owner and holds a descriptor of it."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "comm").read_text().strip() != "testbed-lab":
                    continue
                for link in (entry / "fdinfo").iterdir():
                    if f"\nPid:\t{owner}\n" in link.read_text():
                        return int(entry.name)
            except OSError:
                continue
    raise AssertionError("no supervisor holds a descriptor of its owner")


def test_ctrl_c_while_coming_up_leaves_nothing(
    name: str, terminal: Callable[..., Terminal]
) -> None:
    at = terminal("up", "never.yaml", "--name", name)
    at.expect("starting services")  # shown on a line that changes
    assert name in running_labs()
    at.type("\x03")
    assert at.wait() == 130
    assert name not in running_labs()
    assert f"interrupted: nothing of {name} is running" in at.seen
    assert "Traceback" not in at.seen
    assert at.restored


def test_a_service_that_does_not_start_is_told_with_its_log(name: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "name: bad\nnodes:\n  alice:\n    services:\n"
        "      web: {command: [sh, -c, 'echo no luck today; exit 3'], ready: tcp 80}\n"
    )
    done = run("up", "bad.yaml", "--name", name)
    assert done.returncode == 1
    assert "service 'web'" in done.stderr
    assert "no luck today" in done.stderr
    assert "where: alice" in done.stderr
    assert name not in running_labs()
