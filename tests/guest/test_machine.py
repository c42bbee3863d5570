"""The kernel command line: the same for equal machines, and free of the host's paths."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from testbed.guest.errors import GuestError
from testbed.guest.machine import Jitter, Machine, VirtualClock, command_line

REAL = (
    "mem=1024M",
    "root=/dev/root",
    "rootfstype=hostfs",
    "rootflags=/",
    "ro",
    "hostfs_rw=/proc/self/cwd/..",
    "hostlink=0",
    "progress=progress",
    "con=null",
    "con0=null,fd:1",
    "initcall_blacklist=jent_mod_init",
    "fb_tunnels=none",
    "dummy.numdummies=0",
    "ifb.numifbs=0",
    "quiet",
    "umid=guest",
    "uml_dir=uml/",
    "init=/proc/self/cwd/python",
    "--",
    "-I",
    "-S",
    "-B",
    "/proc/self/cwd/inside.py",
)
"""Real time and the host's randomness."""


def test_the_machine_without_options() -> None:
    assert command_line(Machine()) == REAL


def test_memory() -> None:
    assert command_line(Machine(memory_mb=256)) == ("mem=256M", *REAL[1:])


def test_virtual_time_and_seed_add_to_it_and_change_nothing() -> None:
    start = datetime(2017, 7, 16, 9, 56, 52, 7, tzinfo=UTC)
    line = command_line(Machine(clock=VirtualClock(start), seed=4))
    more = ("time-travel=inf-cpu", "time-travel-start=1500199010000007000", "tt-seed=4")
    at = REAL.index("uml_dir=uml/") + 1
    assert line == (*REAL[:at], *more, *REAL[at:])


def test_a_moment_is_the_same_in_any_time_zone() -> None:
    tokyo = timezone(timedelta(hours=9))
    here = VirtualClock(datetime(2017, 7, 16, 18, 0, tzinfo=tokyo))
    assert here.boot_ns == VirtualClock(datetime(2017, 7, 16, 9, 0, tzinfo=UTC)).boot_ns


@pytest.mark.parametrize("seed", [0, 1, (1 << 64) - 1])
def test_seeds_that_fit(seed: int) -> None:
    assert f"tt-seed={seed}" in command_line(Machine(seed=seed))


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_seeds_that_do_not(seed: int) -> None:
    with pytest.raises(GuestError, match="is no seed"):
        Machine(seed=seed)


def test_jitter_adds_its_seed_its_size_and_how_often() -> None:
    plain = Machine(clock=VirtualClock(), seed=4)
    line = command_line(replace(plain, jitter=Jitter(7, max_ns=500, per_mille=30)))
    (more,) = set(line) - set(command_line(plain))
    assert more == "tt-jitter=7,500,30"
    assert line.index(more) < line.index("--")


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"seed": -1}, "is no seed"),
        ({"seed": 1 << 64}, "is no seed"),
        ({"seed": 1, "max_ns": -1}, "a jitter of -1 ns"),
        ({"seed": 1, "max_ns": 10**9 + 1}, "a jitter of 1000000001 ns"),
        ({"seed": 1, "per_mille": -1}, "-1 of 1000"),
        ({"seed": 1, "per_mille": 1001}, "1001 of 1000"),
    ],
)
def test_jitter_that_cannot_be(wrong: dict[str, int], what: str) -> None:
    with pytest.raises(GuestError, match=what):
        Jitter(**wrong)


def test_jitter_needs_the_virtual_clock() -> None:
    with pytest.raises(GuestError, match="jitter") as caught:
        Machine(jitter=Jitter(1))
    assert "virtual clock" in str(caught.value.hint)


def test_too_little_memory() -> None:
    with pytest.raises(GuestError, match="cannot boot"):
        Machine(memory_mb=63)


def test_starts_that_cannot_be() -> None:
    with pytest.raises(GuestError, match="before 1970"):
        VirtualClock(datetime(1969, 12, 31, tzinfo=UTC))
    with pytest.raises(GuestError, match="time zone"):
        VirtualClock(datetime(2017, 7, 16))  # that is the mistake


def test_the_earliest_start_leaves_time_to_settle() -> None:
    assert VirtualClock(datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)).boot_ns == 0
    with pytest.raises(GuestError, match="before 1970"):
        VirtualClock(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))


def test_machines_are_values() -> None:
    assert Machine(seed=1) == replace(Machine(), seed=1)
