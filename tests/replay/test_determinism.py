"""The same lab ten times has one hash, whoever runs it from wherever; another seed has another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.guest.kernel_cache import GuestKernel

_ROOT = Path(__file__).parents[2]
_RUN = """
import sys
from pathlib import Path
from testbed.guest.boot import run_in_guest
from testbed.guest.kernel_build import find_kernel
from testbed.guest.machine import Machine, VirtualClock
from testbed.replay.job import lay, seal
kernel, folder = find_kernel(), Path(sys.argv[1])
machine = Machine(clock=VirtualClock(), seed=int(sys.argv[2]))
job, _ = lay(sys.argv[3:], folder, machine, kernel)
status = run_in_guest(kernel, job, folder, machine=machine, output=lambda kind, data: None).status
history = seal(folder)
print(status, history.captures, history.streams, history.hash)
"""
_LAB = ("test", "--kernel", "host", "--part", "pair")


def _begin(
    folder: Path, seed: int, checkout: Path, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """A run in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, str(folder), str(seed), *_LAB],
        cwd=checkout,
        env={**os.environ, **(environment or {}), "PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        text=True,
    )


def _end(run: subprocess.Popen[str]) -> str:
    output, _ = run.communicate(timeout=200)
    status, captures, streams, found = output.split()
    assert (run.returncode, status, captures, streams) == (0, "0", "2", "1"), output
    return found


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same sources in two folders of different names and depths, nothing compiled in them."""
    base = tmp_path_factory.mktemp("checkouts")
    folders = [base / "one", base / "a/much/deeper/folder/with a space"]
    leave = shutil.ignore_patterns("__pycache__")
    for folder in folders:
        folder.mkdir(parents=True)
        for name in ("testbed", "topologies", "images/guest-kernel"):
            shutil.copytree(_ROOT / name, folder / name, ignore=leave)
        shutil.copy(_ROOT / "pyproject.toml", folder)
    return folders


def test_ten_runs_have_one_hash_and_another_seed_has_another(
    kernel: GuestKernel, tmp_path: Path, checkouts: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two at a time, half of them from another checkout with another environment."""
    stranger = {
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        "LANG": "ja_JP.UTF-8",
        "TZ": "Asia/Tokyo",
        "COLUMNS": "40",
        "PYTHONHASHSEED": "7",
        "USER": "nobody",
        "A_VARIABLE": "of no meaning",
    }
    found = []
    for number in range(5):
        ours = _begin(tmp_path / f"ours-{number}", 5, checkouts[0])
        theirs = _begin(tmp_path / f"theirs {number}", 5, checkouts[1], stranger)
        found += [_end(ours), _end(theirs)]
    other = _end(_begin(tmp_path / "another-seed", 6, checkouts[0]))
    with capsys.disabled():
        print(f"\n  seed 5, ten runs: {sorted(set(found))}\n  seed 6, one run:  [{other!r}]")
    assert len(found) == 10
    assert len(set(found)) == 1
    assert other != found[0]
