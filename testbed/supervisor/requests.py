"""What can be asked of a lab that is up."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from testbed.errors import LabError
from testbed.events import decode
from testbed.kernel.channel import Channel
from testbed.model.fault import Fault
from testbed.model.impairment import Impairment
from testbed.supervisor import watchers
from testbed.supervisor.captures import Captures
from testbed.supervisor.commands import Commands
from testbed.supervisor.faults import Faults
from testbed.supervisor.journal import Journal
from testbed.supervisor.nodes import Nodes
from testbed.supervisor.scheduler import Appointment, Scheduler
from testbed.supervisor.services import Services
from testbed.supervisor.spec import LabSpec


@dataclass(frozen=True, slots=True)
class LabParts:
    """What requests work on: the parts of a lab, and how to end it.

    ``limits`` is what this user cannot have; ``seconds`` how long the lab has lived; ``finish``
    stops services and captures; ``end`` makes pid 1 end.
    """

    spec: LabSpec
    nodes: Nodes
    services: Services
    captures: Captures
    commands: Commands
    faults: Faults
    scheduler: Scheduler
    journal: Journal
    limits: str
    seconds: Callable[[], float]
    finish: Callable[[], Awaitable[None]]
    end: Callable[[str], None]


class Requests:
    """The table of requests; each answers with one message unless it says otherwise."""

    def __init__(self, lab: LabParts) -> None:
        self._lab = lab
        self._table = {
            "status": self._status,
            "socket": self._socket,
            "service": self._service,
            "fault": self._fault,
            "schedule": self._schedule,
            "watch": self._watch,
            "emit": self._emit,
            "sync": self._sync,
            "capture": self._capture,
            "down": self._down,
        }

    async def answer(
        self, channel: Channel, message: dict[str, Any], descriptors: list[int]
    ) -> None:
        """Do what the message asks, and answer."""
        name = str(message.get("do"))
        if name == "command":
            await self._lab.commands.serve(channel, message, descriptors)
            return
        action = self._table.get(name)
        if action is None:
            raise LabError(f"the lab does not know the request {name!r}")
        await action(channel, message, descriptors)

    def status(self) -> dict[str, Any]:
        """The state of the lab as plain data."""
        lab = self._lab
        return {
            "name": lab.spec.name,
            "topology": lab.spec.topology.name,
            "title": lab.spec.topology.title,
            "run_folder": str(lab.spec.run_folder),
            "attached": lab.spec.attached,
            "seconds": lab.seconds(),
            "nodes": [
                {
                    "name": node.name,
                    "role": node.role,
                    "backend": node.backend,
                    "trouble": node.trouble or node.place.trouble,
                }
                for node in lab.nodes
            ],
            "services": lab.services.states(),
            "captures": lab.captures.states(),
            "events_lost": lab.journal.lost,
            "trouble": lab.journal.trouble,
            "limits": lab.limits or None,
        }

    async def _status(self, channel: Channel, message: dict[str, Any], _: list[int]) -> None:
        del message
        channel.send({"status": self.status()})

    async def _socket(self, channel: Channel, message: dict[str, Any], _: list[int]) -> None:
        opened = self._lab.nodes.open_socket(
            str(message["node"]),
            int(message["family"]),
            int(message["kind"]),
            int(message["protocol"]),
        )
        with opened:
            channel.send({"ok": True}, (opened.fileno(),))

    async def _service(self, channel: Channel, message: dict[str, Any], _: list[int]) -> None:
        services = self._lab.services
        key = str(message["service"])
        node, service = services.find(key)
        action = message["action"]
        if action not in ("start", "stop", "restart", "signal"):
            raise LabError(f"nothing called {action!r} can be done to a service")
        if action in ("stop", "restart"):
            await services.stop(key)
        if action in ("start", "restart"):
            await services.start(node, service)
        if action == "signal":
            services.signal(key, int(message["signal"]))
        channel.send({"services": services.states()})

    async def _fault(self, channel: Channel, message: dict[str, Any], _: list[int]) -> None:
        await self._lab.faults.apply(_fault_of(message))
        channel.send({"ok": True})

    async def _schedule(self, channel: Channel, message: dict[str, Any], _: list[int]) -> None:
        scheduler = self._lab.scheduler
        if message["action"] == "begin":
            appointments = [
                Appointment(
                    int(entry["due_ns"]),
                    _fault_of(entry),
                    int(entry["every_ns"]),
                    None if entry["times"] is None else int(entry["times"]),
                )
                for entry in message["entries"]
            ]
            channel.send({"number": scheduler.begin(appointments)})
            return
        if message["action"] == "cancel":
            scheduler.cancel(int(message["number"]))
        await scheduler.done(int(message["number"]))
        channel.send({"ok": True})

    async def _watch(self, channel: Channel, message: dict[str, Any], _: list[int]) -> None:
        del message
        await watchers.serve(channel, self._lab.journal)

    async def _emit(self, channel: Channel, message: dict[str, Any], _: list[int]) -> None:
        self._lab.journal.record(decode(str(message["line"])))
        channel.send({"ok": True})

    async def _sync(self, channel: Channel, message: dict[str, Any], _: list[int]) -> None:
        """Every event handed over so far is in the journal."""
        del message
        self._lab.services.drain()
        channel.send({"ok": True, "events_lost": self._lab.journal.lost})

    async def _capture(
        self, channel: Channel, message: dict[str, Any], descriptors: list[int]
    ) -> None:
        captures = self._lab.captures
        # What services have told of dropped packets goes ahead of the order to write them out.
        self._lab.services.drain()
        if message["action"] == "sync":
            await captures.sync(int(message["number"]))
            channel.send({"ok": True})
            return
        if message["action"] == "stop":
            channel.send({"capture": await captures.stop(int(message["number"]))})
            return
        output = os.dup(descriptors[0]) if descriptors else None
        number = await captures.start(
            tuple(str(item) for item in message["interfaces"]),
            file=message.get("file"),
            output=output,
            expression=message.get("filter"),
        )
        channel.send({"number": number})

    async def _down(self, channel: Channel, message: dict[str, Any], _: list[int]) -> None:
        del message
        await self._lab.finish()
        self._lab.end("asked")
        channel.send({"ok": True})


def _fault_of(message: dict[str, Any]) -> Fault:
    impairment = message.get("impairment")
    return Fault(
        kind=str(message["kind"]),
        target=str(message["target"]),
        impairment=None if impairment is None else Impairment(**impairment),
        addresses=tuple(message.get("addresses", ())),
    )
