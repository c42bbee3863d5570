"""The CPU time of a machine in software so far: on a busy host it says more than wall time."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_SESSION, _FIRST, _LAST = 3, 11, 15
"""Fields of /proc/PID/stat behind the name: the session, and the CPU times of the process and of
its children that have ended (proc(5))."""


def session_cpu_s(leader: int) -> float:
    """CPU seconds of all processes in the session that a process leads."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended; its parent has its time now
            continue
        if int(fields[_SESSION]) == leader:
            ticks += sum(map(int, fields[_FIRST:_LAST]))
    return ticks / _TICKS
