"""``testbed shell``: a person's terminal joined to a shell in a node."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.cli.inside import shell_command
from testbed.lab import Lab
from tests.cli.conftest import Terminal, run
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_root

Open = Callable[..., Terminal]


def _prompt(pair_lab: Lab, node: str = "alice") -> str:
    return rf"{pair_lab.name}/{node}\S*:\S*# "


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
def test_a_session(pair_lab: Lab, terminal: Open, shell: str, tmp_path: Path) -> None:
    at = terminal("shell", pair_lab.name, "alice", SHELL=shell, HOME=str(tmp_path))
    at.expect(_prompt(pair_lab))
    at.type("echo on $(hostname), pid 1 is $(cat /proc/1/comm); test -t 0 && echo a terminal\n")
    at.expect("on alice, pid 1 is testbed-lab\r\n")
    at.expect("a terminal\r\n")
    at.expect(_prompt(pair_lab))
    # The word comes from the program in the foreground: before that, the shell would get the ^C.
    at.type("sh -c 'echo begun; exec sleep 98765'\n")
    at.expect("[\r\n]begun\r\n")
    at.type("\x03")
    at.expect(_prompt(pair_lab))  # the shell itself has survived the interrupt
    at.type("exit 5\n")
    assert at.wait() == 5
    assert at.restored
    assert list(tmp_path.iterdir()) == []  # no history file


def test_the_window_size_is_passed_on(pair_lab: Lab, terminal: Open) -> None:
    at = terminal("shell", pair_lab.name, "alice", SHELL="/bin/sh")
    at.expect(_prompt(pair_lab))
    at.type("stty size\n")
    at.expect("\r\n24 80\r\n")
    at.expect(_prompt(pair_lab))
    # Both the shell's question and the signal that a program on the terminal gets.
    at.type("sh -c 'trap \"stty size; exit\" WINCH; echo set; while :; do sleep 0.02; done'\n")
    at.expect("\r\nset\r\n")
    at.resize(50, 132)
    at.expect("50 132\r\n")
    at.expect(_prompt(pair_lab))
    at.type("exit\n")
    assert at.wait() == 0


def test_keys_arrive_as_they_are_pressed(pair_lab: Lab, terminal: Open) -> None:
    """Bytes that a terminal would act upon, and more than it can hold, reach the program."""
    at = terminal("shell", pair_lab.name, "alice", SHELL="/bin/sh")
    at.expect(_prompt(pair_lab))
    at.type("stty raw -echo; echo go; head -c 100000 | md5sum; stty sane\n")
    at.expect("\ngo")
    block = "".join(map(chr, range(128))) * 10
    text = (block * 100)[:100_000]
    view = text.encode()
    os.set_blocking(at.keys, True)
    while view:
        view = view[os.write(at.keys, view[:1024]) :]
    import hashlib

    at.expect(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())
    at.type("exit\n")
    assert at.wait() == 0


def test_a_request_to_end_restores_the_terminal(pair_lab: Lab, terminal: Open) -> None:
    at = terminal("shell", pair_lab.name, "alice", SHELL="/bin/bash")
    at.expect(_prompt(pair_lab))
    at.type("sleep 87654\n")
    at.expect("87654\r\n")
    assert not at.restored
    at.process.send_signal(signal.SIGTERM)
    assert at.wait() == 128 + signal.SIGTERM
    assert at.restored
    shells = ["sh", "-c", "ps -e -o args= | grep -- '[-]-noprofile'"]
    wait_until(lambda: not pair_lab.run("alice", shells).ok, "the shell to end")


def test_a_lab_that_goes_down_restores_the_terminal(own_lab: Lab, terminal: Open) -> None:
    at = terminal("shell", own_lab.name, "bob", SHELL="/bin/sh")
    at.expect(_prompt(own_lab, "bob"))
    own_lab.down()
    assert at.wait() == 1
    assert at.restored
    assert f"error: lab {own_lab.name!r} went down" in at.seen


def test_background_output_does_not_hold_the_shell_open(pair_lab: Lab, terminal: Open) -> None:
    at = terminal("shell", pair_lab.name, "alice", SHELL="/bin/bash")
    at.expect(_prompt(pair_lab))
    at.type("(trap '' HUP; exec yes) & exit 3\n")
    assert at.wait() == 3
    assert at.restored
    pair_lab.run("alice", ["pkill", "yes"])


def test_without_a_terminal_it_reads_a_script(pair_lab: Lab) -> None:
    done = run("shell", pair_lab.name, "bob", stdin="hostname\nexit 4\n")
    assert (done.returncode, done.stdout) == (4, "bob\n")


def test_an_unknown_node_leaves_the_terminal_alone(pair_lab: Lab, terminal: Open) -> None:
    at = terminal("shell", pair_lab.name, "carol")
    assert at.wait() == 1
    assert at.restored
    assert "error: no node named 'carol'" in at.seen


@pytest.mark.parametrize("shell", ["bash", "sh", "zsh", "fish", "mksh"])
def test_no_shell_reads_start_up_files_that_could_change_the_prompt(shell: str) -> None:
    words, variables = shell_command(f"/bin/{shell}", "lab", "node")
    assert words[0] == f"/bin/{shell}"
    assert variables["HISTFILE"] == ""
    own = {"bash": "--norc", "zsh": "-f", "fish": "--no-config"}
    assert own.get(shell, "-i") in words
    assert shell == "fish" or "lab/node" in variables["PS1"]


def test_dev_null_is_still_a_device() -> None:
    """A shell that saves its history may replace the file: it must never be a shared one."""
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116  # the device itself
