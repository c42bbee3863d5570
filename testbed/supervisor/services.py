"""Services: start, readiness, log, restart, end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from testbed.backends.children import end_group
from testbed.backends.place import PATH, Command, NodePlace, Process
from testbed.errors import ServiceError
from testbed.events import Record, ServiceExited, ServiceReady, ServiceStarted, decode
from testbed.events.codec import EventFormatError
from testbed.events.emitter import VARIABLE
from testbed.events.kinds import Note
from testbed.model import service as model
from testbed.model.service import Service
from testbed.supervisor.journal import Journal
from testbed.supervisor.logs import ServiceLog
from testbed.supervisor.nodes import Nodes
from testbed.supervisor.readiness import Condition, NotifySocket, tail

_EVENTS_DESCRIPTOR = 3
_MAX_EVENT = 64 * 1024


@dataclass(slots=True)
class Running:
    """A service that has been started."""

    node: str
    service: Service
    process: Process
    log: ServiceLog
    events: socket.socket
    notify: NotifySocket | None
    state: str = "starting"
    stopping: bool = False


class Services:
    """All services of a lab."""

    def __init__(self, nodes: Nodes, journal: Journal, run_folder: Path, lab: str) -> None:
        self._nodes, self._journal = nodes, journal
        self._folder, self._lab = run_folder, lab
        self._running: dict[str, Running] = {}
        self._known: dict[str, tuple[str, Service]] = {}
        self._order: list[str] = []
        self._starting: set[str] = set()

    def states(self) -> dict[str, str]:
        """``node/service`` to ``starting``, ``ready``, ``stopped`` or ``exited N``."""
        return {
            key: self._running[key].state if key in self._running else "stopped"
            for key in self._known
        }

    def find(self, key: str) -> tuple[str, Service]:
        """The service of that ``node/service`` name."""
        if key not in self._known:
            known = ", ".join(self._known) or "none"
            raise ServiceError(f"no service {key!r}", hint=f"this lab's services: {known}")
        return self._known[key]

    async def start_all(self, services: list[tuple[str, Service]]) -> None:
        """Start every service, each as soon as those it comes after are ready.

        Raises:
            ServiceError: one did not become ready.
        """
        for node, service in services:
            self._known[f"{node}/{service.name}"] = (node, service)
        tasks: dict[str, asyncio.Task[None]] = {}

        async def begin(node: str, service: Service) -> None:
            for earlier in service.after:
                await asyncio.shield(tasks[earlier])
            await self.start(node, service)

        for node, service in services:  # in the plan's order, so `after` is known already
            key = f"{node}/{service.name}"
            tasks[key] = asyncio.create_task(begin(node, service))
        done, pending = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()

    async def start(self, node: str, service: Service) -> None:
        """Start one service and wait until it is ready.

        Raises:
            ServiceError: it cannot be run, ended early or was not ready in time; the end of its
                log is part of the message.
        """
        key = f"{node}/{service.name}"
        before = self._running.get(key)
        if before is not None and not before.process.ended.done():
            raise ServiceError(f"service {key!r} runs already", hint="restart it instead")
        if key in self._starting:
            raise ServiceError(f"service {key!r} is being started", hint="wait until it is ready")
        self._known.setdefault(key, (node, service))
        self._starting.add(key)
        try:
            running = await self._launch(node, service)
        finally:
            self._starting.discard(key)
        condition = Condition(
            service.ready,
            nodes=self._nodes,
            node=node,
            log=running.log.path,
            notify=running.notify,
            run_command=lambda arguments: self._look(node, arguments),
        )
        try:
            seconds = await condition.wait(lambda: not running.process.ended.done())
        except ServiceError as error:
            log = self._journal.redact(tail(running.log.path))
            raise ServiceError(
                f"service {service.name!r}: {error.what}; the end of its log:\n{log}",
                where=node,
                hint=f"the whole log: {running.log.path}",
            ) from error
        running.state = "ready"
        self._journal.say(ServiceReady(str(condition), seconds), node=node, service=service.name)

    async def stop(self, key: str, number: int | None = None) -> None:
        """End a service; with ``number`` it gets that signal first instead of its own."""
        running = self._running.get(key)
        if running is None or running.process.ended.done():
            return
        running.stopping = True
        chosen = number or getattr(signal, f"SIG{running.service.stop_signal}")
        await end_group(running.process, chosen, running.service.stop_timeout)
        self._collect(running)

    def signal(self, key: str, number: int) -> None:
        """Send a service a signal, for example SIGHUP to have it read its configuration again."""
        self.find(key)
        running = self._running.get(key)
        if running is None or running.process.ended.done():
            raise ServiceError(f"service {key!r} does not run")
        running.process.signal(number)

    async def kill(self, key: str) -> None:
        """``kill -9`` a service, as a fault: the lab did not ask it to end."""
        self.find(key)
        running = self._running.get(key)
        if running is not None and not running.process.ended.done():
            await end_group(running.process, signal.SIGKILL, 1.0)

    async def stop_all(self) -> None:
        """End every service, the last started first."""
        for key in reversed(self._order):
            await self.stop(key)
        for key in self._order:
            node, service = self._known[key]
            if service.secrets:  # the run folder is kept, and others read it
                for name, _ in service.files:
                    (self._service_folder(node, service) / name).unlink(missing_ok=True)

    def drain(self) -> None:
        """Take in all events that services have handed over up to now."""
        for running in self._running.values():
            self._collect(running)

    async def _launch(self, node: str, service: Service) -> Running:
        key = f"{node}/{service.name}"
        place = self._nodes[node].place
        folder = self._service_folder(node, service)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in service.files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._fill(content, folder, place), encoding="utf-8")
            path.chmod(0o600 if service.secrets else 0o644)
        log = ServiceLog(
            self._folder / "logs" / f"{node}-{service.name}.log",
            self._journal.redact if service.secrets else None,
        )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        notify = None
        environment = {
            "PATH": PATH,
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "HOME": str(folder),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": place.package_parent,
            "TESTBED_LAB": self._lab,
            "TESTBED_NODE": node,
            VARIABLE: str(_EVENTS_DESCRIPTOR),
            **dict(service.env),
        }
        if service.ready.kind == model.NOTIFY:
            notify = NotifySocket(self._nodes, node, service.name)
            environment["NOTIFY_SOCKET"] = notify.address
        arguments = tuple(self._fill(argument, folder, place) for argument in service.command)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            process = await self._nodes.spawn(
                node,
                Command(
                    arguments,
                    environment,
                    str(folder),
                    (nothing, log.descriptor, log.descriptor, theirs.fileno()),
                ),
            )
        finally:
            log.started()
            os.close(nothing)
            theirs.close()
        running = Running(node, service, process, log, ours, notify)
        self._running[key] = running
        if key not in self._order:
            self._order.append(key)
        loop = asyncio.get_running_loop()
        loop.add_reader(ours, self._collect, running)
        process.ended.add_done_callback(lambda future: self._ended(running, future.result()))
        self._journal.say(ServiceStarted(arguments, process.pid), node=node, service=service.name)
        return running

    def _service_folder(self, node: str, service: Service) -> Path:
        return self._folder / "services" / node / service.name

    @staticmethod
    def _fill(text: str, folder: Path, place: NodePlace) -> str:
        filled = text.replace("{run}", str(folder))
        return filled.replace("{python}", place.python) if "{python}" in filled else filled

    def _collect(self, running: Running) -> None:
        """Move a service's waiting events into the journal."""
        loop = asyncio.get_running_loop()
        while running.events.fileno() >= 0:
            try:
                line = running.events.recv(_MAX_EVENT)
            except BlockingIOError:
                return
            except ConnectionError:
                line = b""
            if not line:
                loop.remove_reader(running.events)
                running.events.close()
                return
            name = running.service.name
            try:
                record = decode(line)
            except EventFormatError as error:
                event = Note(f"service sent something that is no event: {error.what}")
                self._journal.say(event, node=running.node, service=name)
                continue
            self._journal.record(
                Record(record.time_ns, "service", record.event, running.node, name)
            )

    def _ended(self, running: Running, status: int) -> None:
        running.state = "stopped" if running.stopping else f"exited {status}"
        self._collect(running)
        running.log.drain()
        if running.notify is not None:
            running.notify.close()
        self._journal.say(
            ServiceExited(status, running.stopping), node=running.node, service=running.service.name
        )

    async def _look(self, node: str, arguments: tuple[str, ...]) -> int:
        """Run a short program in the node to see whether a condition holds."""
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            process = await self._nodes.spawn(
                node,
                Command(arguments, {"PATH": PATH}, "/", (nothing, nothing, nothing)),
            )
        finally:
            os.close(nothing)
        try:
            return await process.ended
        except asyncio.CancelledError:
            process.signal_group(signal.SIGKILL)
            raise
