"""The clock of a lab, which is the clock of the kernel that the lab runs in.

A scenario runs beside its lab, inside the guest if there is one.  So "now" here is what every
program in the lab sees, too: virtual time is no translation but the kernel's own time.  All of the
kernel's clocks (CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME) tick alike there.  On the host's
kernel they may part, when somebody sets the time: then moments follow CLOCK_REALTIME, and durations
CLOCK_MONOTONIC.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from testbed.errors import TestbedError
from testbed.kernel.clocksource import time_is_virtual
from testbed.kernel.timer import Timer
from testbed.moments import (
    Duration,
    Moment,
    MomentError,
    as_duration,
    as_moment,
    format_duration,
    format_moment,
    from_ns,
    to_ns,
)

PATIENCE = timedelta(minutes=10)
"""How long a scenario may wait, all in all, while its clock is a real one."""

_MICROSECOND = timedelta(microseconds=1)


class RealTimeError(TestbedError):
    """It would take hours of somebody's life: it needs the virtual clock."""


class LabClock:
    """Reads the lab's time and lets it pass.

    ``patience`` limits the waiting in real time; it means nothing to a virtual clock.
    """

    def __init__(self, origin_ns: int | None = None, patience: timedelta = PATIENCE) -> None:
        self._origin_ns = time.time_ns() if origin_ns is None else origin_ns
        self.patience = patience
        self._waited = timedelta(0)

    @property
    def is_virtual(self) -> bool:
        """Does this clock jump over idle time?"""
        return time_is_virtual()

    @property
    def origin(self) -> datetime:
        """When :meth:`elapsed` was zero."""
        return from_ns(self._origin_ns)

    def now(self) -> datetime:
        """What the clock shows (UTC)."""
        return from_ns(time.time_ns())

    def now_ns(self) -> int:
        """The same in nanoseconds since 1970, as events have it."""
        return time.time_ns()

    def elapsed(self) -> timedelta:
        """How long ago the scenario began; for a lab without a scenario, the lab came up."""
        return (time.time_ns() - self._origin_ns) // 1000 * _MICROSECOND

    def restart(self) -> None:
        """Count :meth:`elapsed`, and what was waited for in real time, from now."""
        self._origin_ns, self._waited = time.time_ns(), timedelta(0)

    def moment(self, when: Moment) -> datetime:
        """When that is.  A mere duration counts from :attr:`origin`: ``3h`` is its fourth hour.

        Raises:
            MomentError: it is no moment (see :func:`testbed.moments.parse_moment`).
        """
        return as_moment(when, self.now(), self.origin)

    def sleep(self, duration: Duration) -> None:
        """Let a duration pass.

        Raises:
            MomentError: it is none.
            RealTimeError: see :meth:`allow`.
        """
        began = time.monotonic_ns()
        wanted = as_duration(duration)
        self.spend(wanted)
        with Timer() as timer:
            timer.set(began + wanted // _MICROSECOND * 1000)
            timer.wait()

    def sleep_until(self, when: Moment) -> None:
        """Let time pass until the clock shows a moment.

        Raises:
            MomentError: it is none, or past.
            RealTimeError: see :meth:`allow`.
        """
        moment = self.moment(when)
        if (now := self.now()) > moment:
            raise MomentError(
                f"{format_moment(moment)} was {format_duration(now - moment)} ago",
                hint="sleep() waits for a duration, however late it is",
            )
        self.spend(moment - now)
        while (left_ns := to_ns(moment) - time.time_ns()) > 0:  # once, unless the time was set
            with Timer() as timer:
                timer.set(time.monotonic_ns() + left_ns)
                timer.wait()

    def allow(self, duration: Duration) -> None:
        """Say beforehand how long a scenario will take, so that it fails now and not in hours.

        Raises:
            RealTimeError: the clock is real, and this is more than is left of its patience.
        """
        wanted = as_duration(duration)
        if self.is_virtual or self._waited + wanted <= self.patience:
            return
        before = f" after {format_duration(self._waited)}" if self._waited else ""
        raise RealTimeError(
            f"the scenario wants to wait {format_duration(wanted)}{before}, and this clock is a "
            f"real one: it may wait {format_duration(self.patience)}",
            hint="run it with --kernel guest --clock virtual; a scenario that needs that says so: "
            '@pytest.mark.needs("virtual-time")',
        )

    def spend(self, duration: timedelta) -> None:
        """Take a wait into account that begins now.

        Raises:
            RealTimeError: see :meth:`allow`.
        """
        self.allow(duration)
        self._waited += duration
