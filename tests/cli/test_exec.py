"""``testbed exec``: the command's own input, output, exit code and signals."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from testbed.lab import Lab
from tests.cli.conftest import Start, command, read_until, run
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_root

_PATIENT = 'trap "echo got it; exit 42" {0}; echo ready; while :; do sleep 0.02; done'


def _runs(pair_lab: Lab, mark: str) -> bool:
    """Does a command with this word in its arguments run in the lab?"""
    listing = pair_lab.run("alice", ["ps", "-e", "-o", "args="]).stdout
    return any(mark in line and "ps -e" not in line for line in listing.splitlines())


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_the_exit_code_is_passed_on(pair_lab: Lab, script: str, code: int) -> None:
    assert run("exec", pair_lab.name, "alice", "--", "sh", "-c", script).returncode == code


def test_input_output_and_errors_are_the_callers_own(pair_lab: Lab) -> None:
    data = os.urandom(300_000)
    done = subprocess.run(
        command("exec", pair_lab.name, "alice", "--", "sh", "-c", "cat; echo bad >&2"),
        input=data,
        capture_output=True,
        check=True,
    )
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
    assert done.stderr == b"bad\n"


def test_it_works_in_the_middle_of_a_pipe(pair_lab: Lab) -> None:
    words = command("exec", pair_lab.name, "bob", "--", "tr", "a-z", "A-Z")
    script = 'printf "hello\\nworld\\n" | "$@" | head -n 1'
    done = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, check=True)
    assert done.stdout == b"HELLO\n"


def test_a_reader_that_has_enough_ends_the_command(pair_lab: Lab) -> None:
    words = command("exec", pair_lab.name, "bob", "--", "yes")
    script = 'set -o pipefail; "$@" | head -n 1'
    done = subprocess.run(["bash", "-c", script, "sh", *words], capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (b"y\n", 128 + signal.SIGPIPE)


def test_input_can_be_a_file_or_closed(pair_lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from a file")
    words = command("exec", pair_lab.name, "alice", "cat")
    script = 'cd "$0"; "$@" <in; "$@" <&-; echo " $?"'
    done = subprocess.run(
        ["sh", "-c", script, str(tmp_path), *words], capture_output=True, text=True, check=False
    )
    assert done.stdout == "from a file 0\n"
    assert done.stderr == ""


def test_what_follows_the_node_belongs_to_the_command(pair_lab: Lab) -> None:
    assert run("exec", pair_lab.name, "alice", "echo", "-n", "--json").stdout == "--json"
    assert run("exec", pair_lab.name, "alice", "--", "echo", "--", "x").stdout == "-- x\n"


def test_it_runs_in_the_node_with_only_the_variables_given(pair_lab: Lab) -> None:
    words = ("exec", "--env", "COLOUR=blue=green", pair_lab.name, "bob", "--", "env")
    done = subprocess.run(
        command(*words),
        env={**os.environ, "HTTP_PROXY": "http://secret@proxy", "TERM": "vt100"},
        capture_output=True,
        text=True,
        check=True,
    )
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert variables["TESTBED_NODE"] == "bob"
    assert variables["COLOUR"] == "blue=green"
    assert variables["TERM"] == "vt100"
    assert "HTTP_PROXY" not in variables
    assert run("exec", pair_lab.name, "bob", "hostname").stdout == "bob\n"


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "USR1"])
def test_signals_go_to_the_command(pair_lab: Lab, start: Start, name: str) -> None:
    process = start("exec", pair_lab.name, "alice", "--", "sh", "-c", _PATIENT.format(name))
    read_until(process.stdout, b"ready\n")
    process.send_signal(getattr(signal, f"SIG{name}"))
    read_until(process.stdout, b"got it\n")
    assert process.wait(30) == 42


def test_the_command_stops_and_goes_on_with_its_caller(pair_lab: Lab, start: Start) -> None:
    script = "echo ready; while :; do echo tick; sleep 0.02; done"
    process = start("exec", pair_lab.name, "alice", "--", "sh", "-c", script)
    read_until(process.stdout, b"ready\n")
    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: _state(process.pid) == "T", "the caller to stop")
    stopped = ["sh", "-c", "ps -e -o stat= -o args= | grep '^T.*ech[o] tick'"]
    wait_until(lambda: pair_lab.run("alice", stopped).ok, "the command to stop")
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: not pair_lab.run("alice", stopped).ok, "the command to go on")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143


def _state(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0]


def test_the_command_ends_when_its_caller_is_killed(pair_lab: Lab, start: Start) -> None:
    process = start("exec", pair_lab.name, "alice", "--", "sh", "-c", "echo ready; sleep 98765; :")
    read_until(process.stdout, b"ready\n")
    assert _runs(pair_lab, "98765")
    process.kill()
    wait_until(lambda: not _runs(pair_lab, "98765"), "the command to end")


def test_a_lab_that_goes_down_takes_the_command_with_it(own_lab: Lab, start: Start) -> None:
    process = start("exec", own_lab.name, "alice", "--", "sh", "-c", "echo ready; sleep 98765; :")
    read_until(process.stdout, b"ready\n")
    own_lab.down()
    assert process.wait(30) == 1
    told = read_until(process.stderr, b"\n").decode()
    assert told == f"error: lab {own_lab.name!r} went down, and the command with it\n"
