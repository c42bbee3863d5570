"""Outside the guest: see that it computes and gets nowhere.

Under the virtual clock computing takes no time, so a program that waits by looping, without a
system call, waits for ever, and all others with it.  Nothing inside could notice.  From outside
it looks like this: the guest's processes use CPU time, and for a long while the kernel has moved
no clock, changed no task and returned from no system call.  A guest that waits for its host uses
no CPU time, and one on an overloaded host little; neither is stuck, however long it takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from testbed.guest.errors import GuestStuckError
from testbed.guest.progress import Progress, ProgressFile

PATIENCE_S = 20.0
"""CPU seconds that a program may compute without a single system call."""

LOOK_EVERY_S = 1.0
"""Wall seconds between two looks at a guest that says nothing."""

_SESSION, _USER, _SYSTEM = 3, 11, 12
"""Words of /proc/PID/stat after the command's name, from 0 (proc(5))."""


def cpu_of_session(leader: int) -> float:
    """CPU seconds used by the living processes of a session: a guest is one."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(words[_SESSION]) == leader:
            ticks += int(words[_USER]) + int(words[_SYSTEM])
    return ticks / os.sysconf("SC_CLK_TCK")


class Watchdog:
    """Looks at one guest, now and then."""

    def __init__(
        self,
        progress: ProgressFile,
        leader: int,
        patience_s: float = PATIENCE_S,
        cpu_s: Callable[[int], float] = cpu_of_session,
    ) -> None:
        self._progress, self._leader = progress, leader
        self._patience_s, self._cpu_s = patience_s, cpu_s
        self._stands_since: float | None = None
        self._counts: tuple[int, int, int] | None = None

    def look(self) -> None:
        """See whether the guest has come any further since the last look.

        Raises:
            GuestStuckError: it has not, and has computed for longer than our patience; names who.
        """
        now = self._progress.read()
        counts = now.counts if now else None
        if self._stands_since is None or counts != self._counts:
            self._counts = counts
            self._stands_since = self._cpu_s(self._leader)
            return
        burnt = self._cpu_s(self._leader) - self._stands_since
        if burnt >= self._patience_s:
            raise GuestStuckError(
                _what(now, burnt),
                where=str(self._progress.path.parent.parent),
                hint="computing takes no virtual time: let it wait in a system call (sleep, poll), "
                "or run this in real time. The folder named above has what was recorded so far",
            )


def _what(now: Progress | None, burnt: float) -> str:
    if now is None:
        return f"the guest's kernel computed for {burnt:.0f} s and did not come up"
    when = f" at {now.moment:%Y-%m-%d %H:%M:%S.%f} UTC" if now.moment else ""
    return (
        f"virtual time stands still{when}: {now.task} has computed for {burnt:.0f} s "
        "without a system call"
    )
