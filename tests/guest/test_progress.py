"""What the guest's kernel tells about itself, and how the host reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.guest.boot import Guest
from testbed.guest.errors import GuestError
from testbed.guest.job import Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.link import Kind
from testbed.guest.machine import Machine, VirtualClock
from testbed.guest.progress import PAGE, Progress, ProgressFile, Task

COUNTS = st.integers(0, (1 << 64) - 1)
START = datetime(2017, 7, 16, 9, 56, 52, tzinfo=UTC)


def told(folder: Path, *fields: int | bytes) -> ProgressFile:
    """A file in which a kernel wrote these."""
    file = ProgressFile(folder)
    file.lay()
    with file.path.open("r+b") as page:
        page.write(PAGE.pack(*fields))
    return file


@given(
    counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS),
    pid=st.integers(0, 1 << 22),
    names=st.tuples(*(st.text(st.characters(codec="ascii", exclude_characters="\0")),) * 2),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    counts: tuple[int, int, int, int],
    pid: int,
    names: tuple[str, str],
) -> None:
    command, node = names[0][:15], names[1][:63]
    page = (1, *counts, pid, command.encode(), node.encode())
    file = told(tmp_path_factory.mktemp("page"), *page)
    assert file.read() == Progress(*counts, Task(pid, command, node))


def test_names_are_cut_where_the_kernel_ends_them(tmp_path: Path) -> None:
    now = told(tmp_path, 1, 0, 0, 0, 0, 7, b"charon\0rest", b"a" * 64).read()
    assert now is not None
    assert str(now.task) == f"charon (process 7 on {'a' * 64})"


def test_the_moment_is_that_of_the_virtual_clock(tmp_path: Path) -> None:
    now = told(tmp_path, 1, int(START.timestamp()) * 10**9 + 1999, 0, 0, 0, 7, b"", b"").read()
    assert now is not None
    assert now.moment == START.replace(microsecond=1)
    real = told(tmp_path, 1, 0, 0, 0, 0, 7, b"", b"").read()
    assert real is not None
    assert real.moment is None


def test_before_the_kernel_and_after_it_there_is_nothing(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path)
    assert file.read() is None
    file.lay()
    assert file.read() is None


def test_a_new_file_is_not_the_one_that_an_old_guest_has_mapped(tmp_path: Path) -> None:
    file = told(tmp_path, 1, 0, 5, 0, 0, 7, b"", b"")
    with file.path.open("rb") as before:
        file.lay()
        assert before.read(8) == b"\1" + bytes(7)
    assert file.read() is None


def test_a_layout_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GuestError, match="in layout 2, not 1"):
        told(tmp_path, 2, 0, 0, 0, 0, 7, b"", b"").read()


def test_a_running_guest_tells_its_time_and_who_runs(kernel: GuestKernel, tmp_path: Path) -> None:
    """Looked at while it waits for us to take what a node's process said, an hour after the
    start."""
    script = "sleep 3600; unshare --uts sh -c 'hostname ce1; exec printf done'"
    machine = Machine(clock=VirtualClock(START), seed=1)
    seen: list[Progress] = []

    with Guest(kernel, Job(("bash", "-c", script)), tmp_path, machine) as guest:

        def output(kind: Kind, data: bytes) -> None:
            assert (kind, data) == (Kind.OUTPUT, b"done")
            now = guest.progress
            assert now is not None
            seen.append(now)

        guest.wait(output)
    (now,) = seen
    assert now.moment is not None
    assert 3600 <= (now.moment - START).total_seconds() < 3601
    assert min(now.counts) > 100
    assert guest.progress is None, "the file goes with the guest"


def test_in_real_time_the_kernel_counts_but_shows_no_clock(
    kernel: GuestKernel, tmp_path: Path
) -> None:
    with Guest(kernel, Job(("echo", "here")), tmp_path, Machine()) as guest:

        def output(_kind: Kind, _data: bytes) -> None:
            now = guest.progress
            assert now is not None
            assert now.moment is None
            assert now.clock_steps == 0
            assert min(now.switches, now.system_calls) > 100

        assert guest.wait(output).status == 0
