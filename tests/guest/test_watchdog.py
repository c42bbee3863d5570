"""A program that computes without end under the virtual clock is named; nobody else is."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from testbed.guest.boot import CONTROL_FOLDER, Guest, run_in_guest
from testbed.guest.errors import GuestStuckError
from testbed.guest.job import RUN_FOLDER, Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.machine import Machine, VirtualClock
from testbed.guest.progress import PAGE, ProgressFile
from testbed.guest.watchdog import Watchdog, cpu_of_session
from tests.guest.running import Said, processes_of_session
from tests.waiting import wait_until

START = datetime(2017, 7, 16, 9, 56, 52, tzinfo=UTC)
VIRTUAL = Machine(clock=VirtualClock(START), seed=1)
PATIENCE_S = 1.0


class Pretended:
    """A guest whose progress and use of the CPU are what we say."""

    def __init__(self, folder: Path, patience_s: float) -> None:
        control = folder / CONTROL_FOLDER
        control.mkdir()
        self._file = ProgressFile(control)
        self._file.lay()
        self.cpu_s = 0.0
        self.watchdog = Watchdog(self._file, 1, patience_s, lambda _leader: self.cpu_s)

    def tells(self, *counts: int) -> None:
        now = int(START.timestamp()) * 10**9
        with self._file.path.open("r+b") as page:
            page.write(PAGE.pack(1, now, *counts, 57, b"charon", b"rtx"))


@pytest.fixture
def guest(tmp_path: Path) -> Pretended:
    return Pretended(tmp_path, 20)


def test_a_guest_that_computes_and_gets_nowhere_is_stuck(guest: Pretended, tmp_path: Path) -> None:
    guest.tells(3, 3, 3)
    for guest.cpu_s in (100, 110, 119.9):
        guest.watchdog.look()
    guest.cpu_s = 120
    with pytest.raises(GuestStuckError) as caught:
        guest.watchdog.look()
    assert caught.value.what == (
        "virtual time stands still at 2017-07-16 09:56:52.000000 UTC: "
        "charon (process 57 on rtx) has computed for 20 s without a system call"
    )
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize("counts", [(4, 3, 3), (3, 4, 3), (3, 3, 4)])
def test_any_step_is_progress(guest: Pretended, counts: tuple[int, int, int]) -> None:
    guest.tells(3, 3, 3)
    guest.watchdog.look()
    guest.cpu_s = 19
    guest.watchdog.look()
    guest.tells(*counts)
    for guest.cpu_s in (25, 44):
        guest.watchdog.look()
    guest.cpu_s = 45
    with pytest.raises(GuestStuckError):
        guest.watchdog.look()


def test_a_guest_that_waits_for_its_host_is_not_stuck(guest: Pretended) -> None:
    guest.tells(3, 3, 3)
    for _ in range(1000):
        guest.watchdog.look()  # as much wall time as you like, and no CPU time


def test_a_kernel_that_does_not_come_up(guest: Pretended) -> None:
    guest.watchdog.look()
    guest.cpu_s = 21
    with pytest.raises(GuestStuckError, match="computed for 21 s and did not come up"):
        guest.watchdog.look()


def spin(name: str) -> str:
    """A program of that name that computes without end."""
    return f"cp $(readlink -f /usr/bin/python3) /tmp/{name}; exec /tmp/{name} -c 'while True: pass'"


def test_the_program_that_spins_is_named_and_the_evidence_kept(
    kernel: GuestKernel, tmp_path: Path
) -> None:
    script = f"""
        echo evidence > {RUN_FOLDER}/events
        sleep 86400
        unshare --uts bash -c 'hostname rtx; exec bash {RUN_FOLDER}/spin' &
        sleep 1
        echo never
    """
    (tmp_path / "spin").write_text(spin("busy"))
    said = Said()
    with Guest(
        kernel,
        Job(("bash", "-c", textwrap.dedent(script))),
        tmp_path,
        VIRTUAL,
        patience_s=PATIENCE_S,
    ) as guest:
        with pytest.raises(GuestStuckError) as caught:
            guest.wait(said)
        pid = guest.pid
    assert "stands still at 2017-07-17 09:56:5" in caught.value.what
    assert "busy (process " in caught.value.what
    assert " on rtx)" in caught.value.what
    assert caught.value.where == str(tmp_path)
    assert (tmp_path / "events").read_text() == "evidence\n"
    console = tmp_path / CONTROL_FOLDER / "console.log"
    assert console.read_text().endswith(f"testbed: {caught.value.what}\n")
    assert list(console.parent.iterdir()) == [console]
    assert b"never" not in b"".join(said.data.values())
    wait_until(lambda: not processes_of_session(pid), "the guest's processes to end")


def test_a_long_quiet_time_is_not_stuck(kernel: GuestKernel, tmp_path: Path) -> None:
    """Three virtual days burn more CPU than the patience, and the clock moves all the while."""
    with Guest(
        kernel, Job(("sleep", "259200")), tmp_path, VIRTUAL, patience_s=PATIENCE_S / 20
    ) as guest:
        assert guest.wait(Said()).status == 0


def test_in_real_time_a_program_may_compute(kernel: GuestKernel, tmp_path: Path) -> None:
    job = Job(("timeout", "2", "python3", "-c", "while True: pass"))
    result = run_in_guest(kernel, job, tmp_path, output=Said(), patience_s=0.1)
    assert result.status == 124, "ended by timeout, as a second and more of its time was used"


def test_cpu_is_that_of_all_processes_in_the_guest(kernel: GuestKernel, tmp_path: Path) -> None:
    """The kernel's own process waits while a program computes in another one."""
    job = Job(("python3", "-c", "while True: pass"))
    with Guest(kernel, job, tmp_path, Machine()) as guest:
        wait_until(lambda: cpu_of_session(guest.pid) > 0.5, "half a second of CPU", timeout=60)
        assert len(processes_of_session(guest.pid)) > 1
