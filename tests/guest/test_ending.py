"""A guest that ends too early, or had too little memory: one clear error, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.guest import ending
from testbed.guest.boot import CONTROL_FOLDER, Guest
from testbed.guest.console import Console
from testbed.guest.errors import GuestError
from testbed.guest.job import RUN_FOLDER, Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.machine import Machine, VirtualClock
from tests.guest.running import Said, processes_of_session, run
from tests.waiting import wait_until

OOM = "Out of memory: Killed process {} ({}) total-vm:1kB, anon-rss:1kB, UID:0 pgtables:1kB\n"


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return Console(tmp_path / "console.log")


def test_a_panic_gives_its_reason(console: Console) -> None:
    console.path.write_text("one\nKernel panic - not syncing: Fatal exception \nlast\n")
    error = ending.died(console, -signal.SIGABRT, "while it booted", 512)
    first, *words = error.what.splitlines()
    assert first == "the guest's kernel panicked while it booted: Fatal exception"
    assert words[-1] == "  last"
    assert error.where == str(console.path)


def test_killed_from_outside(console: Console) -> None:
    console.path.write_text("")
    error = ending.died(console, -signal.SIGKILL, "before its command did", 512)
    assert error.what == "the guest was killed by SIGKILL before its command did"
    assert "from outside" in str(error.hint)


def test_no_console_is_no_reason_to_fail(console: Console) -> None:
    assert ending.died(console, 3, "while it booted", 512).what == (
        "the guest ended (3) while it booted"
    )


def test_victims_are_named_but_not_all_of_many(console: Console) -> None:
    console.path.write_text("".join(OOM.format(pid, f"p{pid}") for pid in range(1, 6)))
    error = ending.out_of_memory(console, "while its command ran", 512)
    assert error.what.endswith("ended p1 (process 1), p2 (process 2), p3 (process 3) and 2 more")
    assert "512 MB" in str(error.hint)


def test_want_of_memory_is_the_cause_of_the_panic_that_follows(console: Console) -> None:
    console.path.write_text(
        OOM.format(1, "python") + "Kernel panic - not syncing: Attempted to kill init!\n"
    )
    error = ending.died(console, -signal.SIGABRT, "before its command did", 64)
    assert "ran out of memory before its command did" in error.what
    console.path.write_text("Kernel panic - not syncing: System is deadlocked on memory\n")
    error = ending.died(console, -signal.SIGABRT, "while it booted", 64)
    assert "ran out of memory while it booted, with nothing left to end" in error.what


def test_a_limit_that_the_lab_set_is_its_own_business(console: Console) -> None:
    console.path.write_text("Memory cgroup out of memory: Killed process 5 (x) total-vm:1kB\n")
    assert not ending.ran_out_of_memory(console)
    console.path.write_text(OOM.format(5, "x"))
    assert ending.ran_out_of_memory(console)


SMALL = Machine(memory_mb=128)
_EAT = "food = [b'x' * (1 << 20 | turn) for turn in range(500)]"


def test_a_guest_that_runs_out_of_memory_names_the_victim(
    kernel: GuestKernel, tmp_path: Path
) -> None:
    """Also when its command goes on and ends well: it was not the lab that it seems to be."""
    with pytest.raises(GuestError) as caught:
        run(kernel, tmp_path, f'python3 -c "{_EAT}"; echo $? > {RUN_FOLDER}/status', SMALL)
    assert (tmp_path / "status").read_text() == "137\n"
    assert "ran out of memory while its command ran, and its kernel ended py" in caught.value.what
    assert "128 MB" in str(caught.value.hint)
    assert caught.value.where == str(tmp_path / CONTROL_FOLDER / "console.log")
    assert "Out of memory" in Path(str(caught.value.where)).read_text()


def test_a_guest_too_small_to_work_in(kernel: GuestKernel, tmp_path: Path) -> None:
    """Memory that no process holds: nobody can be ended to get it back."""
    eat = "mount -t tmpfs -o size=1g none /mnt && exec head -c 1G /dev/zero > /mnt/food"
    with pytest.raises(GuestError, match="ran out of memory") as caught:
        run(kernel, tmp_path, eat, SMALL)
    assert "128 MB" in str(caught.value.hint)


def test_a_panic_is_named_and_nothing_is_left(kernel: GuestKernel, tmp_path: Path) -> None:
    script = f"echo up; until [ -e {RUN_FOLDER}/go ]; do :; done; echo c > /proc/sysrq-trigger"
    with Guest(kernel, Job(("sh", "-c", f"{script}; sleep 60")), tmp_path, Machine()) as guest:
        with pytest.raises(GuestError) as caught:
            guest.wait(lambda _kind, _data: (tmp_path / "go").touch())
        pid = guest.pid
    first, *words = caught.value.what.splitlines()
    assert first == "the guest's kernel panicked before its command did: sysrq triggered crash"
    assert words, "the kernel's last words"
    console = tmp_path / CONTROL_FOLDER / "console.log"
    assert caught.value.where == str(console)
    assert "Kernel panic" in console.read_text()
    assert list(console.parent.iterdir()) == [console]
    assert not list(tmp_path.rglob("core*"))
    wait_until(lambda: not processes_of_session(pid), "the guest's processes to end")


_OWNER = """
    import sys
    from pathlib import Path
    from testbed.guest.boot import Guest
    from testbed.guest.job import Job
    from testbed.guest.kernel_cache import GuestKernel, Manifest
    from testbed.guest.machine import Machine, VirtualClock
    kernel = GuestKernel(Path(sys.argv[1]), Manifest("", {}, "", 0, "", 0, 0, 0))
    machine = Machine(clock=VirtualClock(), seed=1)
    job = Job(("bash", "-c", "echo up; while :; do sleep 3600; done"))
    with Guest(kernel, job, Path(sys.argv[2]), machine) as guest:
        print(guest.pid, flush=True)
        guest.wait(lambda kind, data: print(data.decode(), end="", flush=True))
