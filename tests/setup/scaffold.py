"""A machine made of scripts: the set-up runs on it, and every call it makes is written down.

The search path holds real tools for text and files, and stand-ins for whatever would change the
machine.  A stand-in keeps its state in files, so that a test can set the scene and look at the end.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

_REAL_TOOLS = """
    awk bash cat chmod cksum cp cut date dirname env find flock grep head ls mkdir mktemp mv
    paste printf pwd readlink rm sed sh sha256sum sleep sort tail touch tr true
"""

_DPKG_QUERY = """#!/bin/bash
case "$1" in
-L) cat "$STATE/files.${!#}" 2>/dev/null || exit 1 ;;
-W)
    if [ $# -eq 3 ]; then # the whole list
        while read -r package; do echo "installed $package"; done <"$STATE/installed"
    elif grep -qxF "$4" "$STATE/installed"; then
        printf installed
    elif grep -qxF "$4" "$STATE/removed" 2>/dev/null; then
        printf config-files
    else
        echo "dpkg-query: no packages found matching $4" >&2
        exit 1
    fi ;;
esac
"""

_APT_GET = """#!/bin/bash
echo "apt-get $*" >>"$STATE/calls"
for word in "$@"; do
    case $word in
    update) touch "$STATE/index"; exit 0 ;;
    install) seen=yes ;;
    -*|*=*) ;;
    *) [ -z "${seen:-}" ] || packages+=("$word") ;;
    esac
done
guard=absent
if [ -x "$GUARD" ] && ! "$GUARD"; then guard=present; fi
echo "$guard" >>"$STATE/guard"
if [ -e "$STATE/early" ]; then printf '%s\\n' "${packages[@]}" >>"$STATE/installed"; fi
if [ -e "$STATE/hang" ]; then
    touch "$STATE/hanging"
    while [ -e "$STATE/hang" ]; do sleep 0.02; done
fi
for package in "${packages[@]}"; do
    if grep -qxF "$package" "$STATE/unavailable" 2>/dev/null; then
        echo "E: Unable to locate package $package" >&2
        exit 100
    fi
done
printf '%s\\n' "${packages[@]}" >>"$STATE/installed"
"""

_APT_CACHE = """#!/bin/bash
echo "$2:"
if [ -e "$STATE/index" ]; then echo "  Candidate: 1.0"; else echo "  Candidate: (none)"; fi
"""

_ID = """#!/bin/bash
cat "$STATE/uid"
"""

_SUDO = """#!/bin/bash
echo "sudo $*" >>"$STATE/calls"
[ "$1" = -n ] || exit 1
[ "$(cat "$STATE/sudo")" = free ] || { echo 'sudo: a password is required' >&2; exit 1; }
shift
exec "$@"
"""

_SYSTEMCTL = """#!/bin/bash
case "$1" in
is-enabled) if grep -qxF "$2" "$STATE/enabled"; then echo enabled; else echo disabled; exit 1; fi ;;
--quiet) echo "systemctl disable $3" >>"$STATE/calls"; sed -i "/^$3\\$/d" "$STATE/enabled" ;;
esac
"""

_PYTHON = """#!/bin/bash
# A Python whose pip writes down what it is asked to install.
state=%s
case "$1" in
-c) case "$2" in *version_info*) echo "$0" ;; *) echo 3.11.0 ;; esac ;;
-VV) echo "Python 3.11.0 (pretended)" ;;
-m)
    case "$2" in
    venv)
        [ ! -e "$state/no-ensurepip" ] || [ "$3" = --without-pip ] || exit 1
        folder=${!#}
        mkdir -p "$folder/bin"
        cp "$0" "$folder/bin/python"
        echo "venv $folder" >>"$state/calls" ;;
    pip)
        if [ "${!#}" = --version ]; then [ ! -e "$state/no-ensurepip" ]; exit; fi
        echo "pip ${*:4}" >>"$state/calls"
        if [ -e "$state/hang" ]; then
            touch "$state/hanging"
            while [ -e "$state/hang" ]; do sleep 0.02; done
        fi
        if [ -e "$state/pip-fails" ]; then echo 'ERROR: no matching distribution'; exit 1; fi ;;
    esac ;;
