"""Inside the guest: brings a lab up, hands on what its users ask, and moves or holds the clock."""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from testbed.errors import LabError, TestbedError
from testbed.guest.interactive.hours import Hours
from testbed.guest.interactive.talk import HOLD, PACE, POLL, Message, pack, unpack
from testbed.guest.interactive.visit import Visit
from testbed.guest.job import RUN_FOLDER
from testbed.guest.link import DEVICE, Kind, Link
from testbed.kernel.clocksource import time_is_virtual
from testbed.kernel.faces import error_to_json
from testbed.kernel.timer import Timer
from testbed.lab import Lab
from testbed.model.codec import valid_topology
from testbed.model.json_source import read_json

_MODULE = "testbed.guest.interactive.agent"
ARGUMENTS = (sys.executable, "-B", "-m", _MODULE)
"""How it is started in the guest."""

_BELL = Path("/proc/sys/kernel/cad_pid")
"""To whom the kernel tells that Ctrl-Alt-Del was pressed."""

_SETTLE_NS = 50_000
"""Before time is held everybody gets to the end of what they do just now: the clock moves, and be
it by so little, when nobody computes.  It must be more than our own few system calls may be charged
(a microsecond each, where a program has made many), or we would not even have gone to sleep for it,
and what a terminal's kernel thread still has to hand on would stay where it is."""

_MANY = 16
"""So many things happen before it is asked, unprompted, what the host wants."""

Ready = Callable[[int], None]


