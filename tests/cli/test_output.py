"""How results and progress look."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.cli import output
from testbed.cli.output import Progress, duration, table, width
from tests.cli.conftest import Terminal, plain

_PROGRAM = """
import sys
from testbed.cli.output import Progress
with Progress("up") as progress:
    progress("first [thing]")
    sys.stdin.readline()
    progress("second")
    sys.stdin.readline()
print("done")
"""


def test_a_table_is_as_wide_as_what_it_holds() -> None:
    shown = table(("A", "LONG", "LAST"), [("x", 1, "one"), ("yyyy", 22, ""), ("日本", 3, "three")])
    lines = [plain(line) for line in shown.splitlines()]
    assert lines == [
        "A     LONG  LAST",
        "x     1     one",
        "yyyy  22",
        "日本  3     three",
    ]


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=5))
def test_columns_begin_below_each_other(rows: list[tuple[str, str]]) -> None:
    printable = [(a, b) for a, b in rows if a.isprintable() and b.isprintable() and b.strip()]
    shown = [plain(line) for line in table(("AAA", "B"), printable).split("\n")]
    starts = max([3, *(width(a) for a, _ in printable)]) + 2
    for line, (_, second) in zip(shown[1:], printable, strict=True):
        assert width(line) == starts + width(second.rstrip())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.004, "0.00 s"), (9.99, "9.99 s"), (59, "59 s"), (60, "1 min 0 s"), (3600, "1 h 0 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert output._colour() is False
    monkeypatch.setenv("NO_COLOR", "")
    assert output._colour() is None


def test_progress_is_plain_lines_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("up") as progress:
        progress("one [thing]")
        progress("another")
    assert capsys.readouterr() == ("", "up: one [thing]\nup: another\n")


@pytest.fixture
def at_terminal() -> Iterator[Terminal]:
    at = Terminal([sys.executable, "-c", _PROGRAM])
    yield at
    at.close()


def test_progress_is_one_changing_line_on_a_terminal(at_terminal: Terminal) -> None:
    at_terminal.expect(r"up: first \[thing\]")
    at_terminal.type("\n")
    at_terminal.expect(r"\r.*up: second")
    at_terminal.type("\n")
    rest = at_terminal.expect("done\r\n")
    assert "\x1b[2K" in rest  # the line is wiped before the result is printed
    assert "\x1b[?25h" in rest  # and the cursor is shown again
    assert at_terminal.wait() == 0
    assert at_terminal.restored
