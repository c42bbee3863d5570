"""Jitter under the virtual clock: other seeds, other orders; the same seed, the same order."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from testbed.guest.errors import GuestError
from testbed.guest.job import RUN_FOLDER
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.machine import Jitter, Machine, VirtualClock
from tests.guest.running import run

PLAIN = Machine(clock=VirtualClock(datetime(2017, 7, 16, tzinfo=UTC)), seed=1)

_RACE = """
    import os, time
    # Two processes wake at the same moments and say so; who is first?
    begin = time.clock_gettime(time.CLOCK_MONOTONIC) + 1
    names = "ab"
    read, write = os.pipe()
    for name in names:
        if os.fork() == 0:
            for turn in range(40):
                wait = begin + turn - time.clock_gettime(time.CLOCK_MONOTONIC)
                time.sleep(max(0, wait))
                os.getppid()
                os.write(write, name.encode())
            os._exit(0)
    os.close(write)
    said = b""
    while data := os.read(read, 100):
        said += data
    print(said.decode())
    print(open("/proc/cmdline").read().count("jitter"))
"""


def race(kernel: GuestKernel, folder: Path, jitter: Jitter | None) -> str:
    """In which order the two came, forty times."""
    folder.mkdir()
    (folder / "race.py").write_text(textwrap.dedent(_RACE))
    machine = replace(PLAIN, jitter=jitter)
    said = run(kernel, folder, f"python3 {RUN_FOLDER}/race.py", machine)
    order, in_command_line = said.output.split()
    assert sorted(order) == ["a"] * 40 + ["b"] * 40
    assert in_command_line == "0", "what feeds the random pool must not differ"
    return order


def test_seeds_change_the_order_and_repeat_it(kernel: GuestKernel, tmp_path: Path) -> None:
    often = {seed: Jitter(seed, max_ns=100_000, per_mille=300) for seed in (1, 2)}
    plain = race(kernel, tmp_path / "plain", None)
    one, again = (race(kernel, tmp_path / name, often[1]) for name in ("one", "again"))
    two = race(kernel, tmp_path / "two", often[2])
    assert one == again
    assert len({plain, one, two}) == 3
    assert {one[at : at + 2] for at in range(0, 80, 2)} >= {"ab", "ba"}, "both ways round"


def test_jitter_that_never_comes_is_none(kernel: GuestKernel, tmp_path: Path) -> None:
    never = race(kernel, tmp_path / "never", Jitter(9, per_mille=0))
    assert never == race(kernel, tmp_path / "plain", None)


def test_the_kernel_refuses_what_it_does_not_understand(
    kernel: GuestKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than to run without jitter, as if nothing had been asked for."""
    jitter = Jitter(1)
    object.__setattr__(jitter, "per_mille", 1001)
    with pytest.raises(GuestError, match=r"tt-jitter=1,100000,1001 is not") as caught:
        run(kernel, tmp_path, "true", replace(PLAIN, jitter=jitter))
    assert "while it booted" in caught.value.what
