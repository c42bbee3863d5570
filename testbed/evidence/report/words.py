"""How the report says numbers, times and places."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from testbed.evidence.report.data import ERROR, FAILED, PASSED, SKIPPED, RunReport

_NUMBER = re.compile(r"[+\-−]?\d[\d,]*(\.\d+)?( ?(s|ms|min|h|%|bytes))?")

OUTCOME_WORDS = {PASSED: "passed", FAILED: "failed", ERROR: "error", SKIPPED: "skipped"}


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """``1 packet``, ``2 packets``, ``1,234 packets``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def headline(report: RunReport) -> str:
    """The verdict in a sentence."""
    total = len(report.scenarios)
    failed, broken = report.count(FAILED), report.count(ERROR)
    if not total:
        return "No scenario was run"
    if failed or broken:
        parts = [f"{failed} failed"] if failed else []
        parts += [f"{broken} could not be judged"] if broken else []
        return f"{' and '.join(parts)} of {plural(total, 'scenario')}"
    if report.count(SKIPPED) == total:
        return f"All {plural(total, 'scenario')} skipped" if total > 1 else "1 scenario skipped"
    passed = report.count(PASSED)
    if passed == total:
        return f"All {plural(total, 'scenario')} passed" if total > 1 else "1 scenario passed"
    return f"{passed} of {plural(total, 'scenario')} passed, the others were skipped"


def moment(time_ns: int) -> str:
    """``2026-11-21 20:54:03 UTC``."""
    try:
        return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{time_ns} ns since the epoch"


def duration(seconds: float) -> str:
    """``0.24 s``, ``12.3 s``, ``3 min 4 s``, ``1 h 2 min``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def offset(time_ns: int, start_ns: int) -> str:
    """``+1.204312 s`` after a start, with a true minus sign before it."""
    seconds = (time_ns - start_ns) / 1e9
    return f"{'−' if seconds < 0 else '+'}{abs(seconds):.6f} s"


def size(count: int) -> str:
    """``512 bytes``, ``1.4 kB``, ``12 MB``."""
    value = float(count)
    if value < 1000:
        return plural(count, "byte")
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 1000 or unit == "TB":
            break
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


def link_target(path: str) -> str | None:
    """A path of the run folder as a link; None for one that would lead out of it.

    Everything but letters, digits and ``/ . _ - ~`` is escaped, and ``./`` stands in front, so that
    nothing in a path is read as a scheme, a host or a query.
    """
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or "\\" in path:
        return None
    return "./" + quote(path, safe="/", errors="replace")


def first_line(text: str) -> str:
    """The first line with something in it."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def excerpt(text: str, lines: int) -> tuple[str, int]:
    """The last lines of a text, and how many were left out before them."""
    every = text.rstrip("\n").split("\n")
    return "\n".join(every[-lines:]), max(len(every) - lines, 0)


def names(items: Iterable[str], limit: int = 4) -> str:
    """The first names, and how many more there are."""
    every = list(items)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more


def numeric(rows: Iterable[Sequence[str]]) -> frozenset[int]:
    """The columns of a table that hold numbers (with a unit, perhaps): they are set right."""
    good: set[int] = set()
    bad: set[int] = set()
    for row in rows:
        for column, cell in enumerate(row):
            if cell.strip("-–— "):
                (good if _NUMBER.fullmatch(cell) else bad).add(column)
    return frozenset(good - bad)
