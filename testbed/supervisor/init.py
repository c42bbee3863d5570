"""Pid 1 of a lab: builds it, serves requests, ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from testbed.backends.children import Children
from testbed.backends.mininet_adoption import Adopted
from testbed.backends.place import NodePlace
from testbed.backends.registry import adopted_by, backends_of, consoles_of, make_backend
from testbed.backends.surroundings import Surroundings
from testbed.errors import LabError, TestbedError
from testbed.events import LabDown, LabUp, Note
from testbed.kernel import mounts, namespaces
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_to_json, report_failure
from testbed.model.mininet import impaired_besides, with_contents_of
from testbed.model.record import FILE, record_text
from testbed.model.topology import MININET
from testbed.plan.operations import StartService
from testbed.supervisor.captures import Captures
from testbed.supervisor.commands import Commands
from testbed.supervisor.construct import construct, settle
from testbed.supervisor.faults import Faults
from testbed.supervisor.journal import Journal
from testbed.supervisor.nodes import LabNode, Nodes
from testbed.supervisor.requests import LabParts, Requests
from testbed.supervisor.scheduler import Appointment, Scheduler
from testbed.supervisor.services import Services
from testbed.supervisor.spec import LabSpec


def run(spec: LabSpec, boot: Channel, listener: socket.socket, owner: int, limits: str) -> NoReturn:
    """Be the lab until it ends. Never returns."""
    status = 1
    try:
        status = asyncio.run(LabInit(spec, boot, listener, owner, limits).live())
    except BaseException as error:  # noqa: BLE001  # told to the owner; a child must never return
        report_failure(boot, error)
    finally:
        # The end of pid 1 ends every process of the lab, and with the last descriptors go the
        # namespaces: there is nothing to clean up, and nothing that a crash could leave behind.
        os._exit(status)


class LabInit:
    """The state of pid 1 and its life from building to the end."""

    def __init__(
        self, spec: LabSpec, boot: Channel, listener: socket.socket, owner: int, limits: str
    ) -> None:
        self._spec, self._boot, self._listener, self._owner = spec, boot, listener, owner
        self._limits = limits
        self._started = time.monotonic()
        self._ended = asyncio.Event()
        self._reason = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def live(self) -> int:
        """Build, serve, end; returns the exit status."""
        spec = self._spec
        loop = asyncio.get_running_loop()
        mounts.private_lab_view(spec.run_folder)
        self.journal = Journal(spec.run_folder / "events.jsonl", spec.secrets)
        home = namespaces.current_network()
        self.nodes = Nodes(home, spec.secrets)
        children = Children(loop)
        self.backends = {
            name: make_backend(
                name,
                Surroundings(
                    lab=spec.name,
                    home=home,
                    run_folder=spec.run_folder,
                    plan=spec.plan,
                    children=children,
                    outside=spec.outside.get(name),
                    note=lambda text: self.journal.say(Note(text)),
                    lose=self.end,
                ),
            )
            for name in backends_of(spec.plan)
        }
        self.services = Services(self.nodes, self.journal, spec.run_folder, spec.name)
        self.captures = Captures(self.nodes, self.journal, children, spec.run_folder)
        self.faults = Faults(spec.plan, self.nodes, self.services, self.journal)
        self.scheduler = Scheduler(self.faults, self.journal)
        requests = Requests(
            LabParts(
                spec=spec,
                nodes=self.nodes,
                services=self.services,
                captures=self.captures,
                commands=Commands(self.nodes, self.journal, spec.name, consoles_of(self.backends)),
                faults=self.faults,
                scheduler=self.scheduler,
                journal=self.journal,
                limits=self._limits,
                seconds=self._seconds,
                finish=self._stop_everything,
                end=self.end,
            )
        )
        self._watch_owner(loop)
        try:
            await self._build()
        except TestbedError as error:
            self._say_failure(error)
            await self.services.stop_all()
            await self._end_nodes()
            raise
        self._listener.listen(64)  # once more: from now on SO_PEERCRED names this process
        self._listener.setblocking(False)
        loop.add_reader(self._listener, self._accept, requests)
        loop.add_signal_handler(signal.SIGTERM, self.end, "terminated")
        self._schedule_faults()
        self._boot.send({"up": requests.status()})
        await self._ended.wait()
        await self._finish()
        return 0

    def end(self, reason: str) -> None:
        """Begin to end the lab."""
        if not self._ended.is_set():
            self._reason = reason
            self._ended.set()

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    async def _stop_everything(self) -> None:
        """Stop services and captures in order; the caller may answer before pid 1 ends."""
        await self.services.stop_all()
        await self.captures.stop_all()
        await self._end_nodes()

    async def _end_nodes(self) -> None:
        for backend in reversed(list(self.backends.values())):
            await backend.end()

    def _watch_owner(self, loop: asyncio.AbstractEventLoop) -> None:
        """An attached lab ends with its owner; any lab ends if nobody waits for it to come up."""

        def gone() -> None:
            os._exit(3)  # nobody is left to hear of it: the kernel ends the rest

        def boot_closed() -> None:
            try:
                self._boot.receive()
            except (ChannelClosedError, OSError, ValueError):
                loop.remove_reader(self._boot)
                if self._spec.attached or not self._listening:
                    gone()

        if self._spec.attached:
            loop.add_reader(self._owner, gone)
        loop.add_reader(self._boot, boot_closed)

    _listening = False

    async def _build(self) -> None:
        plan = self._spec.plan
        started = [op for op in plan.operations if isinstance(op, StartService)]
        rest = (op for op in plan.operations if not isinstance(op, StartService))
        await construct(rest, self.nodes, self.backends, self._progress)
        if plan.mininet is not None:
            self._adopt(*adopted_by(self.backends))
        if self._limits:
            self.journal.say(Note(f"running as an ordinary user: {self._limits}"))
        if started:
            self._progress(f"starting services ({len(started)})")
            await self.services.start_all([(op.node, op.service) for op in started])
        topology = self._spec.topology
        self._listening = True
        self.journal.say(
            LabUp(topology.name, len(topology.nodes), len(topology.links), self._seconds())
        )

    def _adopt(self, built: Adopted, places: Mapping[str, NodePlace]) -> None:
        """Go on with what Mininet built instead of what it was expected to build."""
        topology = with_contents_of(built.topology, self._spec.topology)
        known = {node.name for node in self.nodes}
        for node in topology.nodes:
            if node.name not in known:
                self.nodes.add(LabNode(node.name, node.role, MININET, places[node.name]))
            self.nodes[node.name].role = node.role
        plan = self._spec.plan
        plan = replace(plan, operations=(*plan.operations, *built.steps))
        self.faults.use(plan)
        for end, impairment in impaired_besides(built.topology, self._spec.topology):
            self.faults.impair(end.label, impairment)
        settle(built.wires, self.nodes)
        self._spec = replace(self._spec, topology=topology, plan=plan)
        record = self._spec.run_folder / FILE
        record.write_text(record_text(topology), encoding="utf-8")
        for text in built.notes:
            self.journal.say(Note(text))

    def _progress(self, text: str) -> None:
        self._boot.send({"progress": text})

    def _say_failure(self, error: TestbedError) -> None:
        self.journal.say(LabDown(f"failed to come up: {error.what}"))

    def _schedule_faults(self) -> None:
        """The faults that the topology has at a time."""
        now_ns = time.monotonic_ns()
        self.scheduler.begin(
            Appointment(now_ns + round(fault.at * 1e9), fault)
            for fault in self._spec.topology.faults
            if fault.at is not None
        )

    def spawn(self, work: Any) -> None:
        """Run a coroutine beside everything else; its failure is noted in the journal."""

        async def guarded() -> None:
            try:
                await work
            except (TestbedError, OSError) as error:
                self.journal.say(Note(f"failed: {error}"))

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self, requests: Requests) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        channel = Channel(sock)
        channel.never_wait()
        # Root inside is whoever started the lab; everybody else is refused.
        if channel.peer()[1] != 0:
            error = LabError("this lab belongs to another user")
            channel.send({"error": error_to_json(error)})
            channel.close()
            return
        self.spawn(self._serve(requests, channel))

    async def _serve(self, requests: Requests, channel: Channel) -> None:
        """Answer one connection until it closes."""
        try:
            while True:
                descriptors: list[int] = []
                message: dict[str, Any] = {}
                try:
                    message, received = await _receive(channel)
                    descriptors += received  # whoever closes one takes it from the list
                    await requests.answer(channel, message, descriptors)
                except ChannelClosedError:
                    return
                except TestbedError as error:
                    channel.send({"error": error_to_json(error)})
                except (OSError, LookupError, ValueError, TypeError, ArithmeticError) as error:
                    traceback.print_exception(error)
                    failure = LabError(f"{message.get('do')}: {type(error).__name__}: {error}")
                    channel.send({"error": error_to_json(failure)})
                finally:
                    for descriptor in descriptors:
                        os.close(descriptor)
        except ChannelClosedError:
            return
        finally:
            channel.close()

    async def _finish(self) -> None:
        if self._reason == "terminated":
            await self._stop_everything()
        self.journal.say(LabDown(self._reason))
        self.journal.close()


async def _receive(channel: Channel) -> tuple[dict[str, Any], tuple[int, ...]]:
    loop = asyncio.get_running_loop()
    there: asyncio.Future[None] = loop.create_future()

    def arrived() -> None:
        loop.remove_reader(channel)
        if not there.done():
            there.set_result(None)

    loop.add_reader(channel, arrived)
    await there
    return channel.receive()
