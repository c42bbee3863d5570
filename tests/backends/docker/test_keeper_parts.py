"""What the keeper tells apart, without an engine: processes, their users, labels."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.backends.docker_keeper import container
from testbed.backends.docker_keeper.labels import Life, Stamp, start_time
from testbed.errors import LabError
from tests.waiting import wait_until


@contextmanager
def _process(*words: str, token: str = "") -> Iterator[int]:
    """A process with a token in its environment."""
    environment = {"PATH": os.environ["PATH"], "TESTBED_CONTAINER": token}
    with subprocess.Popen(words, env=environment) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def test_the_namespaces_of_the_right_process_are_opened() -> None:
    with _process("unshare", "--net", "--mount", "sleep", "60", token="right") as pid:
        wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "the namespaces")
        opened = container._open_namespaces(pid, "right", "node x")
        assert opened is not None
        for descriptor, kind in zip(opened, ("net", "mnt"), strict=True):
            assert os.fstat(descriptor).st_ino == Path(f"/proc/{pid}/ns/{kind}").stat().st_ino
            assert os.fstat(descriptor).st_ino != Path(f"/proc/self/ns/{kind}").stat().st_ino
            os.close(descriptor)


def test_another_process_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine elsewhere gives a number that means something else here, or nothing."""
    monkeypatch.setattr(container, "_LONGEST_EXEC", 0.1)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with _process("sleep", "60", token="other") as pid:
        assert container._open_namespaces(pid, "right", "node x") is None
    assert container._open_namespaces(pid, "right", "node x") is None
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_users_of_its_own_are_an_error() -> None:
    with _process("unshare", "--user", "--map-root-user", "sleep", "60", token="right") as pid:
        wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "the namespace")
        with pytest.raises(LabError, match="users of their own") as trouble:
            container._open_namespaces(pid, "right", "node x")
    assert "userns-remap" in str(trouble.value.hint)


@given(st.integers(0), st.integers(0), st.integers(0), st.text("0123456789abcdef-", min_size=1))
def test_a_stamp_is_read_back(pid: int, start: int, namespace: int, boot: str) -> None:
    stamp = Stamp(pid, start, namespace, boot)
    assert Stamp.parse(str(stamp)) == stamp


@pytest.mark.parametrize("text", ["", "1/2/3", "1/2/3/x/y", "-1/2/3/x", "1/²/3/x", "a/2/3/x"])
def test_nonsense_is_no_stamp(text: str) -> None:
    assert Stamp.parse(text) is None


def test_a_process_lives_until_it_has_ended() -> None:
    def life(of: Stamp) -> Life:
        return of.life

    mine = Stamp.of_this_process()
    assert life(mine) is Life.LIVING
    with subprocess.Popen(["sleep", "60"]) as process:
        start = start_time(process.pid)
        assert start is not None
        stamp = Stamp(process.pid, start, mine.namespace, mine.boot)
        assert life(stamp) is Life.LIVING
        process.kill()
        # Not reaped yet: it holds its number, and is dead all the same.
        wait_until(lambda: life(stamp) is Life.DEAD, "its end")
    assert life(stamp) is Life.DEAD
