"""Needs that depend on the clock alone: no feature of a kernel, and no program."""

from __future__ import annotations

from testbed.doctor.capability import Capability, Kind, State
from testbed.kernel.clocksource import time_is_virtual

VIRTUAL_TIME = "virtual-time"
THROUGHPUT = "throughput"

PURPOSES = {
    VIRTUAL_TIME: "hours of protocol time in seconds",
    THROUGHPUT: "figures of speed",
}


def find_clocks() -> tuple[Capability, ...]:
    """What this machine's own clock is good for."""
    virtual = time_is_virtual()
    found = {
        VIRTUAL_TIME: (virtual, "this kernel's clock is real", "a guest: testbed kernel build"),
        THROUGHPUT: (not virtual, "computing takes no virtual time", "a real clock"),
    }
    return tuple(
        Capability(
            name,
            Kind.KERNEL,
            State.YES if there else State.NO,
            PURPOSES[name],
            "by its nature" if there else why_not,
            "" if there else remedy,
        )
        for name, (there, why_not, remedy) in found.items()
    )
