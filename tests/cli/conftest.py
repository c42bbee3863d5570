"""Running the command as a user does: in this process where that is enough, else as a program."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from testbed.cli.main import main
from testbed.lab import Lab
from testbed.model import Builder, Ready, Service, Topology

_PATIENCE = 30.0
_numbers = itertools.count(1)


def unique(name: str) -> str:
    """A lab name that no other test process uses."""
    return f"{name}-{os.getpid()}-{next(_numbers)}"


def pair(name: str = "hosts") -> Topology:
    """Two hosts on a cable; one runs a service that only writes to its log."""
    lab = Builder(name, "Two hosts on a cable")
    lab.host("alice")
    talker = Service(
        name="talker",
        command=("sh", "-c", "echo one; echo ready; exec sleep 1000000"),
        ready=Ready("log", "ready"),
    )
    lab.host("bob", services=[talker])
    lab.link(
        "cable",
        "alice:eth0 192.0.2.1/24 2001:db8::1/64",
        "bob:eth0 192.0.2.2/24 2001:db8::2/64",
    )
    return lab.build()


def plain(text: str) -> str:
    """The text without colours and the like."""
    return re.sub("\x1b\\[[0-9;]*m", "", text)


PAIR_YAML = """\
name: hosts
title: Two hosts on a cable
nodes:
  alice:
  bob:
links:
  cable:
    ends: ["alice:eth0 192.0.2.1/24", "bob:eth0 192.0.2.2/24"]
"""


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERMINAL_WIDTH", "100")
    for name in ("TESTBED_DEBUG", "NO_COLOR", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True, slots=True)
class Called:
    """What a command came to."""

    code: int
    out: str
    err: str


Call = Callable[..., Called]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command in this process; its exit code and what it printed."""

    def run(*arguments: object) -> Called:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        code = end.value.code
        return Called(code if isinstance(code, int) else int(bool(code)), out, err)

    return run


@pytest.fixture(scope="module")
def pair_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A pair that is up for all tests of a file."""
    folder = tmp_path_factory.mktemp("lab")
    with Lab.up(pair(), name=unique("pair"), run_folder=folder) as up:
        yield up


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[Lab]:
    """A pair for this test alone, which may take it down."""
    lab = Lab.up(pair(), name=unique("own"), run_folder=tmp_path / "own")
    try:
        yield lab
    finally:
        end_lab(lab.name)


def end_lab(name: str) -> None:
    """Take a lab down if it is up."""
    from testbed.supervisor.channel import running_labs

    if name in running_labs():
        Lab.connect(name).down()


def command(*arguments: object) -> list[str]:
    """The argument vector of the command as a program of its own."""
    return [sys.executable, "-m", "testbed", *(str(argument) for argument in arguments)]


def run(*arguments: object, stdin: str | bytes | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command as a program to its end."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        command(*arguments), input=given or b"", capture_output=True, timeout=_PATIENCE, check=False
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode()
    )


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command as a program; it is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(
        *arguments: object, stdout: IO[bytes] | int = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command(*arguments),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def read_until(stream: IO[bytes] | None, pattern: bytes) -> bytes:
    """Read from a pipe until the pattern has come; AssertionError if it does not."""
    assert stream is not None
    seen = bytearray()
    deadline = time.monotonic() + _PATIENCE
    while not re.search(pattern, seen):
        left = deadline - time.monotonic()
        ready = left > 0 and select.select([stream], [], [], left)[0]
        data = os.read(stream.fileno(), 65536) if ready else b""
        assert data, f"{pattern!r} did not come; seen: {bytes(seen)!r}"
        seen += data
    return bytes(seen)


class Terminal:
    """A program on a terminal of its own, driven as by a person at its keys."""

    def __init__(self, words: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self.keys, self.screen_side = os.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(self.screen_side)
        self.seen = ""
        self.process = subprocess.Popen(
            words,
            stdin=self.screen_side,
            stdout=self.screen_side,
            stderr=self.screen_side,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", **(environment or {})},
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509  # nothing else runs in this process
        )

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size; whoever has the terminal is told."""
        termios.tcsetwinsize(self.keys, (rows, columns))

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self.keys, text.encode())

    def expect(self, pattern: str) -> str:
        """Read until the pattern shows; gives what was shown up to its end, and forgets that."""
        deadline = time.monotonic() + _PATIENCE
        while (found := re.search(pattern, self.seen)) is None:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.keys], [], [], left)[0]
            assert ready, f"{pattern!r} did not show; seen: {self.seen!r}"
            self.seen += os.read(self.keys, 65536).decode(errors="replace")
        text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return text

    def wait(self) -> int:
        """Wait for the program's end; its exit code."""
        deadline = time.monotonic() + _PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end; seen: {self.seen!r}"
            if select.select([self.keys], [], [], 0.02)[0]:
                self.seen += os.read(self.keys, 65536).decode(errors="replace")
        while select.select([self.keys], [], [], 0)[0]:
            self.seen += os.read(self.keys, 65536).decode(errors="replace")
        return self.process.returncode

    @property
    def restored(self) -> bool:
        """Are the terminal's settings as they were before?"""
        return termios.tcgetattr(self.screen_side) == self.before

    def close(self) -> None:
        """End the program if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.keys)
        os.close(self.screen_side)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Start programs on terminals; they are ended with the test."""
    opened: list[Terminal] = []

    def begin(*arguments: object, **environment: str) -> Terminal:
        opened.append(Terminal(command(*arguments), environment))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()
