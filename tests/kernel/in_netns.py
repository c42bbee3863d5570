"""Run a function in a forked child with network namespaces of its own, not the host's."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from testbed.kernel import libc

T = TypeVar("T")

_LIMIT_S = 50


def _enter_new_network(as_user: bool) -> None:
    uid, gid = os.geteuid(), os.getegid()
    if as_user:
        libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1\n")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1\n")
    else:
        libc.unshare(libc.CLONE_NEWNET)


def _child(work: Callable[[], T], as_user: bool) -> tuple[str, Any]:
    try:
        _enter_new_network(as_user)
    except OSError as error:
        return "cannot", f"this user may not make a network namespace here: {error}"
    try:
        return "value", work()
    except pytest.skip.Exception as skipped:
        return "cannot", str(skipped)
    except BaseException:  # noqa: BLE001 - the parent tells whatever it was
        return "failed", traceback.format_exc()


def in_new_network(work: Callable[[], T], *, user_namespace: bool = False) -> T:
    """The result of ``work()``, run in a new network namespace; its failure fails the test.

    ``user_namespace`` makes the child root of a user namespace too, as an ordinary user's lab is.
    Skips where this user may make neither kind of namespace.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        signal.alarm(_LIMIT_S)  # a child that hangs must not outlive the test
        answer = pickle.dumps(_child(work, user_namespace or os.geteuid() != 0))
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status or not data:
        pytest.fail(f"the child in the namespace died with status {status}")
    outcome, result = pickle.loads(data)
    if outcome == "cannot":
        pytest.skip(result)
    if outcome == "failed":
        pytest.fail(result, pytrace=False)
    value: T = result
    return value


def new_network() -> int:
    """Leave the present namespace for a new one; returns its descriptor."""
    libc.unshare(libc.CLONE_NEWNET)
    return here()


def here() -> int:
    """A descriptor of the present network namespace."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def run(*command: str) -> str:
    """Run a program in the present namespace; its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def show(*command: str) -> Any:
    """The JSON a program prints in the present namespace."""
    return json.loads(run(*command))