esac
exit 0
"""


@dataclass
class Result:
    """What a script did."""

    status: int
    errors: str


class FakeMachine:
    """A project folder with the real set-up scripts, and a machine of stand-ins round it."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.state = folder / "state"
        self.tools = folder / "bin"
        self.guard = folder / "sbin" / "policy-rc.d"
        self.unit_links = folder / "units"
        for new in (self.project, self.state, self.tools, self.guard.parent, self.unit_links):
            new.mkdir(parents=True)
        shutil.copytree(REPOSITORY / "setup", self.project / "setup")
        for tool in _REAL_TOOLS.split():
            path = shutil.which(tool, path="/usr/bin:/bin")
            assert path is not None, tool
            (self.tools / tool).symlink_to(path)
        self.write("uid", "0")
        self.write("installed", "bash\n")
        self.write("enabled", "")
        self.write("index", "")
        self.lists("alpha  alpha  want  # makes sounds\n")
        for name, text in (
            ("dpkg-query", _DPKG_QUERY),
            ("apt-get", _APT_GET),
            ("apt-cache", _APT_CACHE),
            ("id", _ID),
            ("systemctl", _SYSTEMCTL),
        ):
            self.tool(name, text)
        self.python = folder / "python3"
        self.python.write_text(_PYTHON % self.state)
        self.python.chmod(0o755)
        (self.project / "pyproject.toml").write_text("[project]\n")
        (self.project / "requirements.lock").write_text("one==1.0 --hash=sha256:00\n")
        (self.project / ".setup").mkdir()

    def tool(self, name: str, text: str) -> None:
        """Put a stand-in into the search path."""
        path = self.tools / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def without(self, name: str) -> None:
        """Take a program off the machine."""
        (self.tools / name).unlink()

    def with_sudo(self, kind: str) -> None:
        """An ordinary user with a sudo that is ``free`` or wants a ``password``."""
        self.write("uid", "1000")
        self.write("sudo", kind)
        self.tool("sudo", _SUDO)

    def lists(self, text: str) -> None:
        """What the project wants from Debian."""
        (self.project / "setup" / "debian-packages.txt").write_text(text)

    def write(self, name: str, text: str) -> None:
        (self.state / name).write_text(text)

    def read(self, name: str) -> list[str]:
        path = self.state / name
        return path.read_text().splitlines() if path.exists() else []

    def calls(self, word: str) -> list[str]:
        """The recorded calls that begin with a word."""
        return [line for line in self.read("calls") if line.split()[0] == word]

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": str(self.tools),
            "HOME": str(self.project),
            "STATE": str(self.state),
            "GUARD": str(self.guard),
            "TESTBED_POLICY_RC_D": str(self.guard),
            "TESTBED_UNIT_LINKS": str(self.unit_links),
            "TESTBED_PYTHON": str(self.python),
            **more,
        }

    def start(self, *command: str, **more: str) -> subprocess.Popen[str]:
        """Start a script as the head of a process group, as a terminal does."""
        return subprocess.Popen(
            command,
            cwd=self.project,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, **more: str) -> Result:
        """Run a script to its end."""
        process = self.start(*command, **more)
        _, errors = process.communicate(timeout=60)
        return Result(process.returncode, errors)

    def interrupt(self, number: signal.Signals, *command: str) -> Result:
        """Run a script whose installer hangs, and send a signal to the group once it does."""
        self.write("hang", "")
        process = self.start(*command)
        await_that((self.state / "hanging").exists)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
        (self.state / "hang").unlink()
        (self.state / "hanging").unlink()
        return Result(process.returncode, errors)


def await_that(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it did not come to hold.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not happen")
        time.sleep(0.02)
