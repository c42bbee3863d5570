"""What Tab offers, asked in the way shells ask."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.cli.completion import joined_at_colons
from testbed.lab import Lab

_PROGRAM = Path(sys.executable).with_name("testbed")


@cache
def _script_for_bash() -> str:
    return subprocess.run(
        [_PROGRAM, "--show-completion", "bash"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def in_bash(*words: str) -> list[str]:
    """What bash would offer for the last of these words, by Typer's own script for it."""
    ask = f"""{_script_for_bash()}
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _testbed_completion "$1"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", ask, "bash", str(_PROGRAM), *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def in_fish_or_zsh(shell: str, line: str) -> str:
    """What the program answers to those shells for a line."""
    variables = {
        "_TESTBED_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        [_PROGRAM], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    return done.stdout


def test_commands_and_topologies() -> None:
    assert in_bash("sta") == ["status"]
    assert in_bash("up", "v6") == ["v6plus"]
    assert in_bash("mape", "calc", "--rules", "b") == ["biglobe"]
    assert in_bash("events", "x", "--kind", "dr") == ["drop"]
    assert in_bash("fault", "x", "re") == ["restore", "restart-service", "reboot"]


@pytest.mark.needs_root
def test_labs_nodes_interfaces_services(pair_lab: Lab) -> None:
    name = pair_lab.name
    assert in_bash("down", name[:-1]) == [name]
    assert in_bash("exec", name, "") == ["alice", "bob"]
    assert in_bash("shell", name, "b") == ["bob"]
    assert in_bash("logs", name, "bob/") == ["bob/talker"]
    assert in_bash("fault", name, "cut", "ca") == ["cable"]
    assert in_bash("fault", name, "kill-service", "") == ["bob/talker"]
    assert in_bash("fault", name, "reboot", "") == ["alice", "bob"]


@pytest.mark.needs_root
def test_interfaces_although_bash_splits_words_at_colons(pair_lab: Lab) -> None:
    name = pair_lab.name
    assert in_bash("capture", name, "al") == ["alice:eth0"]
    assert in_bash("capture", name, "alice", ":") == ["eth0"]
    assert in_bash("capture", name, "alice", ":", "et") == ["eth0"]
    assert in_bash("capture", name, "alice", ":", "eth0", "") == ["bob:eth0"]
    assert in_bash("fault", name, "cut", "bob", ":", "e") == ["eth0"]


@pytest.mark.needs_root
def test_interfaces_in_other_shells(pair_lab: Lab) -> None:
    line = f"testbed capture {pair_lab.name} al"
    assert in_fish_or_zsh("fish", line).split() == ["alice:eth0"]
    assert r'"alice\\:eth0"' in in_fish_or_zsh("zsh", line)


def test_nothing_is_offered_where_there_is_nothing_to_know() -> None:
    assert in_bash("exec", "no-such-lab", "") == []
    assert in_bash("capture", "no-such-lab", "") == []


@given(
    st.lists(st.text("ab:/", min_size=1, max_size=6), min_size=1, max_size=5).filter(
        lambda words: not words[0].startswith(":")
    ),
    st.data(),
)
def test_words_split_by_bash_are_put_together_again(words: list[str], data: st.DataObject) -> None:
    """A line of words, split as bash does at runs of colons, comes out as typed."""
    cursor = data.draw(st.integers(0, len(words) - 1))
    split: list[str] = ["testbed", "command"]
    at = 0
    for number, word in enumerate(words):
        pieces = _as_bash_splits(word)
        split += pieces
        if number == cursor:
            at = len(split) - 1
    joined, current = joined_at_colons("\n".join(split), at)
    before = joined[2 : current + 1]
    # Bash does not say where blanks were: `a: b` and `a:b` are the same to it.
    assert "".join(before) == "".join(words[: cursor + 1])
    assert joined[:2] == ["testbed", "command"]
    if not any(word.startswith(":") or word.endswith(":") for word in words[: cursor + 1]):
        assert before == words[: cursor + 1]


def _as_bash_splits(word: str) -> list[str]:
    import re

    return re.findall(":+|[^:]+", word)
