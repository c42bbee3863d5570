"""Commands that users and tests run in nodes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from testbed.backends.children import end_group
from testbed.backends.place import MININET_CONSOLE, PATH, Command, Console, Process
from testbed.errors import LabError
from testbed.events import CommandEnded, CommandStarted
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.supervisor.journal import Journal
from testbed.supervisor.nodes import Nodes


class Commands:
    """Starts commands in nodes and ends them with their caller."""

    def __init__(
        self, nodes: Nodes, journal: Journal, lab: str, consoles: Mapping[str, Console]
    ) -> None:
        self._nodes, self._journal = nodes, journal
        self._lab, self._consoles = lab, consoles
        self._count = 0

    async def serve(
        self, channel: Channel, request: dict[str, Any], descriptors: list[int]
    ) -> None:
        """Run one command; answers ``{"pid"}`` at once and ``{"status"}`` when it ends.

        Where a backend's console is named instead of a node, the command is lines for that.
        Whoever asked can send ``{"signal": N}``; if they go away, the command is ended.  The
        descriptors are closed, and taken from the list, as soon as the command has its own.
        """
        if len(descriptors) != 3:
            raise LabError("a command needs three descriptors: input, output, errors")
        node = str(request["node"])
        arguments = tuple(str(word) for word in request["command"])
        if not arguments and node not in self._consoles:
            raise LabError("there is no command to run", where=node)
        environment = {
            "PATH": PATH,
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            **{str(key): str(value) for key, value in request.get("environment", {}).items()},
            "TESTBED_LAB": self._lab,
            "TESTBED_NODE": node,
        }
        started = time.monotonic()
        process = await self._start(
            node,
            Command(
                arguments,
                environment,
                str(request.get("folder", "/")),
                tuple(descriptors),
                terminal=bool(request.get("terminal", False)),
            ),
        )
        while descriptors:
            os.close(descriptors.pop())
        self._count += 1
        number = self._count
        where = None if node in self._consoles else node
        self._journal.say(CommandStarted(arguments, number), node=where, origin="test")
        channel.send({"pid": process.pid, "number": number})
        status = await self._follow(channel, process)
        seconds = time.monotonic() - started
        self._journal.say(CommandEnded(number, status, seconds), node=where, origin="test")
        try:
            channel.send({"status": status, "seconds": seconds})
        except ChannelClosedError:
            return

    async def _start(self, node: str, command: Command) -> Process:
        console = self._consoles.get(node)
        if console is not None:
            for each in self._nodes:  # what is typed there runs in any of them
                self._nodes.lay(each.name)
            return await console(command)
        if node == MININET_CONSOLE:
            raise LabError(
                "Mininet made no node of this lab, so it has no mininet> prompt",
                hint="testbed up LAB --backend mininet gives it one",
            )
        return await self._nodes.spawn(node, command)

    async def _follow(self, channel: Channel, process: Process) -> int:
        """Wait for the end, passing on signals; end it when the caller is gone."""
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()

        def listen() -> None:
            try:
                message, unwanted = channel.receive()
                for descriptor in unwanted:
                    os.close(descriptor)
                process.signal_group(int(message["signal"]))
            except (LabError, KeyError, ValueError, TypeError):
                loop.remove_reader(channel)
                if not gone.done():
                    gone.set_result(None)

        loop.add_reader(channel, listen)
        try:
            both: set[asyncio.Future[Any]] = {process.ended, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not process.ended.done():
                return await end_group(process, signal.SIGTERM, 2.0)
            # Whatever the command left running in its session ends with it only if it was told
            # so: a shell's background jobs live on until the lab ends.
            return process.ended.result()
        finally:
            loop.remove_reader(channel)
