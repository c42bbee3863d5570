"""setup/docker-engine.sh on a machine of stand-ins: what it starts, and what it does not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.setup.scaffold import FakeMachine, Result, await_that

_TOOLS = "kill pwd rmdir setsid stat tac tee xargs"

# An engine that answers a ping at its socket until it is told to end.
_DOCKERD = """#!%(python)s
import os, signal, socket, sys
if "--version" in sys.argv:
    print("Docker version 20.10.24")
    sys.exit()
options = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
with open(os.environ["STATE"] + "/engines", "a") as file:
    print(*sys.argv[1:], file=file)
if os.path.exists(os.environ["STATE"] + "/broken"):
    sys.exit("failed to start daemon: no luck today")
with open(options["pidfile"], "w") as file:
    file.write(str(os.getpid()))
def end(*_):
    os.unlink(options["pidfile"])
    sys.exit()
signal.signal(signal.SIGTERM, end)
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(options["host"].removeprefix("unix://"))
    listener.listen()
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nOK")
"""

# No namespace of its own: the stand-in needs no right, and nothing is to be found by it.
_UNSHARE = """#!/bin/bash
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""

_READLINK = """#!/bin/bash
[ "$1" = /proc/self/ns/mnt ] || exec /usr/bin/readlink "$@"
echo "mnt:[none of this machine]"
"""


@dataclass
class Machine:
    """A machine without an engine, whose Docker is a stand-in."""

    fake: FakeMachine
    run: Path

    def engine(self, word: str, **more: str) -> Result:
        return self.fake.run("bash", "setup/docker-engine.sh", word, **self.variables(), **more)

    def variables(self) -> dict[str, str]:
        return {
            "TESTBED_DOCKER_RUN": str(self.run),
            "TESTBED_DOCKER_SOCKET": str(self.run.parent / "none.sock"),
            "TESTBED_DOCKER_CGROUP": f"testbed-test-none-{os.getpid()}",
            "XDG_CACHE_HOME": str(self.run.parent / "cache"),
        }

    @property
    def started(self) -> list[str]:
        return self.fake.read("engines")

    @property
    def pid(self) -> int:
        return int((self.run / "dockerd.pid").read_text())


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    fake = FakeMachine(tmp_path)
    for tool in _TOOLS.split():
        (tmp_path / "bin" / tool).unlink(missing_ok=True)
        for folder in ("/usr/bin", "/bin"):
            if Path(folder, tool).exists():
                (tmp_path / "bin" / tool).symlink_to(Path(folder, tool))
                break
    fake.tool("python3", f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    fake.tool("dockerd", _DOCKERD % {"python": sys.executable})
    fake.tool("unshare", _UNSHARE)
    fake.tool("readlink", _READLINK)
    (fake.project / "setup" / "setup.sh").write_text(
        '#!/bin/bash\necho "setup $*" >>"$STATE/calls"\n'
    )
    one = Machine(fake, tmp_path / "run")
    yield one
    one.engine("stop")


def test_without_the_switch_nothing_is_installed_and_nothing_started(machine: Machine) -> None:
    result = machine.engine("ensure")
    assert result.status == 3
    assert "TESTBED_DOCKER=start" in result.errors
    assert machine.fake.read("calls") == []
    assert machine.started == []
    assert not machine.run.exists()


def test_an_engine_that_is_named_is_used_even_with_the_switch(machine: Machine) -> None:
    named = {"DOCKER_HOST": "tcp://192.0.2.1:2375", "TESTBED_DOCKER": "start"}
    result = machine.engine("ensure", **named)
    assert result.status == 0
    assert "tcp://192.0.2.1:2375" in result.errors
    assert machine.started == []


def test_with_the_switch_an_engine_is_installed_and_started_once(machine: Machine) -> None:
    assert machine.engine("ensure", TESTBED_DOCKER="start").status == 0
    assert machine.fake.calls("setup") == ["setup docker"]
    (words,) = machine.started
    for untouched in ("bridge=none", "iptables=false", "ip-forward=false", "userland-proxy=false"):
        assert f"--{untouched}" in words.split()
    again = machine.engine("start")
    assert again.status == 0
    assert "runs already" in again.errors
    assert machine.engine("ensure").status == 0
    assert len(machine.started) == 1


def test_two_starts_at_once_make_one_engine(machine: Machine) -> None:
    command = ("bash", "setup/docker-engine.sh", "start")
    both = [machine.fake.start(*command, **machine.variables()) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(machine.started) == 1
    assert sorted("runs already" in text for text in said) == [False, True]


def test_stop_ends_it_and_leaves_no_file(machine: Machine) -> None:
    machine.engine("start")
    pid = machine.pid
    assert machine.engine("status").status == 0
    assert machine.engine("stop").status == 0
    await_that(lambda: not Path(f"/proc/{pid}/ns/net").is_symlink())
    assert not machine.run.exists()
    assert machine.engine("status").status == 3
    assert machine.engine("stop").status == 0, "there is nothing left to do"


def test_an_engine_that_dies_is_told_with_the_end_of_its_log(machine: Machine) -> None:
    machine.fake.write("broken", "")
    result = machine.engine("start")
    assert result.status == 1
    assert "failed to start daemon: no luck today" in result.errors
    assert "ended before it answered" in result.errors
    assert not machine.run.exists()


def test_one_that_was_killed_is_told_of_and_started_anew(machine: Machine) -> None:
    machine.engine("start")
    os.kill(machine.pid, 9)
    pid = machine.pid
    await_that(lambda: not Path(f"/proc/{pid}/ns/net").is_symlink())
    assert machine.engine("status").status == 3
    assert machine.engine("start").status == 0
    assert machine.pid != pid
    assert len(machine.started) == 2


def test_an_ordinary_user_is_told_what_to_do(machine: Machine) -> None:
    machine.fake.write("uid", "1000")
    result = machine.engine("start")
    assert result.status == 1
    assert "DOCKER_HOST" in result.errors
    assert machine.started == []
