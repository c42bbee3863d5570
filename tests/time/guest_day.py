"""Runs in a guest: a day in a lab by its clock, with faults by schedule.  Prints JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path

from testbed.events import FaultApplied
from testbed.expect import ExpectationError, between, event, eventually, never
from testbed.guest.job import RUN_FOLDER
from testbed.lab import Lab
from testbed.model.schedule import at, cut, every, flush_addresses, restore
from testbed.moments import to_ns
from tests.lab.conftest import two_hosts

_CLOCKS = (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME)


def clocks() -> list[int]:
    """The kernel's clocks."""
    return [time.clock_gettime_ns(clock) for clock in _CLOCKS]


def live(lab: Lab) -> dict[str, object]:
    """The day."""
    said: dict[str, object] = {"virtual": lab.clock.is_virtual, "start_ns": to_ns(lab.clock.origin)}
    before, began = clocks(), time.time_ns()
    lab.sleep("3h")
    said["slept_ns"] = time.time_ns() - began
    said["clocks_ns"] = [after - first for after, first in zip(clocks(), before, strict=True)]
    lab.sleep_until("2025-01-01 09:56:52")
    said["woke_ns"] = time.time_ns()
    begun = time.time_ns()
    schedule = lab.schedule(
        at("1h", cut("cable"), restore("cable")),
        at("12:00", cut("alice:eth0")),
        at("2025-01-01 12:00:00.000100", restore("alice:eth0")),
        every("2h", flush_addresses("bob:eth0"), first="30min", times=3),
    )
    first = eventually(lab, event("fault-applied", fault="cut"), within="1h 1s")
    said["first_ns"] = first.time_ns - begun
    schedule.wait()
    said["faults"] = [
        (one.event.fault, one.event.target, one.event.due_ns - begun, one.time_ns - begun)
        for one in lab.events()
        if isinstance(one.event, FaultApplied) and one.event.due_ns is not None
    ]
    said["at_noon"] = len(between(lab, "11h 59min", "12h 1min", "fault-applied", count=2))
    try:
        never(lab, event("fault-applied", target="bob:eth0"), during="10h", since="13h")
    except ExpectationError as error:
        said["failure"] = str(error)
    never(lab, "fault-applied", during="3h")
    said["elapsed_s"] = lab.clock.elapsed().total_seconds()
    return said


if __name__ == "__main__":
    with Lab.up(two_hosts(), run_folder=Path(RUN_FOLDER, "lab")) as up:
        print(json.dumps(live(up)))
