"""Labs that are up in guests, for tests that use them as people do."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from testbed.cli.main import main
from testbed.guest.errors import GuestKernelError
from testbed.guest.interactive.bring_up import up_in_guest
from testbed.guest.kernel_build import find_kernel
from testbed.guest.machine import Machine, VirtualClock
from testbed.lab import Lab
from testbed.model import Builder, Topology
from testbed.moments import parse_moment
from testbed.supervisor.channel import running_labs
from tests.cli.conftest import Terminal, command, unique
from tests.waiting import wait_until

START = "2017-07-16 00:00:00"
VIRTUAL = Machine(clock=VirtualClock(parse_moment(START, VirtualClock().start)), seed=1)


@pytest.fixture(scope="session", autouse=True)
def _kernel() -> None:
    """These tests boot the guest kernel."""
    try:
        found = find_kernel()
    except GuestKernelError as error:
        pytest.skip(f"no guest kernel: {error.what}")
    if found is None:
        pytest.skip("the guest kernel is not built: testbed kernel build")


def cable(name: str = "cable") -> Topology:
    """Two hosts on a cable, and nothing that would ever wake up by itself."""
    lab = Builder(name, "Two hosts on a cable")
    lab.host("alice")
    lab.host("bob")
    lab.link("cable", "alice:eth0 192.0.2.1/24", "bob:eth0 192.0.2.2/24")
    return lab.build()


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with a virtual clock for all tests of a file; time is held."""
    folder = tmp_path_factory.mktemp("held")
    with up_in_guest(cable(), VIRTUAL, name=unique("held"), run_folder=folder) as lab:
        yield lab


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Lab]:
    """A lab with a virtual clock for this test alone, which may end it in any way."""
    lab = up_in_guest(cable(), VIRTUAL, name=unique("own"), run_folder=tmp_path / "own")
    keeper = lab.pid
    try:
        yield lab
    finally:
        if lab.name in running_labs():
            os.kill(keeper, 15)
        wait_until(lambda: lab.name not in running_labs(), "the lab to end")


Ran = subprocess.CompletedProcess


def call(*words: object, stdin: str = "", timeout: float = 60.0) -> Ran[str]:
    """Run the command as a program to its end."""
    return subprocess.run(
        command(*words), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command says on stderr when it refuses; in this process."""

    def run(*words: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        assert end.value.code not in (0, None)
        return capsys.readouterr().err

    return run


def clock_of(lab: Lab) -> dict[str, Any]:
    """What ``testbed clock --json`` says."""
    ran = call("clock", lab.name, "--json")
    assert ran.returncode == 0, ran.stderr
    state = json.loads(ran.stdout)
    assert isinstance(state, dict)
    return state


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Start programs on terminals; they are ended with the test."""
    opened: list[Terminal] = []

    def begin(*words: object, **environment: str) -> Terminal:
        opened.append(Terminal(command(*words), environment))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def processes(of: Sequence[int]) -> list[int]:
    """Which of these processes live."""
    alive = []
    for pid in of:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            alive.append(pid)
    return alive


def children(pid: int) -> list[int]:
    """The children of a process."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in tasks.read_text().split()]
    return found


def parent(pid: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
