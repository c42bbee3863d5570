"""Having faults come by themselves at their times, while a scenario goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from testbed.clock import LabClock
from testbed.errors import LabError
from testbed.events import FaultFailed
from testbed.lab_events import EVENTS_FILE, read_events
from testbed.lab_talk import Conversation
from testbed.model.fault import Fault
from testbed.model.impairment import Impairment
from testbed.model.schedule import At, Entry, ScheduleError
from testbed.model.topology import Topology
from testbed.model.validate import validate
from testbed.moments import format_duration, format_moment, from_ns, to_ns

_MICROSECOND = timedelta(microseconds=1)


class RunningSchedule:
    """A schedule that a lab carries out beside everything else.

    As a context manager it is cancelled at the end of the block; then, and at the end of
    :meth:`wait`, a fault that could not be put on the lab is an error.
    """

    def __init__(
        self, lab: str, run_folder: Path, number: int, entries: Sequence[Entry], since_ns: int
    ) -> None:
        self._lab, self._path, self._number = lab, run_folder / EVENTS_FILE, number
        self._faults = {(fault.kind, fault.target) for one in entries for fault in one.faults}
        self._since_ns = since_ns
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.cancel()
            self.check()
        elif isinstance(error, Exception):
            with suppress(LabError):  # the lab may be gone; what went wrong before matters more
                self.cancel()

    def cancel(self) -> None:
        """Have nothing more come; what is being put on the lab just now is waited for."""
        self._ask("cancel")
        self.ended = True

    def wait(self) -> None:
        """Wait until everything has come (which never ends with an ``every`` without ``times``).

        Raises:
            ScheduleError: see :meth:`check`.
        """
        self._ask("wait")
        self.ended = True
        self.check()

    def check(self) -> None:
        """Has everything that has been due so far been put on the lab?

        Raises:
            ScheduleError: not; says what and why.
        """
        failed = [
            record.event
            for record in read_events(self._path)
            if record.time_ns >= self._since_ns
            and isinstance(record.event, FaultFailed)
            and (record.event.fault, record.event.target) in self._faults
        ]
        if failed:
            raise failure(failed)

    def _ask(self, action: str) -> None:
        with Conversation(self._lab) as talk:
            talk.ask({"do": "schedule", "action": action, "number": self._number})


def failure(failed: Sequence[FaultFailed]) -> ScheduleError:
    """The error for faults that did not come."""
    lines = [
        f"{one.fault} {one.target}, due {format_moment(from_ns(one.due_ns))}: {one.why}"
        for one in failed
    ]
    noun = "fault" if len(lines) == 1 else "faults"
    return ScheduleError("\n  ".join([f"{len(lines)} {noun} of the schedule failed:", *lines]))


def begin_schedule(
    lab: str, run_folder: Path, topology: Topology, clock: LabClock, entries: Sequence[Entry]
) -> RunningSchedule:
    """Give a lab a schedule that begins now (see :meth:`testbed.lab.Lab.schedule`)."""
    _check(topology, entries)
    wall_ns, now_ns = clock.now_ns(), time.monotonic_ns()
    messages: list[dict[str, Any]] = []
    times: dict[str, int | None]
    for entry in entries:
        if isinstance(entry, At):
            times = {"due_ns": now_ns + _after_ns(entry, clock, wall_ns), "every_ns": 0, "times": 1}
        else:
            first_ns, period_ns = _ns(entry.first), _ns(entry.period)
            times = {"due_ns": now_ns + first_ns, "every_ns": period_ns, "times": entry.times}
        messages += [{**times, **fault_message(fault)} for fault in entry.faults]
    with Conversation(lab) as talk:
        answer = talk.ask({"do": "schedule", "action": "begin", "entries": messages})
    return RunningSchedule(lab, run_folder, int(answer["number"]), entries, wall_ns)


def _ns(duration: timedelta) -> int:
    return duration // _MICROSECOND * 1000


def _after_ns(entry: At, clock: LabClock, wall_ns: int) -> int:
    """How long after the schedule begins that is."""
    if isinstance(entry.when, timedelta):
        return _ns(entry.when)
    after_ns = to_ns(clock.moment(entry.when)) - wall_ns
    if after_ns < 0:
        ago = format_duration(-after_ns // 1000 * _MICROSECOND)
        raise ScheduleError(f"{entry.when} was {ago} ago: no fault can come then")
    return after_ns


def fault_message(fault: Fault) -> dict[str, Any]:
    """A fault as a lab is told it."""
    message: dict[str, Any] = {
        "kind": fault.kind,
        "target": fault.target,
        "addresses": list(fault.addresses),
    }
    if fault.impairment is not None:
        fields = Impairment.__dataclass_fields__
        message["impairment"] = {field: getattr(fault.impairment, field) for field in fields}
    return message


def _check(topology: Topology, entries: Sequence[Entry]) -> None:
    """Find what cannot be now, and not when it is due in some hours."""
    faults = tuple(fault for entry in entries for fault in entry.faults)
    problems = validate(replace(topology, faults=faults))
    if problems:
        told = [
            problem.what if problem.hint is None else f"{problem.what} ({problem.hint})"
            for problem in problems
        ]
        raise ScheduleError("\n  ".join(["a schedule that this lab cannot carry out:", *told]))
