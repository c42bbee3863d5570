"""Knowing that a service is ready: each condition is looked at until it is true or time is up."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from testbed.errors import ServiceError
from testbed.kernel.patience import patience
from testbed.model import service as model
from testbed.model.service import Ready
from testbed.supervisor.nodes import Nodes

_LOOK_EVERY = 0.01
_TCP_LISTEN = "0A"


class NotifySocket:
    """The ``$NOTIFY_SOCKET`` of one service (sd_notify(3)), in its node's abstract namespace."""

    def __init__(self, nodes: Nodes, node: str, service: str) -> None:
        self._socket = nodes.open_socket(node, socket.AF_UNIX, socket.SOCK_DGRAM, 0)
        self._socket.setblocking(False)
        name = f"testbed-notify/{node}/{service}/{time.monotonic_ns()}"
        with nodes.inside(node):
            self._socket.bind(f"\0{name}")
        self.address = f"@{name}"
        self._ready = False

    def ready(self) -> bool:
        """True once ``READY=1`` has come."""
        try:
            while self._socket.fileno() >= 0:
                if b"READY=1" in self._socket.recv(4096).split(b"\n"):
                    self._ready = True
        except BlockingIOError:
            pass
        return self._ready

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def listens(nodes: Nodes, node: str, protocol: str, port: int) -> bool:
    """Does anything in the node listen on this TCP port, or have this UDP port bound?"""
    with nodes.inside(node):
        for table in (protocol, f"{protocol}6"):
            path = Path(f"/proc/thread-self/net/{table}")
            for line in path.read_text().splitlines()[1:] if path.exists() else ():
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and (
                    protocol == "udp" or fields[3] == _TCP_LISTEN
                ):
                    return True
    return False


class Condition:
    """A service's readiness condition, looked at from outside the service."""

    def __init__(
        self,
        ready: Ready,
        *,
        nodes: Nodes,
        node: str,
        log: Path,
        notify: NotifySocket | None,
        run_command: Callable[[tuple[str, ...]], Awaitable[int]],
    ) -> None:
        self._ready, self._nodes, self._node = ready, nodes, node
        self._log, self._notify, self._run = log, notify, run_command

    def __str__(self) -> str:
        return f"{self._ready.kind} {self._ready.value}".strip()

    async def holds(self) -> bool:
        """Look once."""
        ready = self._ready
        match ready.kind:
            case model.STARTED:
                return True
            case model.LISTEN_TCP | model.LISTEN_UDP:
                return listens(self._nodes, self._node, ready.kind, int(ready.value))
            case model.NOTIFY:
                return self._notify is not None and self._notify.ready()
            case model.LOG:
                text = self._log.read_text(errors="replace")
                return re.search(ready.value, text, re.MULTILINE) is not None
            case model.FILE:
                return await self._run(("test", "-e", ready.value)) == 0
            case model.COMMAND:
                return await self._run(("sh", "-c", ready.value)) == 0
            case model.HEALTHY:
                return await self._run(self._health_check()) == 0
            case _:
                raise ServiceError(f"unknown readiness condition {ready.kind!r}")

    def _health_check(self) -> tuple[str, ...]:
        check = self._nodes[self._node].place.health_check
        if not check:
            raise ServiceError("it waits for a health check, and what its node is made of has none")
        return check

    async def wait(self, still_runs: Callable[[], bool]) -> float:
        """Wait until it holds; returns the seconds it took.

        Raises:
            ServiceError: the service ended first, or the time is up.
        """
        start, limit = time.monotonic(), patience(self._ready.timeout)
        try:
            async with asyncio.timeout(limit):  # a look itself may hang, too
                while not await self.holds():
                    if not still_runs():
                        raise ServiceError("it ended before it was ready")
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            what = f"not ready after {limit:g} s (waited for {self})"
            raise ServiceError(what) from None
        return time.monotonic() - start


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f"(no log: {error.strerror})"
    return "\n".join(text.splitlines()[-lines:]) or "(it is empty)"
