"""Starting a supervisor leaves no trace in the process that starts it."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from testbed.errors import KernelError
from testbed.kernel import libc, namespaces
from testbed.lab import Lab
from testbed.supervisor import boot
from tests.lab.conftest import two_hosts, unique
from tests.waiting import wait_until

_KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "user", "uts")


def _own_namespaces() -> dict[str, str]:
    folder = Path("/proc/thread-self/ns")
    return {kind: str((folder / kind).readlink()) for kind in _KINDS}


def _children() -> set[int]:
    """Our child processes, zombies included."""
    words = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(word) for word in words}


def test_the_owner_and_its_next_children_stay_where_they_are(tmp_path: Path) -> None:
    before = _own_namespaces()
    with Lab.up(two_hosts(), name=unique("stay"), run_folder=tmp_path / "run"):
        assert _own_namespaces() == before
        link = subprocess.check_output(["readlink", "/proc/self/ns/pid"], text=True).strip()
        assert link == before["pid"]
        thread = threading.Thread(target=_own_namespaces)  # clone(2) refuses where pid has moved
        thread.start()
        thread.join()


def test_nothing_stays_in_the_process_table_when_a_lab_is_down(tmp_path: Path) -> None:
    before = _children()
    with Lab.up(two_hosts(), name=unique("table"), run_folder=tmp_path / "run"):
        pass
    assert _children() == before


def test_a_supervisor_that_failed_is_reaped_with_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _children()

    def refuse(flags: int) -> None:
        if flags & libc.CLONE_NEWNET:
            raise KernelError("refused for the test")
        _real(flags)

    _real = libc.unshare
    monkeypatch.setattr(libc, "unshare", refuse)
    with pytest.raises(KernelError, match="refused for the test"):
        Lab.up(two_hosts(), name=unique("failed"), run_folder=tmp_path / "run")

    def reaped() -> bool:
        boot.reap()
        return _children() == before

    wait_until(reaped, "the child to be reaped")


def test_whoever_may_not_come_back_forks_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root of a user namespace has no rights over the process namespace it is in."""
    real = libc.setns

    def refuse(descriptor: int, kind: int = 0) -> None:
        if kind == libc.CLONE_NEWPID:
            raise PermissionError(1, "setns: refused for the test")
        real(descriptor, kind)

    monkeypatch.setattr(libc, "setns", refuse)
    before, children = _own_namespaces(), _children()
    with Lab.up(two_hosts(), name=unique("twice"), run_folder=tmp_path / "run") as lab:
        assert lab.run("alice", ["ping", "-c1", "-W2", "192.0.2.2"]).ok
        assert _own_namespaces() == before
        assert _children() == children  # pid 1 is nobody's child here
    with (
        pytest.raises(PermissionError, match="refused for the test"),
        namespaces.next_child_in_new_processes(),
    ):
        pytest.fail("the context was entered")
