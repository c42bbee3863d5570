"""A day in a lab under virtual time: the clock, faults by schedule and expectations are exact."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.machine import START
from testbed.moments import to_ns
from tests.time.inside import measured

_HOUR = 3600 * 10**9
_STEP_NS = 100_000
"""A system call takes a microsecond of virtual time, a look at the clock a quarter of one: so much
goes by between two lines of a program, and nothing else does."""


def test_a_day_is_exact(kernel: GuestKernel, tmp_path: Path) -> None:
    said = measured(kernel, tmp_path, "guest_day")
    assert said["virtual"] is True
    assert 0 <= said["start_ns"] - to_ns(START) < 10**9, "the time it took to bring the lab up"
    assert 0 <= said["slept_ns"] - 3 * _HOUR < _STEP_NS
    assert max(said["clocks_ns"]) - min(said["clocks_ns"]) < _STEP_NS, "they tick alike"
    woken_ns = to_ns(datetime(2025, 1, 1, 9, 56, 52, tzinfo=UTC))
    assert 0 <= said["woke_ns"] - woken_ns < _STEP_NS
    assert 0 <= said["first_ns"] - _HOUR < _STEP_NS
    assert said["at_noon"] == 2

    noon_ns = to_ns(datetime(2025, 1, 1, 12, tzinfo=UTC)) - woken_ns
    expected = [
        ("flush-addresses", "bob:eth0", _HOUR // 2),
        ("cut", "cable", _HOUR),
        ("restore", "cable", _HOUR),
        ("cut", "alice:eth0", noon_ns),
        ("restore", "alice:eth0", noon_ns + 100_000),
        ("flush-addresses", "bob:eth0", _HOUR // 2 + 2 * _HOUR),
        ("flush-addresses", "bob:eth0", _HOUR // 2 + 4 * _HOUR),
    ]
    for (kind, target, due_ns, came_ns), wanted in zip(said["faults"], expected, strict=True):
        assert (kind, target) == wanted[:2]
        assert abs(due_ns - wanted[2]) < _STEP_NS, "as it was asked for"
        assert 0 <= came_ns - due_ns < _STEP_NS, "and when it was due"

    (line,) = [line for line in said["failure"].splitlines() if "fault flush-addresses" in line]
    assert line.startswith("    2025-01-01 14:26:52"), "09:56:52, and 4 h 30 min"
    # The last flush comes 4.5 hours after 09:56:52; then nothing happens for three more hours.
    end_s = (woken_ns - said["start_ns"]) / 1e9 + 7.5 * 3600
    assert 0 <= said["elapsed_s"] - end_s < 1e-3
