"""All of v6plus passes in the guest kernel, too, by both clocks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.cli.doctor import scenario_needs
from testbed.guest.kernel_cache import GuestKernel
from tests.guest_runs.conftest import REPOSITORY

_AT_LEAST = 29
"""How many scenarios v6plus had when it first passed in a guest."""


@pytest.mark.timeout(1200)  # three dozen scenarios in six guests, some minutes on two busy CPUs
@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_all_of_v6plus_passes(kernel: GuestKernel, tmp_path: Path, clock: str) -> None:
    wanted = {name for name, _ in scenario_needs() if "/v6plus/" in name}
    assert len(wanted) >= _AT_LEAST
    done = subprocess.run(
        [
            *(sys.executable, "-m", "testbed", "test", "v6plus", "--json"),
            *("--kernel", "guest", "--clock", clock),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "TESTBED_RUNS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(done.stdout)
    ended = {one["id"]: (one["outcome"], one["why"]) for one in said["scenarios"]}
    assert {one: end for one, end in ended.items() if end[0] != "passed"} == {}
    assert ended.keys() == wanted
    assert (said["passed"], said["failed"], said["skipped"]) == (len(wanted), 0, 0)
    assert {(one["kernel"], one["clock"]) for one in said["scenarios"]} == {("guest", clock)}
    assert done.returncode == 0, done.stderr
