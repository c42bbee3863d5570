"""The Mininet side as the lab's first process sees it: a child that answers questions."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from functools import cache
from subprocess import DEVNULL, run
from typing import Any

from testbed.backends.netns import PACKAGE_PARENT, LocalProcess, NetnsPlace
from testbed.backends.place import PATH, Command
from testbed.backends.surroundings import Surroundings
from testbed.errors import LabError, MissingFeatureError
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_from_json

PYTHON = "/usr/bin/python3"
"""Debian's interpreter, the one that Debian's ``mininet`` module is made for."""

NO_PYTHON = f"Mininet: there is no {PYTHON}, which would have its module"
_LOG = "logs/mininet.log"
_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"


@cache
def why_no_mininet() -> str | None:
    """Why there is no Mininet on this machine; None: there is."""
    if not os.access(PYTHON, os.X_OK):
        return NO_PYTHON
    tried = run(
        [PYTHON, "-c", "import mininet.net"], check=False, stdout=DEVNULL, stderr=DEVNULL, cwd="/"
    )
    return "Mininet: the package mininet is not installed" if tried.returncode else None


class Side:
    """The Mininet side of one lab."""

    def __init__(self, given: Surroundings) -> None:
        self._given = given
        self._channel: Channel | None = None
        self._process: LocalProcess | None = None
        self._asking = asyncio.Lock()
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._prompts: dict[int, asyncio.Future[int]] = {}
        self._ending = False

    async def start(self) -> None:
        """Start it, in a file view of its own and the lab's own network namespace.

        Raises:
            MissingFeatureError: there is no interpreter for it.
        """
        if not os.access(PYTHON, os.X_OK):
            raise MissingFeatureError(NO_PYTHON)
        given = self._given
        place = NetnsPlace(
            "mininet",
            given.home,
            home=given.home,
            run_folder=given.run_folder,
            children=given.children,
        )
        place.lay({"/etc/hosts": _HOSTS, "/etc/resolv.conf": "nameserver 127.0.0.1\n"}, ())
        ours, theirs = Channel.pair()
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        log = os.open(
            given.run_folder / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        try:
            process = await place.spawn(
                Command(
                    (PYTHON, "-m", "testbed.backends.mininet_side"),
                    {
                        "PATH": PATH,
                        "LANG": "C.UTF-8",
                        "HOME": "/tmp",  # its own, in memory
                        "SHELL": "/bin/bash",
                        "TERM": "dumb",
                        "PYTHONPATH": PACKAGE_PARENT,
                        "TESTBED_LAB": given.lab,
                    },
                    "/",
                    (nothing, log, log, theirs.fileno()),
                )
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(nothing)
            os.close(log)
        self._channel, self._process = ours, process
        asyncio.get_running_loop().add_reader(ours, self._hear, ours)
        process.ended.add_done_callback(lambda future: self._gone(future.result()))

    async def ask(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> Any:
        """One question and its answer.

        Raises:
            TestbedError: what the Mininet side found wrong, or that it has ended.
        """
        async with self._asking:
            if self._channel is None:
                raise self._lost("has ended")
            self._answer = asyncio.get_running_loop().create_future()
            with suppress(ChannelClosedError):  # its end is told of by itself
                self._channel.send(message, descriptors)
            answer = await self._answer
        if "error" in answer:
            raise error_from_json(answer["error"])
        return answer

    async def open_prompt(self, command: Command) -> LocalProcess:
        """Open the ``mininet>`` prompt on the command's descriptors; its arguments are lines.

        Raises:
            LabError: somebody else has it.
        """
        answer = await self.ask(
            {
                "do": "prompt",
                "lines": list(command.arguments),
                "environment": command.environment,
                "folder": command.folder,
                "terminal": command.terminal,
            },
            command.descriptors,
        )
        pid = int(answer["pid"])
        ended = self._prompts.setdefault(pid, asyncio.get_running_loop().create_future())
        return LocalProcess(pid, ended)

    async def end(self) -> None:
        """End it; the programs in its nodes end with the lab."""
        self._ending = True
        if self._process is not None and self._channel is not None:
            self._close()
            self._process.signal_group(9)
            await self._process.ended

    def _hear(self, channel: Channel) -> None:
        try:
            message, _ = channel.receive()
        except ChannelClosedError:
            self._close()
            return
        if "ended" in message:
            pid = int(message["ended"])
            loop = asyncio.get_running_loop()
            ended = self._prompts.setdefault(pid, loop.create_future())
            ended.set_result(int(message["status"]))
            return
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)

    def _close(self) -> None:
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._channel.close()
            self._channel = None

    def _gone(self, status: int) -> None:
        self._close()
        how = f"was ended by signal {-status}" if status < 0 else f"ended (exit {status})"
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self._lost(how))
        for ended in self._prompts.values():
            if not ended.done():
                ended.set_result(status)
        if not self._ending:
            self._given.lose(f"its Mininet process {how}")

    def _lost(self, how: str) -> LabError:
        return LabError(
            f"the lab's Mininet process {how}",
            hint=f"its own words are in {self._given.run_folder / _LOG}",
        )
