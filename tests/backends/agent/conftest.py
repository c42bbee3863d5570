"""An agent as it runs in a container: pid 1 of its own pid namespace, in its own network."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed.backends.agent import protocol
from testbed.backends.agent.build import ensure_agent
from testbed.errors import MissingFeatureError
from testbed.kernel import namespaces
from tests.waiting import wait_until

PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Ended:
    """What came of a program."""

    status: int
    output: str


@dataclass
class Agent:
    """A running agent; ``pid`` is its number on the host."""

    pid: int
    network: int
    home: int
    stack: ExitStack = field(default_factory=ExitStack)
    status: int | None = None

    def connect(self) -> socket.socket:
        """A connection as the lab's supervisor makes it."""
        with namespaces.inside_network(self.network, self.home):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.stack.callback(sock.close)
        sock.settimeout(10)

        def connected() -> bool:
            try:
                sock.connect(protocol.SOCKET_NAME)
            except ConnectionRefusedError:
                return False
            return True

        wait_until(connected, "the agent to listen")
        return sock

    def hold(self) -> socket.socket:
        """The connection that keeps it alive."""
        life = self.connect()
        life.send(protocol.request(protocol.LIFE))
        assert protocol.receive(life) == protocol.Answer(protocol.ALIVE, 0)
        return life

    def start(
        self,
        *arguments: str,
        descriptors: Sequence[int] = (),
        variables: Sequence[str] = (PATH,),
        folder: str = "/",
        terminal: bool = False,
    ) -> tuple[socket.socket, protocol.Answer]:
        """Start a program."""
        sock = self.connect()
        protocol.send_run(
            sock,
            folder=folder,
            arguments=arguments,
            variables=variables,
            descriptors=descriptors,
            terminal=terminal,
        )
        answer = protocol.receive(sock)
        assert answer is not None
        return sock, answer

    def run(self, *arguments: str, variables: Sequence[str] = (PATH,), folder: str = "/") -> Ended:
        """Run a program to its end."""
        reading, writing = os.pipe()
        with open(reading, encoding="utf-8") as output:  # noqa: PTH123  # a descriptor
            with open(os.devnull) as nothing:  # noqa: PTH123
                sock, answer = self.start(
                    *arguments,
                    descriptors=(nothing.fileno(), writing, writing),
                    variables=variables,
                    folder=folder,
                )
            os.close(writing)
            assert answer.kind == protocol.STARTED, answer
            text = output.read()
        last = protocol.receive(sock)
        sock.close()
        assert last is not None
        assert last.kind == protocol.ENDED
        return Ended(last.value, text)

    def open_descriptors(self) -> set[str]:
        """What it has open."""
        found = set()
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found.add(f"{entry.name}: {os.readlink(entry)}")  # noqa: PTH115  # "socket:[1]"
        return found

    def wait(self) -> int:
        """Its exit code (negative: a signal), once it has ended."""
        if self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        return self.status

    @property
    def runs(self) -> bool:
        """Has it not ended?"""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is None


def start_agent(program: Path, *arguments: str) -> Agent:
    """In namespaces of its own; a child of this process."""
    home = namespaces.current_network()
    try:
        network = namespaces.new_network()
        try:
            with namespaces.next_child_in_new_processes():
                pid = os.fork()
                if pid == 0:
                    os.execv(program, [str(program), *arguments])
        finally:
            namespaces.enter_network(home)
    except OSError as error:
        os.close(home)
        pytest.skip(f"no namespaces for an agent here: {error}")
    agent = Agent(pid, network, home)
    agent.stack.callback(os.close, network)
    agent.stack.callback(os.close, home)
    return agent


@pytest.fixture(scope="session")
def program() -> Path:
    """The agent, built."""
    try:
        return ensure_agent()
    except MissingFeatureError as error:
        pytest.skip(str(error))


@pytest.fixture
def agent(program: Path) -> Iterator[Agent]:
    """An agent that nobody holds yet."""
    if os.geteuid() != 0:
        pytest.skip("entering the agent's network from outside needs root, as labs in Docker do")
    started = start_agent(program, "30")
    try:
        yield started
    finally:
        if started.runs:
            os.kill(started.pid, signal.SIGKILL)
            started.wait()
        started.stack.close()
