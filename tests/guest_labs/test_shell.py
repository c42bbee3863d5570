"""A shell in a guest on a terminal; time waits for keys, whatever program waits for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from testbed.lab import Lab
from tests.cli.conftest import Terminal
from tests.guest_labs.conftest import clock_of

PROMPT = r"/alice\S*# $"
HOUR_NS = 3600 * 10**9


@pytest.fixture
def shell(held: Lab, terminal: Callable[..., Terminal]) -> Terminal:
    screen = terminal("shell", held.name, "alice", SHELL="/bin/bash")
    screen.expect(PROMPT)
    return screen


def test_time_waits_at_the_prompt_and_passes_for_commands(held: Lab, shell: Terminal) -> None:
    before = clock_of(held)["now_ns"]
    shell.type("sleep 7200; tty\r")
    assert "/dev/pts/" in shell.expect(PROMPT)
    between = clock_of(held)["now_ns"]
    assert 2 * HOUR_NS <= between - before < 2 * HOUR_NS + 10**9
    for _ in range(5):
        shell.type("\r")
        shell.expect(PROMPT)
    assert clock_of(held)["now_ns"] - between < 10**9
    shell.type("exit 5\r")
    assert shell.wait() == 5
    assert shell.restored


@pytest.mark.parametrize(
    ("program", "shows", "end"),
    [
        ("cat", "", "\x04"),
        ("head -c 1 < /dev/tty", "", "x\r"),
        ("python3 -q", ">>> ", "\x04"),
        ("seq 500 | bash -c 'read -rsn1 -p \"$((6*7))?\" < /dev/tty'", r"42\?", "q"),
    ],
)
def test_time_waits_for_programs_that_wait_for_keys(
    held: Lab, shell: Terminal, program: str, shows: str, end: str
) -> None:
    before = clock_of(held)["now_ns"]
    shell.type(f"{program}\r")
    shell.expect(shows)
    clock_of(held)
    shell.type(end)
    shell.expect(PROMPT)
    # An idle guest whose time is not held gets through hours while these commands run here.
    assert clock_of(held)["now_ns"] - before < 60 * 10**9
    shell.type("exit\r")
    shell.wait()


def test_ctrl_c_and_the_size_of_the_window(shell: Terminal) -> None:
    # The word comes from the program in the foreground: before that, the shell would get the ^C.
    shell.type("sh -c 'echo begun; exec sleep infinity'\r")
    shell.expect("[\r\n]begun\r\n")
    shell.type("\x03")
    shell.expect(PROMPT)
    shell.resize(40, 100)
    for _ in range(100):  # the news of the window takes its own way
        shell.type("stty size\r")
        if "40 100" in shell.expect(PROMPT):
            break
    else:
        pytest.fail("the terminal in the guest kept its size")
    shell.type("exit\r")
    shell.wait()


def test_exec_on_a_terminal_gives_the_command_one(
    held: Lab, terminal: Callable[..., Terminal]
) -> None:
    script = "test -t 0 && test -t 1 && stty size && read word && echo got $word"
    screen = terminal("exec", held.name, "alice", "--", "sh", "-c", script)
    screen.expect("24 80")
    screen.type("key\r")
    screen.expect("got key")
    assert screen.wait() == 0
    assert screen.restored
