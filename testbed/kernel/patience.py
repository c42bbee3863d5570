"""How long to wait for programs that compute: longer where computing is slow."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from testbed.kernel.clocksource import time_is_virtual

_SLOWER = 6
"""A guest by the real clock: bringing v6plus up took 11 s in it where the host took 2 s, for each
system call is carried out by way of the host's kernel."""


@cache
def _computing_is_slow() -> bool:
    """Is this a guest by the real clock?  (By the virtual one, computing takes no time at all.)"""
    try:
        cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "User Mode Linux" in cpu and not time_is_virtual()


def patience(seconds: float) -> float:
    """The limit that stands for ``seconds`` on an ordinary machine.

    For limits whose only purpose is to notice what hangs; never for a time that is judged.
    """
    return seconds * _SLOWER if _computing_is_slow() else seconds
