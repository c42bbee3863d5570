"""When the agent ends, and who may speak to it."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from testbed.backends.agent import build, protocol
from testbed.errors import MissingFeatureError
from tests.backends.agent.conftest import Agent, start_agent
from tests.waiting import wait_until


def test_it_ends_with_the_connection_that_holds_it_and_all_programs_with_it(agent: Agent) -> None:
    life = agent.hold()
    _, answer = agent.start("sh", "-c", "setsid sleep 60 & exec sleep 60")
    assert answer.kind == protocol.STARTED
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children")
    wait_until(lambda: children.read_text() != "", "the program")
    programs = children.read_text().split()
    life.close()
    assert agent.wait() == 0
    assert [pid for pid in programs if Path(f"/proc/{pid}").exists()] == []


def test_it_ends_when_nobody_comes(program: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    agent = start_agent(program, "1")
    idle = agent.connect()  # a connection that does not say it holds it does not count
    assert agent.wait() == 4
    idle.close()
    agent.stack.close()


def test_it_stays_beyond_that_time_when_somebody_came(program: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    agent = start_agent(program, "1")
    life = agent.hold()
    assert agent.run("sleep", "1.2").status == 0
    assert agent.run("true").status == 0
    life.close()
    assert agent.wait() == 0
    agent.stack.close()


def test_only_one_lab_holds_it(agent: Agent) -> None:
    first = agent.hold()
    second = agent.connect()
    second.send(protocol.request(protocol.LIFE))
    answer = protocol.receive(second)
    assert answer is not None
    assert (answer.kind, answer.text) == (protocol.FAILED, "another lab holds this container")
    second.close()
    assert agent.run("true").status == 0
    first.close()
    assert agent.wait() == 0


def test_nonsense_on_the_holding_connection_does_not_end_it(agent: Agent) -> None:
    life = agent.hold()
    life.send(b"nonsense")
    answer = protocol.receive(life)
    assert answer is not None
    assert answer.text == "that is not a request"
    assert agent.run("true").status == 0
    life.close()
    assert agent.wait() == 0


_INTRUDER = """
import socket
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
sock.connect("\\0testbed-agent")
try:
    sock.send(bytes(28))
    print("answer", sock.recv(100))
except ConnectionError as error:
    print("sent away")
"""


def test_a_program_inside_is_sent_away(agent: Agent) -> None:
    life = agent.hold()
    answer = agent.run("/usr/bin/python3", "-c", _INTRUDER).output
    assert answer in ("sent away\n", "answer b''\n")
    nested = agent.run("unshare", "-p", "-f", "/usr/bin/python3", "-c", _INTRUDER)
    assert nested.output in ("sent away\n", "answer b''\n")
    life.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_program_inside_cannot_end_it(agent: Agent, number: signal.Signals) -> None:
    life = agent.hold()
    agent.run("kill", f"-{number.name.removeprefix('SIG')}", "1")
    assert agent.run("true").status == 0
    assert agent.runs
    life.close()


def test_docker_can_ask_it_to_end(agent: Agent) -> None:
    agent.hold()
    os.kill(agent.pid, signal.SIGTERM)
    assert agent.wait() == 0


def test_it_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = build.ensure_agent()
    inode = first.stat().st_ino
    assert first.is_relative_to(tmp_path)
    assert build.ensure_agent().stat().st_ino == inode
    assert [entry.name for entry in first.parent.iterdir()] == [build.NAME]


def test_without_a_compiler_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_PATH", str(tmp_path))
    with pytest.raises(MissingFeatureError) as trouble:
        build.ensure_agent()
    assert "gcc libc6-dev" in str(trouble.value)


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'cannot find -lc' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setattr(build, "_PATH", f"{tmp_path}:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(MissingFeatureError, match="cannot find -lc"):
        build.ensure_agent()


def test_whoever_is_in_another_network_finds_nobody(agent: Agent) -> None:
    agent.hold()
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock,
        pytest.raises(ConnectionRefusedError),
    ):
        sock.connect(protocol.SOCKET_NAME)