"""


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """We and what we start share a CPU: whoever was just forked has to wait for its turn."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def _kill_with_its_first_child(pid: int) -> None:
    """End a guest's kernel as soon as it has a child, and before the child gets any further."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + 30
    while not (found := children.read_text().split()):
        assert time.monotonic() < deadline, "the kernel has no children"
    child = int(found[0])
    os.kill(child, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}/cwd").exists(), "the kernel to end")
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGCONT)


@pytest.mark.parametrize("turn", range(5))
@pytest.mark.usefixtures("one_cpu")
def test_a_kernel_killed_while_it_boots_leaves_no_process(
    kernel: GuestKernel, tmp_path: Path, turn: int
) -> None:
    """Its first child is the one by which it tries what ptrace can do here.  It waits to be traced:
    should it outlive the kernel, it would do so for ever, and hold our end of the link."""
    del turn
    with Guest(kernel, Job(("true",)), tmp_path, Machine()) as guest:
        _kill_with_its_first_child(guest.pid)
        wait_until(lambda: not processes_of_session(guest.pid), "the guest's processes to end")
        with pytest.raises(GuestError, match="was killed by SIGKILL while it booted"):
            guest.wait(Said())


def _memory_folders() -> set[Path]:
    return {
        path for folder in (Path("/dev/shm"), Path("/tmp")) for path in folder.glob("vm_file-*")
    }


@pytest.fixture
def owner(kernel: GuestKernel, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has a guest; its first line of output is the pid of the guest's kernel."""
    (tmp_path / "home").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_OWNER), kernel.binary, tmp_path / "run"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HOME": str(tmp_path / "home")},
    ) as process:
        yield process
        process.kill()


def test_nothing_is_left_when_the_owner_is_killed(
    owner: subprocess.Popen[str], kernel: GuestKernel, tmp_path: Path
) -> None:
    """No process (the stubs that carry the guest's programs included), no file outside the run
    folder; and the run folder can be used again."""
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert owner.stdout.readline() == "up\n"
    assert len(processes_of_session(pid)) > 1
    owner.kill()
    wait_until(lambda: not processes_of_session(pid), "the guest to end")
    assert list((tmp_path / "home").iterdir()) == []
    assert _memory_folders() == set(), "the guest's memory had no name any more"
    said = run(kernel, tmp_path / "run", "echo again", Machine(clock=VirtualClock(), seed=1))
    assert said.output == "again\n"
    assert [path.name for path in (tmp_path / "run" / CONTROL_FOLDER).iterdir()] == ["console.log"]
