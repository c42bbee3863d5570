"""Puts faults on the lab at their times, to the microsecond of a virtual clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from testbed.errors import LabError, TestbedError
from testbed.events import FaultFailed
from testbed.kernel.timer import Timer
from testbed.model.fault import Fault
from testbed.supervisor.faults import Faults
from testbed.supervisor.journal import Journal


@dataclass(frozen=True, slots=True)
class Appointment:
    """A fault and when it is due: ``time.monotonic_ns()``, then each ``every_ns``, ``times``."""

    due_ns: int
    fault: Fault
    every_ns: int = 0
    times: int | None = 1


@dataclass(slots=True)
class _Schedule:
    """How one schedule gets on: faults still to come, and being put on the lab just now."""

    waiting: int = 0
    working: set[asyncio.Task[None]] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False


@dataclass(order=True, slots=True)
class _Due:
    """What the heap holds; the same moment's faults come in the order in which they were given."""

    due_ns: int
    order: int
    appointment: Appointment = field(compare=False)
    schedule: _Schedule = field(compare=False)


class Scheduler:
    """All schedules of a lab, on one timer."""

    def __init__(self, faults: Faults, journal: Journal) -> None:
        self._faults, self._journal = faults, journal
        self._heap: list[_Due] = []
        self._orders = itertools.count()
        self._schedules: dict[int, _Schedule] = {}
        self._timer: Timer | None = None

    def begin(self, appointments: Iterable[Appointment]) -> int:
        """Take a schedule in; returns its number."""
        number, schedule = len(self._schedules) + 1, _Schedule()
        self._schedules[number] = schedule
        for appointment in appointments:
            self._push(appointment, schedule)
        self._arm()
        return number

    def cancel(self, number: int) -> None:
        """Forget what is still to come."""
        schedule = self._find(number)
        schedule.cancelled = True
        schedule.waiting = 0
        self._heap = [due for due in self._heap if due.schedule is not schedule]
        heapq.heapify(self._heap)
        self._arm()
        schedule.changed.set()

    async def done(self, number: int) -> None:
        """Wait until all its faults are on the lab, or have failed, or it was cancelled."""
        schedule = self._find(number)
        while schedule.waiting or schedule.working:
            schedule.changed.clear()
            await schedule.changed.wait()

    def _find(self, number: int) -> _Schedule:
        if number not in self._schedules:
            raise LabError(f"this lab has no schedule {number}")
        return self._schedules[number]

    def _push(self, appointment: Appointment, schedule: _Schedule) -> None:
        schedule.waiting += 1
        due = _Due(appointment.due_ns, next(self._orders), appointment, schedule)
        heapq.heappush(self._heap, due)

    def _arm(self) -> None:
        if self._timer is None:
            if not self._heap:
                return
            self._timer = Timer()
            asyncio.get_running_loop().add_reader(self._timer, self._work)
        if self._heap:
            self._timer.set(self._heap[0].due_ns)
        else:
            self._timer.stop()

    def _work(self) -> None:
        """The timer went off."""
        assert self._timer is not None
        self._timer.clear()
        now_ns = time.monotonic_ns()
        late_ns = time.time_ns() - now_ns
        while self._heap and self._heap[0].due_ns <= now_ns:
            due = heapq.heappop(self._heap)
            due.schedule.waiting -= 1
            again = _next(due.appointment)
            if again is not None:
                self._push(again, due.schedule)
            self._start(due.schedule, self._apply(due.appointment.fault, due.due_ns + late_ns))
        self._arm()

    def _start(self, schedule: _Schedule, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        schedule.working.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            schedule.working.discard(done)
            schedule.changed.set()

        task.add_done_callback(ended)

    async def _apply(self, fault: Fault, due_ns: int) -> None:
        """Put one fault on the lab; if that fails, say so and go on with the others."""
        try:
            await self._faults.apply(fault, due_ns)
        except TestbedError as error:
            why = str(error).replace("\n", ";")
            self._journal.say(FaultFailed(fault.kind, fault.target, why, due_ns))
        except (OSError, LookupError, ValueError, TypeError, ArithmeticError) as error:
            why = f"{type(error).__name__}: {error}"
            self._journal.say(FaultFailed(fault.kind, fault.target, why, due_ns))


def _next(appointment: Appointment) -> Appointment | None:
    if not appointment.every_ns or appointment.times == 1:
        return None
    left = None if appointment.times is None else appointment.times - 1
    due_ns = appointment.due_ns + appointment.every_ns
    return Appointment(due_ns, appointment.fault, appointment.every_ns, left)
