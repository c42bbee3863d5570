"""report.json: of the published schema, and the same data as the page."""

from __future__ import annotations

import json

from hypothesis import given, settings
from jsonschema import Draft202012Validator

from testbed.evidence.report import RunReport, report_schema, to_json
from tests.evidence.reports import example, reports

SCHEMA = Draft202012Validator(report_schema())


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(report_schema())


@settings(max_examples=80, deadline=None)
@given(reports())
def test_every_report_is_of_the_schema_and_can_be_written(report: RunReport) -> None:
    text = json.dumps(to_json(report), ensure_ascii=False)
    data = json.loads(text.encode("utf-8"))
    SCHEMA.validate(data)
    assert len(data["scenarios"]) == len(report.scenarios)
    assert sum(data["counts"].values()) == len(report.scenarios)


def test_the_data_are_those_of_the_report() -> None:
    data = to_json(example())
    assert data["v"] == 1
    assert data["verdict"] == "failed"
    assert data["counts"] == {"failed": 1, "error": 1, "skipped": 1, "passed": 1}
    bad = data["scenarios"][1]
    assert bad["evidence"][1] == {
        "kind": "table",
        "title": "Ports",
        "columns": ["port", "PSID"],
        "rows": [["5232", "71"]],
    }
    assert bad["last_packets"]["packets"][0]["comments"] == ["no-port"]
    assert data["topologies"] == [
        {"name": "home", "title": "A home", "events": "labs/home/events.jsonl"}
    ]
    assert data["drops"][0]["places"] == [["ce, lan ingress", 7]]


def test_the_schema_refuses_what_is_wrong() -> None:
    for change in ({"v": 2}, {"verdict": "great"}, {"extra": 1}, {"scenarios": [{"id": "x"}]}):
        assert list(SCHEMA.iter_errors(to_json(example()) | change))
