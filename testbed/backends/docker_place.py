"""A node that is a container, seen from the lab's first process: files, programs, their ends."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from testbed.backends.agent import protocol
from testbed.backends.place import PATH, Command
from testbed.errors import KernelError, LabError, ServiceError
from testbed.kernel import libc, namespaces, sysctl
from testbed.kernel.patience import patience

_LONGEST_START = 30.0
"""Seconds for the first process of a container to listen."""
_LONGEST_ANSWER = 20.0
"""Seconds for it to say that a program runs: only a container that is paused takes longer."""
_LOOK_EVERY = 0.005
_KILLED = -9


class ContainerProcess:
    """A program in a container, and the connection on which the agent tells of it."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection, self.pid = connection, pid
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = loop.create_future()
        connection.setblocking(False)
        loop.add_reader(connection, self._hear)

    def signal(self, number: int) -> None:
        """Signal it alone."""
        self._ask(protocol.SIGNAL, number)

    def signal_group(self, number: int) -> None:
        """Signal it and what it left in its group."""
        self._ask(protocol.SIGNAL_GROUP, number)

    def _ask(self, kind: int, number: int) -> None:
        with suppress(OSError):  # its container has ended
            self._connection.send(protocol.request(kind, number=number))

    def _hear(self) -> None:
        try:
            answer = protocol.receive(self._connection)
        except BlockingIOError:
            return
        asyncio.get_running_loop().remove_reader(self._connection)
        if not self.ended.done():
            ended = answer is not None and answer.kind == protocol.ENDED
            self.ended.set_result(answer.value if answer is not None and ended else _KILLED)

    def __del__(self) -> None:
        self._connection.close()


class DockerPlace:
    """A node: the namespaces of its container, and the way to its agent."""

    def __init__(
        self,
        made: Mapping[str, Any],
        network: int,
        mounts: int,
        *,
        home: int,
        note: Callable[[str], None],
    ) -> None:
        self.node, self.network = str(made["made"]), network
        self._mounts, self._home, self._note = mounts, home, note
        self._image, self._python = str(made["image"]), made["python"]
        self._path = str(made["path"])
        self._life: socket.socket | None = None
        self.trouble: str | None = None
        self.health_check = _as_arguments([str(word) for word in made["health_check"]])
        self.package_parent = str(made["package_parent"])

    @property
    def python(self) -> str:
        """The interpreter that the image says can run our components."""
        if self._python is None:
            raise LabError(
                f"a service wants our own Python ({{python}}), and the image {self._image} has "
                "none for it",
                where=f"node {self.node}",
                hint="use one of our images, for example testbed; an image of your own says where "
                "its Python (3.11 or newer) is by the label testbed.python",
            )
        return str(self._python)

    async def hold(self) -> None:
        """Connect to the agent: the container lives until :meth:`let_go`.

        Raises:
            LabError: the agent does not answer.
        """
        deadline = time.monotonic() + patience(_LONGEST_START)
        while (life := self._connect()) is None:
            if time.monotonic() > deadline:
                raise self._no_answer()
            await asyncio.sleep(_LOOK_EVERY)
        try:
            life.send(protocol.request(protocol.LIFE))
            answer = await _answer(life)
        except OSError:
            answer = None
        if answer is None or answer.kind != protocol.ALIVE:
            raise self._no_answer()
        self._life = life
        asyncio.get_running_loop().add_reader(life, self._gone)

    def _no_answer(self) -> LabError:
        return LabError(
            "its container was started, but our process in it does not answer",
            where=f"node {self.node}",
            hint=f"can the image {self._image} run here (docker run)? is the container paused?",
        )

    def expect_end(self) -> None:
        """From now on it is no surprise if the container ends."""
        if self._life is not None:
            asyncio.get_running_loop().remove_reader(self._life)

    def let_go(self) -> None:
        """The container may end, and does."""
        self.expect_end()
        if self._life is not None:
            self._life.close()
            self._life = None

    def _gone(self) -> None:
        self.let_go()
        self.trouble = "its container has ended: nothing runs there any more"
        self._note(f"the container of {self.node} has ended: nothing runs there any more")

    def _connect(self) -> socket.socket | None:
        """A connection to the agent; None if nobody listens."""
        with namespaces.inside_network(self.network, self._home):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.setblocking(False)  # one who does not answer must not stop the whole lab
            connection.connect(protocol.SOCKET_NAME)
        except OSError:
            connection.close()
            return None
        return connection

    async def spawn(self, command: Command) -> ContainerProcess:
        """Have the agent start a program."""
        connection = self._connect()
        if connection is None:
            if self._life is not None:
                raise self._silence(command)
            raise ServiceError("its container has ended", where=self.node)
        try:
            answer = await self._start(connection, command)
        except BaseException:
            connection.close()
            raise
        if answer.kind != protocol.STARTED:
            connection.close()
            program = command.arguments[0]
            raise ServiceError(
                f"cannot run {program!r}: {answer.text}",
                where=self.node,
                hint=f"is {program!r} in the container image {self._image}?",
            )
        return ContainerProcess(connection, answer.value)

    async def _start(self, connection: socket.socket, command: Command) -> protocol.Answer:
        environment = {**command.environment}
        if environment.get("PATH") == PATH:
            environment["PATH"] = _joined(PATH, self._path)
        try:
            protocol.send_run(
                connection,
                folder=command.folder,
                arguments=command.arguments,
                variables=[f"{name}={value}" for name, value in environment.items()],
                descriptors=command.descriptors,
                terminal=command.terminal,
            )
            answer = await _answer(connection)
        except ValueError as error:
            return protocol.Answer(protocol.FAILED, 0, str(error))
        except TimeoutError:
            raise self._silence(command) from None
        except OSError:
            answer = None
        if answer is None:
            raise ServiceError("its container has ended", where=self.node)
        self.trouble = None
        return answer

    def _silence(self, command: Command) -> ServiceError:
        self.trouble = "its container does not answer: is it paused? docker ps"
        return ServiceError(
            f"cannot run {command.arguments[0]!r}: its container does not answer",
            where=self.node,
            hint="is it paused? docker ps",
        )

    def lay(self, files: Mapping[str, str], private: Collection[str]) -> str | None:
        """Write the node's files in the container."""
        report_read, report_write = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            _write_inside(self._mounts, files, private, report_write)
        os.close(report_write)
        with os.fdopen(report_read, encoding="utf-8") as pipe:
            report = pipe.read()
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
        if report:
            raise KernelError(report, where=f"node {self.node}")
        return None


