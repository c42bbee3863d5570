"""What a benchmark hands back, and how it reads as Markdown and as JSON; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.figures import Ratio, Sample, digits


@dataclass(frozen=True)
class Target:
    """A figure that was promised: what, as measured, and whether it was met."""

    what: str
    measured: str
    met: bool


@dataclass(frozen=True)
class Section:
    """One benchmark's result.

    ``table`` has the column heads first; ``data`` is everything measured, by name; ``skipped`` says
    what was not measured and why.
    """

    title: str
    about: str
    table: tuple[tuple[str, ...], ...] = ()
    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)


def with_spread(sample: Sample) -> str:
    """The median, and the smallest and largest value."""
    if len(sample.values) == 1:
        return digits(sample.median)
    return f"{digits(sample.median)} ({digits(sample.low)}-{digits(sample.high)})"


def times(ratio: Ratio) -> str:
    """A ratio, and the smallest and largest of one round."""
    return f"{digits(ratio.value)} ({digits(ratio.low)}-{digits(ratio.high)})"


def sample_json(sample: Sample) -> dict[str, Any]:
    """A sample as plain data."""
    return {"median": sample.median, "low": sample.low, "high": sample.high, "all": sample.values}


def ratio_json(ratio: Ratio) -> dict[str, float]:
    """A ratio as plain data."""
    return {"median": ratio.value, "low": ratio.low, "high": ratio.high}


def section_json(section: Section) -> dict[str, Any]:
    """A section as plain data."""
    return {
        "title": section.title,
        "targets": [
            {"what": target.what, "measured": target.measured, "met": target.met}
            for target in section.targets
        ],
        "skipped": list(section.skipped),
        **section.data,
    }


def markdown(title: str, head: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole report."""
    return "\n\n".join([f"# {title}", *head, *(section_markdown(one) for one in sections)]) + "\n"


def section_markdown(section: Section, *remarks: str) -> str:
    """One section of the report, with remarks below its heading."""
    parts = [f"## {section.title}", *remarks, section.about]
    if section.table:
        parts.append(_table(section.table))
    parts += [f"**Not measured:** {text}" for text in section.skipped]
    if section.targets:
        rows = [(target.what, target.measured, _verdict(target)) for target in section.targets]
        parts.append(_table([("target", "measured", ""), *rows]))
    return "\n\n".join([*parts, *section.notes])


def _verdict(target: Target) -> str:
    return "met" if target.met else "**missed**"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
