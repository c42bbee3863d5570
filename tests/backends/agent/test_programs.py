"""Programs that the agent starts, beside the same programs started in a namespace node."""

from __future__ import annotations

import os
import pty
import signal
from pathlib import Path

import pytest

from testbed.backends.agent import protocol
from testbed.backends.place import Command
from testbed.backends.spawning import spawn
from testbed.errors import ServiceError
from testbed.kernel import namespaces
from tests.backends.agent.conftest import PATH, Agent
from tests.waiting import wait_until


def test_a_program_gets_arguments_environment_and_folder(agent: Agent) -> None:
    words = ("with space", "", "newline\n", "ü", "-n")
    ended = agent.run("printf", "[%s]", *words)
    assert ended == type(ended)(0, "".join(f"[{word}]" for word in words))
    assert agent.run("env", variables=(PATH, "A=1=2", "B=")).output == f"{PATH}\nA=1=2\nB=\n"
    assert agent.run("pwd", folder="/usr/bin").output == "/usr/bin\n"
    assert agent.run("pwd", folder="/nowhere").output == "/\n"


def test_it_has_exactly_the_descriptors_that_came(agent: Agent) -> None:
    ended = agent.run("sh", "-c", 'for each in /proc/self/fd/*; do echo "${each##*/}"; done')
    assert ended.output.split() == ["0", "1", "2", "3"], "3 is the folder that the shell reads"
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe:
        with Path(os.devnull).open() as nothing:
            sock, _ = agent.start(
                "sh",
                "-c",
                "echo nine >&9",
                descriptors=[*[nothing.fileno()] * 9, writing],
            )
        os.close(writing)
        assert pipe.read() == "nine\n"
    assert protocol.receive(sock) == protocol.Answer(protocol.ENDED, 0)


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 77", 77), ("kill -TERM $$", -15)]
)
def test_its_end_is_told(agent: Agent, script: str, status: int) -> None:
    assert agent.run("sh", "-c", script).status == status


_OF_LIBC = 1 << 31 | 1 << 32
"""Signals 32 and 33: libc keeps them for itself, and lets nobody set what becomes of them."""


def test_it_leads_a_session_without_signals_blocked_or_ignored(agent: Agent) -> None:
    fields = agent.run("cat", "/proc/self/stat").output.rpartition(")")[2].split()
    pid = agent.run("sh", "-c", "echo $$; cat /proc/self/status").output
    signals = {
        line.partition(":")[0]: int(line.split()[1], 16)
        for line in pid.splitlines()
        if line.startswith(("SigBlk", "SigIgn"))
    }
    assert fields[2] == fields[3], "process group and session are the same"
    signals["SigIgn"] &= ~_OF_LIBC
    assert signals == {"SigBlk": 0, "SigIgn": 0}


def test_a_program_with_a_terminal_has_job_control(agent: Agent) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb+", buffering=0) as screen:
        sock, answer = agent.start(
            "sh",
            "-c",
            "echo here >/dev/tty; exec sleep 60",
            descriptors=[theirs] * 3,
            terminal=True,
        )
        os.close(theirs)
        assert answer.kind == protocol.STARTED
        assert screen.read(100) == b"here\r\n"
        screen.write(b"\x03")  # Ctrl-C: the terminal knows whom to interrupt
        assert protocol.receive(sock) == protocol.Answer(protocol.ENDED, -signal.SIGINT)


def test_a_terminal_that_is_none_is_an_error(agent: Agent) -> None:
    with Path(os.devnull).open() as nothing:
        _, answer = agent.start("true", descriptors=[nothing.fileno()], terminal=True)
    assert answer.text == "Inappropriate ioctl for device"


@pytest.mark.parametrize(
    "arguments",
    [("no-such-program",), ("/no/such",), ("/etc",), ("/etc/hosts",), ("TEXT",), ("x" * 5000,)],
)
def test_errors_read_as_those_of_a_namespace_node(
    agent: Agent, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    text = tmp_path / "text"
    text.write_text("not a program")
    text.chmod(0o755)
    arguments = tuple(str(text) if word == "TEXT" else word for word in arguments)
    _, answer = agent.start(*arguments)
    assert answer.kind == protocol.FAILED
    mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    try:
        with pytest.raises(ServiceError) as trouble:
            command = Command(arguments, dict([PATH.split("=")]), "/", (0, 1, 2))
            spawn("node", agent.network, mounts, command)
    finally:
        os.close(mounts)
    assert trouble.value.what == f"cannot run {arguments[0]!r}: {answer.text}"


def test_the_path_is_the_programs_own(agent: Agent, tmp_path: Path) -> None:
    for name, mode in (("first", 0o644), ("second", 0o755)):
        program = tmp_path / name / "hello"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho {name}\n")
        program.chmod(mode)
    path = f"PATH={tmp_path}/none:{tmp_path}/first:{tmp_path}/second"
    assert agent.run("hello", variables=(path,)).output == "second\n"
    _, answer = agent.start("hello", variables=(f"PATH={tmp_path}/first:{tmp_path}/none",))
    assert answer.text == "Permission denied", "the reason that says more"


def test_signals_reach_the_program_or_its_group(agent: Agent) -> None:
    life = agent.hold()
    reading, writing = os.pipe()
    with os.fdopen(reading) as output:
        sock, answer = agent.start(
            "sh",
            "-c",
            "sh -c 'echo ready; exec sleep 60' & trap 'echo caught' USR1; wait; wait",
            descriptors=(writing, writing, writing),
        )
        os.close(writing)
        assert answer.kind == protocol.STARTED
        assert output.readline() == "ready\n"
        sock.send(protocol.request(protocol.SIGNAL, number=signal.SIGUSR1))
        assert output.readline() == "caught\n"
        sock.send(protocol.request(protocol.SIGNAL, number=signal.SIGKILL))
        assert protocol.receive(sock) == protocol.Answer(protocol.ENDED, -signal.SIGKILL)
        # Its helper outlived it, in its group.
        sock.send(protocol.request(protocol.SIGNAL_GROUP, number=signal.SIGTERM))
        assert output.read() == "", "the last one that could write has ended"
    life.close()


def test_orphans_are_reaped(agent: Agent) -> None:
    life = agent.hold()
    agent.run("sh", "-c", "(sleep 0 & sleep 0 & exit) & exit")

    def nobody_is_left() -> bool:
        children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children")
        return children.read_text() == ""

    wait_until(nobody_is_left, "the orphans to be reaped")
    life.close()


def test_thirty_programs_at_once(agent: Agent) -> None:
    life = agent.hold()
    with Path(os.devnull).open() as nothing:
        started = [
            agent.start("sh", "-c", f"exit {number}", descriptors=[nothing.fileno()] * 3)
            for number in range(30)
        ]
    ends = [protocol.receive(sock) for sock, _ in started]
    assert [end.value for end in ends if end is not None] == list(range(30))
    life.close()


def test_a_message_of_many_megabytes_is_the_kernels_to_refuse(agent: Agent) -> None:
    assert agent.run("printf", "%s%s%s", *["x" * 100_000] * 3).output == "x" * 300_000
    _, answer = agent.start("true", "x" * 200_000)
    assert answer.text == "Argument list too long"
    assert namespaces.find_program("true") is not None