class Agent:
    """The agent of one lab."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._hours = Hours(time_is_virtual())
        self._selector = selectors.DefaultSelector()
        self._timer = Timer()
        self._visits: dict[int, Visit] = {}
        self._over = self._asked_down = False
        self._rung = self._timer_off = self._settled = False
        self._until_poll = _MANY
        self._lab: Lab | None = None

    def live(self) -> None:
        """Bring the lab up and be there for its users until it has ended."""
        order = self._rest(POLL)[0][0]
        topology = valid_topology(*read_json(json.dumps(order["topology"]), "topology"), "topology")
        name = str(order["name"])
        try:
            self._lab = Lab.up(
                topology,
                name=name,
                run_folder=Path(RUN_FOLDER),
                backend=str(order["backend"]),
                progress=lambda text: self._send({"progress": text}),
            )
        except TestbedError as error:
            self._send({"error": error_to_json(error)})
            return
        self._hours.up_ns = time.time_ns()
        self._listen(name)
        self._send({"up": self._lab.status(), "clock": self._clock()})
        while not self._over:
            self._step()
        self._send({"gone": True, "asked": self._asked_down})

    def _listen(self, lab: str) -> None:
        assert self._lab is not None
        self._name = lab
        woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, lambda *_: None)
        _BELL.write_text(str(os.getpid()))
        self._woken = woken
        supervisor = os.pidfd_open(self._lab.pid)
        self._selector.register(woken, selectors.EVENT_READ, self._ring)
        self._selector.register(self._timer, selectors.EVENT_READ, self._time_is_up)
        self._selector.register(supervisor, selectors.EVENT_READ, self._lab_ended)

    def _ring(self, mask: int) -> None:
        del mask
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)
        self._rung = True

    def _time_is_up(self, mask: int) -> None:
        del mask
        self._timer.clear()
        self._timer_off = True

    def _lab_ended(self, mask: int) -> None:
        del mask
        self._over = True

    def _step(self) -> None:
        """Let time pass or hold it, as is needed now, and deal with what comes."""
        hours = self._hours
        visits = list(self._visits.values())
        needed = self._time_is_needed()
        watched = any(visit.watches for visit in visits)
        stop_ns = hours.next_stop_ns(needed, watched)
        if not hours.is_virtual:
            self._let_pass(stop_ns if any(one.looks_worthwhile for one in visits) else None)
        elif hours.speed is not None and not hours.on_the_way:
            self._pace()
        elif stop_ns is not None:
            self._let_pass(stop_ns)
        elif not self._settled or self._asked_down:
            self._let_pass(_SETTLE_NS)
        else:
            self._hear(HOLD)
            self._settled = False
        for visit in hours.arrived():
            self._send({"visit": visit, "message": {"clock": self._clock(), "arrived": True}})

    def _time_is_needed(self) -> bool:
        return any(visit.needs_time for visit in self._visits.values())

    def _clock(self) -> dict[str, Any]:
        """What the clock shows and does."""
        return self._hours.state(self._time_is_needed())

    def _let_pass(self, stop_ns: int | None) -> None:
        """Let time flow until something happens, at most that long."""
        if stop_ns is None:
            self._timer.stop()
        else:
            self._timer.set(time.monotonic_ns() + stop_ns)
        self._rung = self._timer_off = False
        others = self._serve()
        self._settled = not others
        if others:
            self._hours.something_happened()
            self._until_poll -= others
        elif self._timer_off:
            self._look()
            self._hours.nothing_happened()
            for number in self._hours.on_the_way:
                self._send({"visit": number, "message": {"progress": self._clock()}})
        on_the_way = bool(self._hours.on_the_way)
        if self._rung or self._until_poll <= 0 or (self._timer_off and on_the_way):
            self._hear(POLL)

    def _look(self) -> None:
        """Find out who waits for their user."""
        for visit in self._visits.values():
            if visit.looks_worthwhile:
                visit.look()

    def _serve(self) -> int:
        """Wait and do what comes; how much of it was neither the bell nor the timer."""
        count = 0
        for key, mask in self._selector.select():
            if key.fd not in self._selector.get_map():
                continue  # closed by what was done just now
            count += key.data not in (self._ring, self._time_is_up)
            key.data(mask)
        return count

    def _pace(self) -> None:
        """Time runs: let a little of it pass, and wait for the wall clock."""
        self._timer.set(time.monotonic_ns() + self._hours.pace_ns())
        self._timer_off = False
        while not (self._timer_off or self._over):
            self._serve()
            if self._rung:
                break
        self._rung = False
        self._look()
        self._hear(PACE)

    def _hear(self, how: str) -> None:
        """Rest, and do what the keeper wants."""
        self._until_poll = _MANY
        heard = self._rest(how)
        for message, data in heard:
            if "go" not in message:
                self._hours.something_happened()
                self._answer(message, data)
        if how == HOLD and len(heard) == 1:
            self._look()  # nobody wants anything: it is to be seen whether all is as it seemed

    def _answer(self, message: Message, data: bytes) -> None:
        number = int(message["visit"])
        if message.get("message", {}).get("do") == "clock":
            self._change_clock(number, message["message"])
            return
        if "close" in message:
            self._hours.stop(number)
        if number not in self._visits:
            if "message" not in message:
                return
            try:
                visit = Visit(number, self._name, self._selector, self._send)
            except OSError:
                self._send({"visit": number, "closed": True})
                return
            self._visits[number] = visit
        visit = self._visits[number]
        if message.get("message", {}).get("do") == "down":
            self._asked_down = True
        visit.hear(message, data)
        if not visit.is_open:
            del self._visits[number]

    def _change_clock(self, number: int, wish: dict[str, Any]) -> None:
        hours = self._hours
        answer: dict[str, Any] = {}
        match wish.get("action"):
            case "advance":
                until_ns = int(wish["until_ns"])
                if until_ns > time.time_ns():
                    hours.advance(number, until_ns)
                    return
                answer["arrived"] = True
            case "stop":
                # Who has just arrived was told, and may not have heard it when they pressed Ctrl-C.
                answer["arrived"] = not hours.stop(number)
            case "run":
                hours.speed = float(wish["speed"])
            case "hold":
                hours.speed = None
                for other in hours.stop_all():
                    stopped = {"clock": self._clock(), "arrived": False, "held": True}
                    self._send({"visit": other, "message": stopped})
        self._send({"visit": number, "message": {"clock": self._clock(), **answer}})

    def _send(self, message: Message, data: bytes = b"") -> None:
        self._link.send(Kind.TALK, pack(message, data))

    def _rest(self, how: str) -> list[tuple[Message, bytes]]:
        """Say how the agent rests; what the keeper has to say then."""
        programs = any(visit.looks_worthwhile for visit in self._visits.values())
        self._send({"rest": how, "clock": self._clock(), "programs": programs})
        heard = []
        while True:
            message, data = unpack(self._link.receive()[1])
            heard.append((message, data))
            if "go" in message:
                return heard


def main() -> None:
    """Be the agent."""
    device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    link = Link(lambda size: os.read(device, size), lambda data: os.write(device, data))
    agent = Agent(link)
    try:
        agent.live()
    except TestbedError as error:
        link.send(Kind.TALK, pack({"error": error_to_json(error)}))
    except Exception as error:  # noqa: BLE001  # told to the host, which ends the guest
        traceback.print_exc()
        failure = LabError(
            f"the agent in the guest failed: {type(error).__name__}: {error}",
            hint="this is a defect of testbed",
        )
        link.send(Kind.TALK, pack({"error": error_to_json(failure)}))


if __name__ == "__main__":
    main()
