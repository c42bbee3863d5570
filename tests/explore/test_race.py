"""A planted race that few seeds show: found, made small, replayed; and an interrupted search.

Which seeds must fail is worked out here, from the times at which the two peers ask.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

from testbed.explore.draw import draw
from testbed.explore.perturbation import LateStart, LinkDelay, Perturbation
from testbed.explore.ranges import ranges_of
from testbed.guest.kernel_cache import GuestKernel
from testbed.model import Topology
from testbed.model.discover import find_topology
from tests.explore.race.topology import AFTER_S, EXPLORE, ONE_WAY_S
from tests.waiting import wait_until

_ROOT = Path(__file__).parents[2]
_RACE = "tests/explore/race"
_FILE = _ROOT / _RACE / "topology.py"
_MS = 1000
_FAILS = 216
"""The first seed with which the requests cross."""


def _crossing(one: Perturbation) -> bool | None:
    """Do the peers' requests cross?  None if only the jitter of the wire decides it.

    They do when each is sent before the other's arrives.
    """
    asks = {f"{name}/peer": after * 1000 * _MS for name, after in AFTER_S.items()}
    way, unsure = ONE_WAY_S * 1000 * _MS, 1 * _MS
    for part in one.parts:
        if isinstance(part, LateStart) and part.service in asks:
            asks[part.service] += part.late_us
        if isinstance(part, LinkDelay) and part.link == "wire":
            way += part.delay_us
            unsure += part.jitter_us
    gap = abs(asks["alice/peer"] - asks["bob/peer"])
    return None if abs(gap - way) <= unsure else gap < way


@cache
def _topology() -> Topology:
    return find_topology(_FILE)


def _drawn(seed: int) -> Perturbation:
    return draw(seed, _topology(), EXPLORE)


def test_the_race_is_rare() -> None:
    assert ranges_of(_topology(), _FILE) == EXPLORE
    seeds = [seed for seed in range(1000) if _crossing(_drawn(seed))]
    assert seeds[0] == _FAILS
    assert 5 < len(seeds) < 50


def _explore(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "testbed", "explore", _RACE, "--runs", str(folder), *words]
    return subprocess.Popen(
        command,
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_is_found_and_made_small_and_replayed(kernel: GuestKernel, tmp_path: Path) -> None:
    """Of its neighbours, only the seed that must fail does; and of what it disturbs, only what
    matters is left."""
    explore = _explore(tmp_path, "--seeds", f"{_FAILS - 1}..{_FAILS}", "--collect", "--json")
    output, errors = explore.communicate(timeout=280)
    assert explore.returncode == 1, errors
    said = json.loads(output)
    assert said["tried"] == 2
    (found,) = said["found"]
    assert found["seed"] == _FAILS
    assert [name.rpartition("::")[2] for name, _ in found["failures"]] == [
        "test_both_peers_believe_in_one_key"
    ]
    assert Perturbation.from_json(found["drawn"]) == _drawn(_FAILS)
    least = Perturbation.from_json(found["perturbation"])
    assert len(least.parts) < len(_drawn(_FAILS).parts)
    assert _crossing(least)
    assert all(_crossing(_but(least, n)) is not True for n in range(len(least.parts)))

    replay = [sys.executable, "-m", *found["replay"].split(), "--runs", str(tmp_path / "again")]
    again = subprocess.run(
        replay, cwd=_ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert "the same to the byte: 1 capture, 1 event stream" in again.stdout, again.stderr
    assert "1 failed" in again.stdout
    assert again.returncode == 0


def _but(one: Perturbation, number: int) -> Perturbation:
    return Perturbation(one.parts[:number] + one.parts[number + 1 :])


def test_ctrl_c_keeps_what_was_found(kernel: GuestKernel, tmp_path: Path) -> None:
    explore = _explore(tmp_path, "--seeds", f"{_FAILS}..9999", "--collect", "--shrink", "0")
    try:

        def failed() -> bool:
            assert explore.poll() is None
            return any('"failures": [[' in text for text in _lines(tmp_path))

        wait_until(failed, "a seed that fails", timeout=200)
        explore.send_signal(signal.SIGINT)
        output, errors = explore.communicate(timeout=60)
    finally:
        explore.kill()
    assert explore.returncode == 130, errors
    assert f"seed {_FAILS} fails" in output
    assert "replay it:  testbed replay " in output
    (folder,) = tmp_path.iterdir()
    said = json.loads((folder / "explore.json").read_text())
    assert (said["interrupted"], [one["seed"] for one in said["found"]]) == (True, [_FAILS])
    assert (folder / f"seed-{_FAILS}" / "run.json").exists()
    assert not _running_in(folder)


def _lines(folder: Path) -> list[str]:
    return [line for file in folder.glob("*/seeds.jsonl") for line in file.read_text().splitlines()]


def _running_in(folder: Path) -> list[str]:
    """Guests' kernels have a folder of their run for their working folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            where = str(link.readlink())
        except OSError:
            continue
        if where.startswith(f"{folder}/"):
            found.append(where)
    return found
