"""Captures of a lab: sockets in the nodes, one writer process for each capture file."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.backends.children import Children
from testbed.errors import LabError
from testbed.events import CaptureStarted, CaptureStopped, Drop, Note, Record
from testbed.evidence.capture import run_capture
from testbed.kernel.packet_socket import PacketSocket
from testbed.supervisor.journal import Journal
from testbed.supervisor.nodes import Nodes

_FILE_WINDOW = 1.0
_STREAM_WINDOW = 0.2


@dataclass(slots=True)
class _Running:
    number: int
    interfaces: tuple[str, ...]
    file: str
    control: socket.socket
    ended: asyncio.Future[int]
    lock: asyncio.Lock
    forget: Callable[[], None]
    trouble: str | None = None


class Captures:
    """Starts, flushes and stops captures."""

    def __init__(
        self, nodes: Nodes, journal: Journal, children: Children, run_folder: Path
    ) -> None:
        self._nodes, self._journal, self._children = nodes, journal, children
        self._folder = run_folder / "captures"
        self._running: dict[int, _Running] = {}
        self._count = 0

    def states(self) -> list[dict[str, Any]]:
        """The captures that run now."""
        return [
            {
                "number": one.number,
                "file": one.file,
                "interfaces": list(one.interfaces),
                "trouble": one.trouble,
            }
            for one in self._running.values()
        ]

    async def start(
        self,
        interfaces: tuple[str, ...],
        *,
        file: str | None,
        output: int | None,
        expression: str | None,
    ) -> int:
        """Start a capture into ``file`` (in the run folder), or into the descriptor ``output``.

        Only interfaces that are there now are captured; one that comes later (a tunnel that a
        service makes anew) takes a capture of its own.

        Raises:
            LabError: no such interface, or the file cannot be written.
        """
        self._count += 1
        number = self._count
        label = file or ("(stream)" if output is not None else f"capture-{number}.pcapng")
        streaming = output is not None
        if output is None:
            output = self._create(label)
        sources: list[tuple[str, PacketSocket]] = []
        try:
            for name in interfaces:
                node, colon, interface = name.partition(":")
                if not colon:
                    raise LabError(f"{name!r} is no interface", hint="write node:interface")
                with self._nodes.inside(node):
                    opened = PacketSocket(interface, expression=expression, where=name)
                sources.append((f"{node}/{interface}", opened))
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            pid = self._fork(sources, output, theirs, ours, streaming)
        finally:
            os.close(output)
            for _, opened in sources:
                opened.close()
        theirs.close()
        ours.setblocking(False)
        ended = self._children.watch(pid)
        running = _Running(number, interfaces, label, ours, ended, asyncio.Lock(), lambda: None)
        self._running[number] = running
        self._journal.say(CaptureStarted(label, interfaces), origin="capture")
        self._tell_of_drops(running)
        if streaming:
            ended.add_done_callback(lambda _: self._forget(number))
        return number

    def _forget(self, number: int) -> None:
        """A stream whose reader has gone ended by itself."""
        running = self._running.pop(number, None)
        if running is not None:
            running.forget()
            running.control.close()

    async def sync(self, number: int) -> None:
        """Have everything that was captured so far on disk.

        Packets are written without waiting for news of their being dropped.
        """
        running = self._running.get(number)
        if running is None:
            raise LabError(f"no capture number {number} runs")
        await self._ask(running, {"do": "sync"})

    async def stop(self, number: int) -> dict[str, Any]:
        """End a capture once everything seen so far is written; says how much that was."""
        running = self._running.pop(number, None)
        if running is None:
            raise LabError(f"no capture number {number} runs")
        running.forget()
        answer = await self._ask(running, {"do": "stop"})
        await running.ended
        running.control.close()
        packets, lost = int(answer.get("packets", 0)), int(answer.get("lost", 0))
        self._journal.say(CaptureStopped(running.file, packets, lost), origin="capture")
        return {"file": running.file, "packets": packets, "lost": lost, "trouble": running.trouble}

    async def stop_all(self) -> None:
        """End every capture."""
        for number in list(self._running):
            await self.stop(number)

    def _create(self, label: str) -> int:
        if "/" in label or label in ("", ".", ".."):
            raise LabError("a capture's file name has no folders", where=label)
        path = self._folder / label
        try:
            self._folder.mkdir(exist_ok=True)
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LabError(
                f"cannot write the capture: {error.strerror}",
                where=str(path),
                hint="free some space there; testbed capture -w FILE writes elsewhere"
                if error.errno in (errno.ENOSPC, errno.EDQUOT)
                else "see to it that the run folder is there and can be written",
            ) from error

    def _fork(
        self,
        sources: list[tuple[str, PacketSocket]],
        output: int,
        control: socket.socket,
        other: socket.socket,
        streaming: bool,
    ) -> int:
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            other.close()
            window = _STREAM_WINDOW if streaming else _FILE_WINDOW
            run_capture(sources, output, control, window_s=window)
            status = 0
        except BaseException:  # noqa: BLE001  # told in the lab's log; a child must never return
            traceback.print_exc()
        finally:
            os._exit(status)

    def _tell_of_drops(self, running: _Running) -> None:
        """The writer comments the packets that components say they have dropped."""

        def listener(record: Record) -> None:
            event = record.event
            if not isinstance(event, Drop) or event.packet is None or event.packet.key is None:
                return
            clause = f" ({event.clause})" if event.clause else ""
            notice = {
                "do": "notice",
                "node": record.node,
                "key": event.packet.key,
                "head": event.packet.head,
                "time_ns": record.time_ns,
                "comment": f"dropped by {event.component}: {event.reason}{clause}",
            }
            try:
                running.control.send(json.dumps(notice).encode())
            except (BlockingIOError, ConnectionError):
                return  # comments are a courtesy of captures; the journal has the event itself

        running.forget = self._journal.listen(listener)

    async def _ask(self, running: _Running, message: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        async with running.lock:
            # A writer that failed has ended, but what it said before that can still be read.
            with suppress(ConnectionError):
                await loop.sock_sendall(running.control, json.dumps(message).encode())
            answer = b""
            with suppress(ConnectionError):
                answer = await loop.sock_recv(running.control, 65536)
        data = json.loads(answer) if answer else {"error": "the capture writer has ended"}
        assert isinstance(data, dict)
        if running.trouble is None and data.get("error"):
            running.trouble = str(data["error"])
            self._journal.say(Note(f"capture {running.file}: {running.trouble}"), origin="capture")
        return data
