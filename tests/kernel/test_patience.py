"""Limits are longer where computing is slow, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.guest.job import Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.machine import Machine, VirtualClock
from testbed.kernel.patience import patience
from tests.guest.conftest import kernel
from tests.guest.running import run

__all__ = ["kernel"]

_ROOT = Path(__file__).parents[2]


def test_on_a_host_a_second_is_a_second() -> None:
    assert "User Mode Linux" not in Path("/proc/cpuinfo").read_text()
    assert patience(10.0) == 10.0


@pytest.mark.parametrize(
    ("machine", "seconds"),
    [(Machine(), 60.0), (Machine(clock=VirtualClock(), seed=1), 10.0)],
    ids=["real", "virtual"],
)
def test_in_a_guest(kernel: GuestKernel, tmp_path: Path, machine: Machine, seconds: float) -> None:
    program = "from testbed.kernel.patience import patience; print(patience(10.0))"
    job = Job(("python3", "-c", program), {"PYTHONPATH": str(_ROOT)})
    said = run(kernel, tmp_path, job, machine)
    assert said.output == f"{seconds}\n", said.errors
