"""A report in its folder: both files, whole or an error that says what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.evidence.report import (
    DrawingEvidence,
    ReportError,
    RunReport,
    name_drawings,
    render,
    to_json,
    write_report,
)
from testbed.evidence.report.words import duration, link_target, moment, numeric, size
from tests.evidence.reports import PICTURE, START, example


def test_both_files_are_written(tmp_path: Path) -> None:
    path = write_report(example(), tmp_path)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == render(example())
    assert json.loads((tmp_path / "report.json").read_text()) == to_json(example())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_a_second_report_replaces_the_first(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    write_report(example(), tmp_path)
    assert (tmp_path / "report.html").read_text() != "old"


def test_secrets_are_in_neither_file(tmp_path: Path) -> None:
    write_report(example(), tmp_path, redact=["AssertionError: 1 == 2"])
    for name in ("report.html", "report.json"):
        assert "1 == 2" not in (tmp_path / name).read_text()


@pytest.mark.parametrize("name", ["report.html", "report.json"])
def test_what_cannot_be_written_is_said_and_leaves_no_scraps(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "in the way").mkdir(parents=True)
    with pytest.raises(ReportError, match="cannot be written") as caught:
        write_report(example(), tmp_path)
    assert str(caught.value.where) == str(tmp_path / name)
    assert caught.value.hint
    assert not list(tmp_path.glob("*.part"))


def test_no_folder_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="No such file"):
        write_report(example(), tmp_path / "none")


def _with_drawing(title: str, path: str | None = None) -> RunReport:
    drawing = DrawingEvidence(title, PICTURE, path)
    one = replace(example().scenarios[0], evidence=(drawing, drawing))
    return replace(example(), scenarios=(one, one))


def test_drawings_are_files_of_their_own_without_secrets(tmp_path: Path) -> None:
    report = name_drawings(_with_drawing("SAs of ../the Branch & cloud"))
    html = write_report(report, tmp_path, redact=["a secret"]).read_text()
    names = [f"{number:02}-sas-of-the-branch-cloud.svg" for number in (1, 2, 3, 4)]
    assert sorted(file.name for file in (tmp_path / "drawings").iterdir()) == names
    svg = (tmp_path / "drawings" / names[0]).read_text()
    assert svg == PICTURE.replace("a secret", "[redacted]")
    assert svg in html
    assert f'href="./drawings/{names[0]}"' in html
    evidence = json.loads((tmp_path / "report.json").read_text())["scenarios"][0]["evidence"]
    assert [item["path"] for item in evidence] == [f"drawings/{name}" for name in names[:2]]


@pytest.mark.parametrize("path", ["../x.svg", "/x.svg", "drawings/../x.svg", "drawings/x", ""])
def test_a_drawing_is_written_nowhere_else(tmp_path: Path, path: str) -> None:
    with pytest.raises(ReportError, match="no place for a drawing"):
        write_report(_with_drawing("t", path), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_numbers_stand_right_and_words_left() -> None:
    rows = [("a", "1", "+12.5 s", "–", "3 h"), ("7", "2,000", "−1 s", "", "x"), ("b",)]
    assert numeric(rows) == {1, 2}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("labs/a b/x#1?.pcapng", "./labs/a%20b/x%231%3F.pcapng"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("/etc/passwd", None),
        ("//host/x", None),
        ("a/../../b", None),
        ("a\\b", None),
        ("", None),
    ],
)
def test_links_stay_in_the_run_folder(path: str, target: str | None) -> None:
    assert link_target(path) == target


def test_words_for_times_and_sizes() -> None:
    assert moment(START) == "2023-11-14 22:13:20 UTC"
    assert [duration(s) for s in (0.236, 12.34, 59.99, 184, 3720)] == [
        "0.24 s",
        "12.3 s",
        "60.0 s",
        "3 min 4 s",
        "1 h 2 min",
    ]
    assert [size(n) for n in (1, 999, 4096, 12_345_678, 5 * 10**15)] == [
        "1 byte",
        "999 bytes",
        "4.1 kB",
        "12.3 MB",
        "5000 TB",
    ]
