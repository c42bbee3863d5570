"""Keeping results: a whole run replaces everything, a run of some benchmarks replaces theirs; pure.

Benchmarks that are run only when asked for keep their place through whole runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_HEAD = "\n## "


def replace_sections(old: str, new: Mapping[str, str]) -> str:
    """The report with some sections new, by title, each with its heading; others at the end."""
    head, *parts = old.split(_HEAD)
    found = {part.partition("\n")[0]: part for part in parts}
    found |= {title: text.removeprefix("## ").rstrip("\n") + "\n" for title, text in new.items()}
    return (
        head.rstrip("\n")
        + "\n"
        + "".join(_HEAD + text.rstrip("\n") + "\n" for text in found.values())
    )


def sections_of(report: str, titles: Iterable[str]) -> dict[str, str]:
    """Those of a report's sections that it has, as they stand there."""
    _, *parts = report.split(_HEAD)
    wanted = set(titles)
    return {title: "## " + part for part in parts if (title := part.partition("\n")[0]) in wanted}


def replace_data(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The results with those of some benchmarks new."""
    return {**old, "benchmarks": {**old.get("benchmarks", {}), **new}}
