"""The drawings among the evidence as files of their own, to be put into a ticket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from testbed.evidence.report.data import DrawingEvidence, Evidence, ReportError, RunReport
from testbed.evidence.report.redact import Redactor

FOLDER = "drawings"


def name_drawings(report: RunReport) -> RunReport:
    """The same report, every drawing with a path in the run folder; no two alike."""
    number = 0

    def named(item: Evidence) -> Evidence:
        nonlocal number
        if not isinstance(item, DrawingEvidence) or item.path is not None:
            return item
        number += 1
        return replace(item, path=f"{FOLDER}/{number:02}-{_slug(item.title)}.svg")

    scenarios = (
        replace(scenario, evidence=tuple(named(item) for item in scenario.evidence))
        for scenario in report.scenarios
    )
    return replace(report, scenarios=tuple(scenarios))


def drawing_files(report: RunReport, redactor: Redactor) -> Iterator[tuple[str, str]]:
    """Path and content of every drawing that has a path, without secrets.

    Raises:
        ReportError: a path is not that of a file in the folder for drawings.
    """
    for scenario in report.scenarios:
        for item in scenario.evidence:
            if isinstance(item, DrawingEvidence) and item.path is not None:
                if not re.fullmatch(rf"{FOLDER}/[a-z0-9][a-z0-9-]*\.svg", item.path):
                    raise ReportError(
                        f"{item.path!r} is no place for a drawing",
                        where=f"{item.title} of {scenario.id}",
                        hint="leave the path out: one is given to it",
                    )
                yield item.path, redactor.svg(item.svg)


def _slug(title: str) -> str:
    return re.sub("[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-") or "drawing"
