"""What programs wait for, as seen from outside; on this kernel, with real programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from testbed.guest.interactive import tracer
from testbed.guest.interactive.waiting import Wait, Watch
from tests.cli.conftest import Terminal
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as the agent is in a guest")


def python(program: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(program)]


USER = {
    "cat": ["cat"],
    "a shell that reads": ["sh", "-c", "read word"],
    "select": python("import select, sys; select.select([sys.stdin], [], [])"),
    "poll": python("import select; p = select.poll(); p.register(0, 1); p.poll()"),
    "epoll": python("import select; p = select.epoll(); p.register(0, 1); p.poll()"),
}
PERHAPS = {
    "poll of two": python("""
        import os, select
        p = select.poll()
        p.register(0, 1)
        p.register(os.pipe()[0], 1)
        p.poll()
    """),
    "select of two": python("import os, select; select.select([0, os.pipe()[0]], [], [])"),
    "epoll of two": python("""
        import os, select
        p = select.epoll()
        p.register(0, 1)
        p.register(os.pipe()[0], 1)
        p.poll()
    """),
}
OTHER = {
    "sleep": ["sleep", "1000"],
    "a timed poll": python("import select; p = select.poll(); p.register(0, 1); p.poll(10**8)"),
    "a timed select": python("import select; select.select([0], [], [], 1000)"),
    "another pipe": python("import os; os.read(os.pipe()[0], 1)"),
    "only others": python("import os, select; select.select([os.pipe()[0]], [], [])"),
}
CASES = [
    pytest.param(words, wait, id=name)
    for group, wait in ((USER, Wait.USER), (PERHAPS, Wait.PERHAPS), (OTHER, Wait.OTHER))
    for name, words in group.items()
]


@contextmanager
def on_pipe(words: list[str]) -> Iterator[Watch]:
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        try:
            wait_until(lambda: sleeps(process.pid), "the program to wait")
            assert process.stdin is not None
            yield Watch(os.fstat(process.stdin.fileno()))
        finally:
            process.kill()


@contextmanager
def on_terminal(words: list[str]) -> Iterator[Watch]:
    screen = Terminal(words)
    try:
        wait_until(lambda: sleeps(screen.process.pid), "the program to wait")
        yield Watch(os.fstat(screen.screen_side))
    finally:
        screen.close()


def sleeps(pid: int) -> bool:
    """Has it slept for a while, so that it is where it is to be?"""

    def switches() -> str:
        with open(f"/proc/{pid}/status") as status:  # noqa: PTH123
            return "".join(line for line in status if "State" in line or "ctxt" in line)

    before = switches()
    time.sleep(0.15)
    return "S (sleeping)" in before and switches() == before


@pytest.mark.parametrize("place", [on_pipe, on_terminal], ids=["pipe", "terminal"])
@pytest.mark.parametrize(("words", "wait"), CASES)
def test_what_programs_wait_for(
    words: list[str], wait: Wait, place: Callable[[list[str]], object]
) -> None:
    with place(words) as watch:  # type: ignore[attr-defined]
        assert watch.look() is wait
        wait_until(lambda: watch.look() is wait, "it to be back where it was")


def test_a_signal_that_comes_while_one_looks_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes when the tracer has the program already, and would be the tracer's to give."""
    program = python("""
        import signal, sys
        signal.signal(signal.SIGUSR1, lambda *_: sys.exit(5))
        print("ready", flush=True)
        signal.pause()
    """)
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        wait_until(lambda: sleeps(process.pid), "the program to wait")
        ptrace = tracer._libc.ptrace

        def seize_and_signal(request: int, pid: int, *rest: object) -> int:
            result = int(ptrace(request, pid, *rest))
            if request == tracer._SEIZE:
                process.send_signal(signal.SIGUSR1)
                wait_until(lambda: state(pid) == "t", "the signal to stop it")
            return result

        with monkeypatch.context() as patch:
            patch.setattr(tracer._libc, "ptrace", seize_and_signal)
            assert tracer.call_of(process.pid) is None
        assert process.wait(30) == 5


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
        return stat.read().rpartition(")")[2].split()[0]


def test_a_wait_goes_on_with_what_was_left_of_its_time() -> None:
    began = time.monotonic()
    with subprocess.Popen(["sleep", "1"]) as process:
        while process.poll() is None:
            tracer.call_of(process.pid)
    assert process.returncode == 0
    assert time.monotonic() - began >= 1
