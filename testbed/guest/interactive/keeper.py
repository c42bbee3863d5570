"""The keeper: a process on the host that owns a guest with a lab in it, and is the lab's door.

It has the lab's name and speaks the lab's protocol.  It ends with its guest, and the guest with it.
If the guest ends by itself, the keeper tells whoever is there; if nobody is, it waits for the next
one who asks for the lab, for a while, and then ends, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import testbed
from testbed.errors import LabError, TestbedError
from testbed.events import LabDown
from testbed.guest.boot import Guest
from testbed.guest.errors import GuestError
from testbed.guest.interactive import agent
from testbed.guest.interactive.guest_talk import GuestTalk
from testbed.guest.interactive.talk import unpack
from testbed.guest.interactive.visitor import Visitor, refuse
from testbed.guest.job import RUN_FOLDER, Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.link import Kind
from testbed.guest.machine import Machine
from testbed.guest.watchdog import LOOK_EVERY_S
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_to_json, report_failure

_LONGEST_MOURNING_S = 600.0
_LONGEST_END_S = 30.0
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class KeeperSpec:
    """What to keep: the lab, in which guest, and where its record goes."""

    name: str
    topology: dict[str, Any]
    kernel: GuestKernel
    machine: Machine
    run_folder: Path
    attached: bool
    backend: str


@dataclass(slots=True)
class _State:
    """What the keeper knows of its lab."""

    is_up: bool = False
    clock: dict[str, Any] = field(default_factory=dict)
    going: bool = False


def run(spec: KeeperSpec, boot: Channel, listener: socket.socket, owner: int) -> NoReturn:
    """Be the keeper until the lab has ended.  Never returns."""
    try:
        asyncio.run(Keeper(spec, boot, listener, owner).live())
    except BaseException as error:  # noqa: BLE001  # told to the owner; a child must never return
        report_failure(boot, error)
    finally:
        os._exit(0)  # the guest asked to be killed when its parent ends


class Keeper:
    """The state of a keeper, and its life."""

    def __init__(
        self, spec: KeeperSpec, boot: Channel, listener: socket.socket, owner: int
    ) -> None:
        self._spec, self._boot, self._listener, self._owner = spec, boot, listener, owner
        self._visitors: dict[int, Visitor] = {}
        self._count = 0
        self._state = _State()
        self._over = asyncio.Event()
        self._told = asyncio.Event()
        self._trouble: TestbedError | None = None
        self._boot_is_open = True

    async def live(self) -> None:
        """Boot the guest, be there for the lab's users, end with the guest."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._over.set)
        loop.add_reader(self._boot, self._boot_heard)
        if self._spec.attached:
            loop.add_reader(self._owner, self._over.set)
        self._progress("booting the guest")
        with Guest(self._spec.kernel, self._job(), self._spec.run_folder, self._spec.machine) as it:
            self._guest = it
            self._talk = GuestTalk(it)
            self._talk.say(
                {
                    "topology": self._spec.topology,
                    "name": self._spec.name,
                    "backend": self._spec.backend,
                }
            )
            loop.add_reader(it, self._guest_said)
            self._listener.listen(64)  # once more: from now on SO_PEERCRED names this process
            self._listener.setblocking(False)
            loop.add_reader(self._listener, self._accept)
            watch = asyncio.create_task(self._watch())
            await self._over.wait()
            watch.cancel()
            loop.remove_reader(it)
            if self._trouble is None and self._state.going:
                await self._await_power_off()
        if self._trouble is not None:
            await self._mourn(self._trouble)

    async def _watch(self) -> None:
        """See that the guest gets somewhere, while it is supposed to."""
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                if not self._talk.waits:
                    self._guest.look()
        except GuestError as error:
            self._fail(error)

    def _job(self) -> Job:
        package = Path(testbed.__file__).parent.parent
        return Job(agent.ARGUMENTS, {"PYTHONPATH": str(package)}, folder="/")

    async def _await_power_off(self) -> None:
        loop = asyncio.get_running_loop()
        off = os.pidfd_open(self._guest.pid)
        there = asyncio.Event()
        loop.add_reader(off, there.set)
        with suppress(TimeoutError):
            await asyncio.wait_for(there.wait(), _LONGEST_END_S)
        loop.remove_reader(off)
        os.close(off)

    async def _mourn(self, trouble: TestbedError) -> None:
        """The guest has ended by itself: somebody is to hear why."""
        self._write_down(trouble)
        if not self._state.is_up:
            with suppress(TestbedError):
                self._boot.send({"error": error_to_json(trouble)})
            return
        visitors = [one for one in self._visitors.values() if one.is_open]
        for visitor in visitors:
            visitor.answer({"error": error_to_json(trouble)})
        if not visitors:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), _LONGEST_MOURNING_S)

    def _write_down(self, trouble: TestbedError) -> None:
        """In the record, as the lab itself would have done."""
        from testbed.events import Record, encode

        now_ns = int(self._state.clock.get("now_ns", 0))
        line = encode(
            Record(now_ns, "harness", LabDown(f"its guest ended: {trouble.what.splitlines()[0]}"))
        )
        with suppress(OSError), (self._spec.run_folder / "events.jsonl").open("a") as file:
            file.write(line + "\n")

    def _guest_said(self) -> None:
        try:
            for kind, content in self._guest.receive_now():
                if kind is Kind.TALK:
                    self._take(*unpack(content))
                elif kind is Kind.ERRORS:
                    os.write(2, content)  # into the log
                elif kind is Kind.FAILED:
                    failure = json.loads(content)
                    self._fail(GuestError(failure["what"], hint=failure["hint"]))
                elif kind is Kind.ENDED and not self._state.going:
                    self._fail(LabError("the agent in the guest has ended by itself"))
        except TestbedError as error:
            self._fail(error)

    def _take(self, message: dict[str, Any], data: bytes) -> None:
        if "clock" in message:
            self._state.clock = message["clock"]
        if "rest" in message:
            programs = bool(message["programs"])
            self._talk.rests(str(message["rest"]), message["clock"], programs)
        elif "visit" in message:
            self._tell_visitor(message, data)
        elif "progress" in message:
            self._progress(str(message["progress"]))
        elif "up" in message:
            self._is_up(message["up"])
        elif "gone" in message:
            self._state.going = True
            if not message["asked"]:
                self._trouble = LabError("the lab's supervisor in the guest has ended by itself")
            self._over.set()
        elif "error" in message:
            self._fail(_error(self._outside(message["error"])))

    def _is_up(self, status: dict[str, Any]) -> None:
        self._state.is_up = True
        self._talk.listen()
        with suppress(ChannelClosedError):
            self._boot.send({"up": self._complete(status)})

    def _tell_visitor(self, message: dict[str, Any], data: bytes) -> None:
        visitor = self._visitors.get(int(message["visit"]))
        if visitor is None:
            return
        if "closed" in message:
            if not self._state.going and not self._asked_down:
                visitor.close()
            return  # the end of the lab is told by the end of the keeper
        if "message" in message:
            inner = self._outside(message["message"])
            if isinstance(inner.get("status"), dict):
                inner["status"] = self._complete(inner["status"])
            message = {**message, "message": inner}
        visitor.hear(message, data)

    _asked_down = False

    def _complete(self, status: dict[str, Any]) -> dict[str, Any]:
        """A lab's state, with what is known of its guest."""
        machine = self._spec.machine
        clock = dict(self._state.clock)
        progress = self._guest.progress
        if progress is not None and clock["virtual"]:
            clock["now_ns"] = progress.clock_ns  # what was told last may be old
        guest = {
            "kernel": self._spec.kernel.key,
            "release": self._spec.kernel.manifest.release,
            "seed": machine.seed,
            "clock": clock,
        }
        outside = self._outside({**status, "run_folder": str(status["run_folder"])})
        return {**outside, "attached": self._spec.attached, "kernel": "guest", "guest": guest}

    def _outside(self, value: Any) -> Any:
        """The same with the run folder's path as it is on the host."""
        if isinstance(value, dict):
            return {key: self._outside(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._outside(one) for one in value]
        if isinstance(value, str) and RUN_FOLDER in value:
            if value == RUN_FOLDER:
                return str(self._spec.run_folder)
            return value.replace(f"{RUN_FOLDER}/", f"{self._spec.run_folder}/")
        return value

    def _progress(self, text: str) -> None:
        with suppress(ChannelClosedError):
            self._boot.send({"progress": text})

    def _fail(self, error: TestbedError) -> None:
        if self._trouble is None:
            self._trouble = error
        self._over.set()

    def _boot_heard(self) -> None:
        """The owner never says anything: it has gone away."""
        asyncio.get_running_loop().remove_reader(self._boot)
        if self._spec.attached or not self._state.is_up:
            self._over.set()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        channel = Channel(sock)
        if channel.peer()[1] != os.geteuid():
            refuse(channel, LabError("this lab belongs to another user"))
            return
        if self._trouble is not None:
            # A glance is not yet somebody who hears of it.
            if not _glances(channel):
                self._told.set()
            refuse(channel, self._trouble)
            return
        channel.never_wait()
        self._count += 1
        number = self._count

        def left() -> None:
            self._visitors.pop(number, None)

        self._visitors[number] = Visitor(number, channel, self._hand_on, left)

    def _hand_on(self, message: dict[str, Any], data: bytes) -> None:
        if message.get("message", {}).get("do") == "down":
            self._asked_down = True
        try:
            self._talk.say(message, data)
        except GuestError as error:
            self._fail(error)


def _glances(channel: Channel) -> bool:
    channel.set_timeout(_PATIENCE_S)
    try:
        message, received = channel.receive()
    except (TestbedError, TimeoutError):
        return True
    for descriptor in received:
        os.close(descriptor)
    return bool(message.get("glance"))


def _error(data: dict[str, Any]) -> TestbedError:
    from testbed.kernel.faces import error_from_json

    return error_from_json(data)
