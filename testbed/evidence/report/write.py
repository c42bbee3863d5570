"""Puts a report into its run's folder, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from testbed.evidence.report.data import ReportError, RunReport
from testbed.evidence.report.drawing_files import FOLDER, drawing_files
from testbed.evidence.report.html import render
from testbed.evidence.report.json_form import to_json
from testbed.evidence.report.redact import Redactor

HTML = "report.html"
JSON = "report.json"


def write_report(report: RunReport, folder: Path, redact: Iterable[str] = ()) -> Path:
    """Write ``report.html``, ``report.json`` and the drawings; returns the path of the first.

    ``redact`` are secrets that must appear in none of them.

    Raises:
        ReportError: a file cannot be written, or a drawing is not a plain picture.
    """
    secrets = tuple(redact)
    page = render(report, secrets)
    redactor = Redactor(secrets)
    data = to_json(redactor.apply(report))
    for path, svg in drawing_files(redactor.apply(report), redactor):
        _write(folder / path, svg)
    _write(folder / JSON, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    _write(folder / HTML, page)
    return folder / HTML


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    try:
        if path.parent.name == FOLDER:
            path.parent.mkdir(exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ReportError(
            f"the report cannot be written: {error.strerror or error}",
            where=str(path),
            hint="make room or permission there and run again; captures and logs are kept",
        ) from error
