"""Starting a script of this folder in a guest with a virtual clock."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from testbed.guest.job import Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.machine import Machine, VirtualClock
from tests.guest.running import run

_ROOT = Path(__file__).parents[2]


def measured(kernel: GuestKernel, folder: Path, script: str, seed: int = 1) -> dict[str, Any]:
    """What the script printed as JSON."""
    path = Path(__file__).with_name(f"{script}.py")
    job = Job((sys.executable, "-B", str(path)), {"PYTHONPATH": str(_ROOT)}, folder="/")
    ran = run(kernel, folder, job, Machine(clock=VirtualClock(), seed=seed))
    assert ran.result.status == 0, ran.output + ran.errors
    value = json.loads(ran.output)
    assert isinstance(value, dict)
    return value
