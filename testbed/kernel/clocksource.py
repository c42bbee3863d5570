"""Which clock this kernel has: the machine's, or a virtual one that jumps over idle time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_CURRENT = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_TIME_TRAVEL = "time-travel-clock"
"""The name that User-Mode Linux gives its clock under ``time-travel=`` (arch/um/kernel/time.c)."""


@cache
def time_is_virtual() -> bool:
    """Is time in this kernel virtual?  It is the kernel's own word, and cannot change."""
    try:
        return _CURRENT.read_text().strip() == _TIME_TRAVEL
    except OSError:  # a container may hide it; our guest does not
        return False
