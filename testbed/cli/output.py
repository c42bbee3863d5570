"""How results, notes and errors are printed: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer

from testbed.errors import TestbedError

if TYPE_CHECKING:
    from rich.status import Status

DEBUG = "TESTBED_DEBUG"
"""The variable that has errors print a Python traceback as well."""

INTERRUPTED = 130
"""The exit code after Ctrl-C (128 + SIGINT), as shells have it."""

_GAP = "  "
_WIPE = "\r\x1b[2K"
_STYLES = re.compile(r"\x1b\[[0-9;]*m")


def _colour() -> bool | None:
    """False switches colours off (https://no-color.org); None leaves it to where it goes."""
    return False if os.environ.get("NO_COLOR") else None


def say(text: str = "") -> None:
    """Print a result."""
    typer.echo(text, color=_colour())


def tell(text: str) -> None:
    """Print a note for the person at the terminal, on stderr."""
    typer.echo(text, err=True, color=_colour())


def say_json(value: Any) -> None:
    """Print a value as indented JSON."""
    say(json.dumps(value, ensure_ascii=False, indent=2))


def bold(text: str) -> str:
    """The text in bold where it is seen on a terminal."""
    return typer.style(text, bold=True)


def faint(text: str) -> str:
    """The text in a fainter colour where it is seen on a terminal."""
    return typer.style(text, dim=True)


def good(text: str) -> str:
    """The text in green where it is seen on a terminal."""
    return typer.style(text, fg="green")


def bad(text: str) -> str:
    """The text in red where it is seen on a terminal."""
    return typer.style(text, fg="red")


def report(error: TestbedError) -> None:
    """Print an error: what, where, and what to do."""
    tell(f"{typer.style('error:', fg='red', bold=True)} {error.what}")
    if error.where is not None:
        tell(f"{typer.style('where:', bold=True)} {error.where}")
    if error.hint:
        tell(f"{typer.style(' hint:', bold=True)} {error.hint}")


def debugging() -> bool:
    """Does the user want tracebacks?"""
    return os.environ.get(DEBUG, "") not in ("", "0")


def table(header: Sequence[str], rows: Iterable[Sequence[object]], indent: str = "") -> str:
    """Columns under a header, as wide as what they hold; the last is never padded."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    columns = list(zip(*cells, strict=True))
    widths = [max(width(cell) for cell in column) for column in columns]
    lines = []
    for number, row in enumerate(cells):
        padded = [cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True)]
        line = indent + _GAP.join(padded).rstrip()
        lines.append(line if number else bold(line))
    return "\n".join(lines)


def facts(pairs: Iterable[tuple[str, object]], indent: str = "  ") -> str:
    """Lines of a name and a value, the values below each other."""
    listed = [(name, str(value)) for name, value in pairs]
    size = max((width(name) for name, _ in listed), default=0)
    return "\n".join(
        f"{indent}{faint(name)}{' ' * (size - width(name))}{_GAP}{value}" for name, value in listed
    )


def width(text: str) -> int:
    """How many columns of a terminal the text takes (East Asian wide characters take two)."""
    plain = _STYLES.sub("", text)
    if plain.isascii():
        return len(plain)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in plain
    )


def count(number: int, noun: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """``0.84 s``, ``12 s``, ``3 min 5 s``, ``2 h 7 min``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


class Progress:
    """Shows what is being done: one changing line on a terminal, plain lines elsewhere.

    A ``moving`` line has a thread.  So it begins with the first call only, when a lab that is
    coming up has been forked off already; where processes are forked later, it must stand still.
    """

    def __init__(self, head: str, *, moving: bool = True) -> None:
        self._head, self._moving = head, moving
        self._status: Status | None = None
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._shown:
            typer.echo(_WIPE, err=True, nl=False)

    def __call__(self, text: str) -> None:
        """Say what is being done now."""
        line = f"{self._head}: {text}"
        if not sys.stderr.isatty():
            tell(line)
        elif self._moving:
            self._move(line)
        else:
            columns = shutil.get_terminal_size().columns
            typer.echo(f"{_WIPE}{line[: columns - 1]}", err=True, nl=False)
            self._shown = True

    def _move(self, line: str) -> None:
        from rich.console import Console
        from rich.text import Text

        if self._status is None:
            self._status = Console(stderr=True).status(Text(line))
            self._status.start()
        else:
            self._status.update(Text(line))
