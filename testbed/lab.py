"""A lab that is up, as its users see it.

    with Lab.up(topology) as lab:
        result = lab.run("pc", ["curl", "-s", "http://203.0.113.80/"])
        with lab.capture("ce:wan") as capture:
            lab.run("pc", ["ping", "-c1", "203.0.113.80"])
        print(capture.path, lab.drops())

Everything here asks the lab's supervisor, a process of its own; several users and threads may do so
at once.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from testbed.backends.registry import helpers_outside
from testbed.clock import LabClock
from testbed.errors import LabError, LabNotFoundError
from testbed.events import Drop, Event, LabUp, Note, Record, encode
from testbed.kernel.channel import Channel, NoAnswerError
from testbed.lab_capture import Capture
from testbed.lab_command import CommandResult, RunningCommand, run_command, start_command
from testbed.lab_events import EVENTS_FILE, EventFeed, EventLog, read_events
from testbed.lab_schedule import RunningSchedule, begin_schedule, fault_message
from testbed.lab_talk import Conversation, Progress, await_up, name_for
from testbed.model import record
from testbed.model.fault import Fault
from testbed.model.files import load_topology
from testbed.model.impairment import Impairment
from testbed.model.schedule import Entry
from testbed.model.topology import NETNS, Topology
from testbed.moments import Duration, Moment
from testbed.plan import make_plan
from testbed.runs import new_run_folder
from testbed.supervisor import boot, ending
from testbed.supervisor.spec import LabSpec

__all__ = ["Lab", "read_events"]

_LONGEST_END = 30.0


class Lab:
    """A lab that is up."""

    def __init__(
        self, name: str, topology: Topology, run_folder: Path, boot_channel: Channel | None
    ) -> None:
        self.name = name
        self.topology = topology
        self.run_folder = run_folder
        self._boot = boot_channel
        self._is_down = False
        self.clock = LabClock()
        self._log = EventLog(run_folder)

    @classmethod
    def up(
        cls,
        topology: Topology,
        *,
        name: str | None = None,
        run_folder: Path | None = None,
        attached: bool = True,
        backend: str = NETNS,
        progress: Progress | None = None,
    ) -> Self:
        """Bring a topology up.

        Args:
            topology: what to build.
            name: the lab's name; the topology's by default. One user's labs have different names.
            run_folder: where events, logs and captures go; a new folder under ``runs/`` by default.
            attached: the lab ends with this process, whatever happens to it. Otherwise it stays
                until :meth:`down` is called by anyone.
            backend: what makes the nodes that ask for none of their own: ``netns``, ``mininet`` or
                ``docker``.
            progress: called with a line of text as the work goes on.

        Raises:
            TopologyError: the topology is not valid.
            LabExistsError: a lab of that name is up.
            LabError: it could not be brought up; nothing of it is left.
        """
        chosen = name_for(topology, name)
        folder = (run_folder or new_run_folder(chosen)).resolve()
        _prepare(folder, topology)
        plan = make_plan(topology, backend)
        with helpers_outside(chosen, plan, folder) as outside:
            channel = boot.start(LabSpec(chosen, topology, plan, folder, attached, outside))
        try:
            await_up(channel, progress, who="supervisor")
        except BaseException:
            channel.close()
            raise
        if not attached:
            channel.close()
        built = record.as_built(folder, topology)
        return cls(chosen, built, folder, channel if attached else None)

    @classmethod
    def connect(cls, name: str) -> Lab:
        """The lab of that name that is up already.

        Raises:
            LabNotFoundError: there is none.
        """
        with Conversation(name) as talk:
            status = talk.ask({"do": "status"})["status"]
        folder = Path(status["run_folder"])
        lab = cls(name, load_topology(folder / record.FILE), folder, None)
        ups = (record for record in lab.events() if isinstance(record.event, LabUp))
        lab.clock = LabClock(next(ups).time_ns)
        return lab

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    def down(self) -> None:
        """End the lab: services in reverse order, captures flushed, then everything at once."""
        if self._is_down:
            return
        self._is_down = True
        try:
            with Conversation(self.name) as talk:
                supervisor = os.pidfd_open(talk.channel.peer()[0])
                try:
                    talk.ask({"do": "down"})
                    _await_end(supervisor, self.name)
                except NoAnswerError:
                    ending.kill(talk.channel, self.name)
                finally:
                    os.close(supervisor)
        except LabNotFoundError:
            if self._boot is None:
                raise
            # Our own lab has been taken down by somebody else: it is as we want it.
        finally:
            if self._boot is not None:
                self._boot.close()
            boot.reap()

    @property
    def pid(self) -> int:
        """The lab's supervisor, as the host numbers it; with its end the lab has ended."""
        with Conversation(self.name) as talk:
            return talk.channel.peer()[0]

    def status(self) -> dict[str, Any]:
        """The lab's state: nodes, services, captures, trouble."""
        status = self._ask({"do": "status"})["status"]
        assert isinstance(status, dict)
        return status

    def run(
        self,
        node: str,
        command: Sequence[str],
        *,
        input_text: str = "",
        timeout: float = 60.0,
        check: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a command in a node to its end.

        Args:
            node: where.
            command: the argument vector.
            input_text: what it reads.
            timeout: seconds after which it is ended and LabError raised.
            check: raise LabError, with its output, if it does not exit 0.
            environment: variables to add.
        """
        return run_command(
            self.name,
            node,
            command,
            input_text=input_text,
            timeout=timeout,
            check=check,
            environment=environment,
        )

    def start(
        self, node: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> RunningCommand:
        """Start a command in a node and go on; it ends with its handle or the lab."""
        return start_command(self.name, node, command, environment=environment)

    def put(self, node: str, path: str, text: str) -> None:
        """Write a file in the node's own view (folders are made).

        Raises:
            LabError: it cannot be written there.
        """
        script = 'mkdir -p "$(dirname "$0")" && cat > "$0"'
        self.run(node, ["sh", "-c", script, path], input_text=text, check=True)

    def get(self, node: str, path: str) -> str:
        """Read a file as the node sees it.

        Raises:
            LabError: there is none, or it cannot be read.
        """
        return self.run(node, ["cat", path], check=True).stdout

    def socket(
        self,
        node: str,
        family: int = socket.AF_INET,
        kind: int = socket.SOCK_DGRAM,
        protocol: int = 0,
    ) -> socket.socket:
        """A real socket that lives in the node's network, for this process to use."""
        with Conversation(self.name) as talk:
            request = {"do": "socket", "node": node, "family": int(family), "kind": int(kind)}
            talk.channel.send({**request, "protocol": protocol})
            _, descriptors = talk.answer()
        return socket.socket(fileno=descriptors[0])

    def capture(self, *interfaces: str, file: str | None = None, expression: str = "") -> Capture:
        """Capture on these ``node:interface`` names, all of the lab's if none is given.

        ``expression`` is a tcpdump filter.  The capture runs when this returns.
        """
        chosen = interfaces or tuple(end.label for link in self.topology.links for end in link.ends)
        return Capture.begin(self.name, self.run_folder, chosen, file, expression)

    def cut(self, target: str) -> None:
        """Unplug a link, or one ``node:interface``."""
        self.fault("cut", target)

    def restore(self, target: str) -> None:
        """Plug it in again; addresses and routes come back as planned."""
        self.fault("restore", target)

    def impair(self, target: str, impairment: Impairment) -> None:
        """Make a link (or one direction of it) as bad as told; ``Impairment()`` mends it."""
        self.fault("impair", target, impairment=impairment)

    def fault(
        self,
        kind: str,
        target: str,
        *,
        impairment: Impairment | None = None,
        addresses: Sequence[str] = (),
    ) -> None:
        """Put a fault on the lab (kinds: see :mod:`testbed.model.fault`)."""
        fault = Fault(kind, target, impairment=impairment, addresses=tuple(addresses))
        self._ask({"do": "fault", **fault_message(fault)})

    def schedule(self, *entries: Entry) -> RunningSchedule:
        """Have faults come by themselves, at exact times counted from now.

            with lab.schedule(at("3h", cut("home")), at("3h 5min", restore("home"))):
                eventually(lab, "child-sa-established", within="4h")

        Raises:
            ScheduleError: this lab cannot carry it out, or a moment is past.
            MomentError: an entry's time is none.
        """
        return begin_schedule(self.name, self.run_folder, self.topology, self.clock, entries)

    def sleep(self, duration: Duration) -> None:
        """Let time pass (see :meth:`testbed.clock.LabClock.sleep`)."""
        self.clock.sleep(duration)

    def sleep_until(self, when: Moment) -> None:
        """Let time pass until a moment (see :meth:`testbed.clock.LabClock.sleep_until`)."""
        self.clock.sleep_until(when)

    def service(self, key: str, action: str, signal: int = 0) -> None:
        """``start``, ``stop``, ``restart`` or ``signal`` a service ``node/name``."""
        self._ask({"do": "service", "service": key, "action": action, "signal": signal})

    def events(self) -> list[Record]:
        """All events so far, those that services have just sent included."""
        self._ask({"do": "sync"})
        return list(self._log.read())

    def feed(self) -> EventFeed:
        """The events from the beginning on and as they come, for whoever waits for them."""
        return EventFeed(self.name, self._log)

    def drops(self, *, node: str | None = None, reason: str | None = None) -> list[Drop]:
        """The packets that our components say they dropped."""
        return [
            record.event
            for record in self.events()
            if isinstance(record.event, Drop)
            and node in (None, record.node)
            and reason in (None, record.event.reason)
        ]

    def wait_for(
        self, condition: Callable[[list[Record]], bool], what: str, timeout: float = 10.0
    ) -> list[Record]:
        """Wait until the events fulfil a condition; returns them.

        Raises:
            LabError: they do not within ``timeout`` seconds.
        """
        deadline_ns = time.monotonic_ns() + round(timeout * 1e9)
        with self.feed() as feed:
            events = feed.take_all()
            while not condition(events):
                left_ns = deadline_ns - time.monotonic_ns()
                if left_ns <= 0:
                    last = "\n".join(f"  {encode(record)}" for record in events[-8:])
                    raise LabError(f"waited {timeout:g} s in vain for {what}; last events:\n{last}")
                feed.wait(left_ns)
                events += feed.take_all()
        return events

    def emit(self, event: Event, node: str | None = None, time_ns: int | None = None) -> None:
        """Add an event of the test's own to the stream; now, unless it is told of later."""
        record = Record(time.time_ns() if time_ns is None else time_ns, "test", event, node)
        self._ask({"do": "emit", "line": encode(record)})

    def note(self, text: str) -> None:
        """Keep a line of evidence in the event stream."""
        self.emit(Note(text))

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        with Conversation(self.name) as talk:
            return talk.ask(message)


def _await_end(supervisor: int, name: str) -> None:
    poll = select.poll()
    poll.register(supervisor, select.POLLIN)
    if not poll.poll(_LONGEST_END * 1000):
        raise LabError(f"lab {name!r} said it would end but did not in {_LONGEST_END:g} s")


def _prepare(folder: Path, topology: Topology) -> None:
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        (folder / record.FILE).write_text(record.record_text(topology), encoding="utf-8")
        (folder / EVENTS_FILE).touch()
    except OSError as error:
        raise LabError(
            f"cannot write the run folder: {error.strerror}",
            where=str(folder),
            hint="free some space, or choose another place with TESTBED_RUNS or --runs",
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LabError("the run folder is not writable", where=str(folder))
