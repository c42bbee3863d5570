"""What the host gives a guest: a place for its memory, a control folder, its arguments."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from testbed.guest import launch
from testbed.guest.boot import run_in_guest
from testbed.guest.errors import GuestError
from testbed.guest.job import Job
from testbed.guest.kernel_cache import GuestKernel, Manifest
from testbed.guest.machine import Machine, command_line

MB = 1 << 20


def _memory(monkeypatch: pytest.MonkeyPatch, **folders: tuple[int, int]) -> None:
    """Pretend that these are the folders, with so many MB and these mount flags."""
    monkeypatch.setattr(launch, "_MEMORY_FOLDERS", tuple(Path("/", name) for name in folders))

    def statvfs(folder: Path) -> SimpleNamespace:
        room, flags = folders[folder.name]
        return SimpleNamespace(f_bavail=room, f_frsize=MB, f_flag=flags)

    monkeypatch.setattr(os, "statvfs", statvfs)


def test_memory_lies_in_the_first_folder_that_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    _memory(monkeypatch, shm=(64, 0), tmp=(4096, 0))
    assert launch.memory_folder(1024) == "/tmp"
    _memory(monkeypatch, shm=(2048, 0), tmp=(4096, 0))
    assert launch.memory_folder(1024) == "/shm"


def test_memory_does_not_lie_where_nothing_may_be_executed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _memory(monkeypatch, shm=(2048, os.ST_NOEXEC), tmp=(4096, 0))
    assert launch.memory_folder(1024) == "/tmp"


def test_without_room_for_memory_the_error_says_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _memory(monkeypatch, shm=(2048, os.ST_NOEXEC), tmp=(100, 0))
    with pytest.raises(GuestError) as caught:
        launch.memory_folder(1024)
    assert caught.value.what == (
        "there is no room for a guest's 1024 MB of memory: /shm is mounted noexec, /tmp has 100 MB"
    )


def test_the_kernel_ends_with_us_and_dumps_no_core() -> None:
    words = launch.arguments(Path("/cache/linux"), Machine())
    kernel = words.index("/cache/linux")
    assert words[:4] == ["setpriv", "--pdeathsig=KILL", "prlimit", "--core=0"]
    assert tuple(words[kernel + 1 :]) == command_line(Machine())


def test_the_control_folder_comes_and_goes(tmp_path: Path) -> None:
    control = tmp_path / "guest"
    launch.lay_control_folder(control)
    assert (control / "python").resolve().is_file()
    assert (control / "inside.py").read_text().startswith('"""The guest\'s first program')
    (control / "uml/guest").mkdir(parents=True)
    (control / "console.log").write_text("kept")
    launch.clear_control_folder(control)
    assert [path.name for path in control.iterdir()] == ["console.log"]


def _kernel(binary: Path) -> GuestKernel:
    return GuestKernel(binary, Manifest("", {}, "", 0, "", 0, 0, 0))


def test_a_kernel_that_cannot_be_executed(tmp_path: Path) -> None:
    (tmp_path / "linux").write_text("no program")
    with pytest.raises(GuestError, match="while it booted") as caught:
        run_in_guest(_kernel(tmp_path / "linux"), Job(("true",)), tmp_path / "run")
    assert "failed to execute" in caught.value.what


def test_a_run_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GuestError, match="cannot write to the run folder"):
        run_in_guest(_kernel(Path("/bin/true")), Job(("true",)), tmp_path / "file/run")