def _as_arguments(test: Sequence[str]) -> tuple[str, ...]:
    """An image's ``HEALTHCHECK`` as an argument vector."""
    match test:
        case ["CMD", *words]:
            return tuple(words)
        case ["CMD-SHELL", *words]:
            return ("/bin/sh", "-c", *words)
        case _:
            return ()


async def _answer(connection: socket.socket) -> protocol.Answer | None:
    """What the agent says, while everything else goes on.

    Raises:
        TimeoutError: it says nothing.
    """
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(connection, there.set)
    try:
        await asyncio.wait_for(there.wait(), patience(_LONGEST_ANSWER))
    finally:
        loop.remove_reader(connection)
    return protocol.receive(connection)


def _joined(path: str, other: str) -> str:
    """The usual folders, then what else the image has its programs in."""
    folders = [*path.split(":"), *other.split(":")]
    return ":".join(dict.fromkeys(filter(None, folders)))


def _write_inside(
    mounts: int, files: Mapping[str, str], private: Collection[str], report: int
) -> NoReturn:
    """In a child: enter the container's file system and write.  Never returns."""
    path = ""
    try:
        libc.setns(mounts, libc.CLONE_NEWNS)
        os.umask(0o022)
        for path, content in files.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            # In place: Docker has mounts of its own on some, which cannot be replaced.
            mode = 0o600 if path in private else 0o644
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(descriptor, mode)  # before there is anything to read in it
                file.truncate(0)
                file.write(content)
    except BaseException as error:  # noqa: BLE001  # told to the parent; a child must never return
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        what = f"cannot lay a file at {path}: {text}" if path else f"cannot enter it: {text}"
        os.write(report, what.encode())
    finally:
        os._exit(0)


def like_new(networks: Iterable[int], home: int) -> None:
    """Give network namespaces the settings of a new one.

    Docker changes some in the network that it calls ``none`` (IPv6 is off, low ports are open to
    everyone), and others in other versions; a node's settings shall not depend on who made it.

    Raises:
        KernelError: one of them cannot be set.
    """
    try:
        os.close(namespaces.new_network())
        usual = _settings()
        for network in networks:
            namespaces.enter_network(network)
            here = _settings()
            for path, value in usual.items():
                if here.get(path) != value:
                    sysctl.write(path.removeprefix(_SETTINGS), value)
    finally:
        namespaces.enter_network(home)


_SETTINGS = "/proc/sys/"


def _settings() -> dict[str, str]:
    """All settings of the present network namespace that can be written."""
    found = {}
    for folder, _, names in os.walk(f"{_SETTINGS}net"):
        for name in names:
            path = f"{folder}/{name}"
            with suppress(OSError, UnicodeDecodeError):
                if os.stat(path).st_mode & 0o200:  # noqa: PTH116
                    found[path] = Path(path).read_text(encoding="ascii").strip()
    return found
