"""Expected against observed, event by event."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.evidence.report import RunReport, name_drawings, write_report
from testbed.evidence.report.data import DrawingEvidence, TableEvidence, TextEvidence
from testbed.evidence.sa import (
    compare,
    comparison_json,
    comparison_markdown,
    comparison_table,
    history_json,
    read_intervals,
    read_rtx_table,
    sa_evidence,
    sa_history,
    sum_up,
)
from testbed.evidence.sa.comparison import COLUMNS
from testbed.evidence.sa.expected import Expected
from testbed.scenarios.evidence import Evidence
from tests.evidence.reports import example
from tests.evidence.sa.synthetic import LOCAL, PEER, A, C, Life, day, records_of, truths

DATA = Path(__file__).parents[3] / "topologies" / "azure_rekey"
TABLE = (DATA / "rekey_intervals.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(("log", "count"), [("A", 15), ("B", 12), ("C", 12)])
def test_the_seeds_own_logs_meet_their_table_to_the_second(log: str, count: int) -> None:
    """Log and table agree; by whom the log does not tell, so nothing is held against it."""
    records, _ = read_rtx_table((DATA / "seed004_sas.csv").read_text(encoding="utf-8"), log)
    compared = compare(sa_history(records), read_intervals(TABLE, log))
    assert len(compared) == count
    assert {(one.verdict, one.offset_s) for one in compared} == {("met", 0.0)}
    assert sum_up(compared) == f"{count} of {count} events as expected ({count} met, 0 close)"


def test_a_day_as_in_the_seed_is_close() -> None:
    compared = compare(sa_history(day(A, 30)), read_intervals(TABLE, "A"))
    assert {one.verdict for one in compared} <= {"met", "close"}
    assert all(abs(one.offset_s or 0) < 30 for one in compared)
    unknown = [one for one in compared if one.expected.by is None]
    assert [one.note for one in unknown] == ["the seed does not tell by whom"] * 3


def test_a_daemon_that_deletes_at_once_is_seen_to() -> None:
    lives = {sort: replace(life, delete_s=None, deleted_by=None) for sort, life in A.items()}
    compared = compare(sa_history(day(lives, 30)), read_intervals(TABLE, "A"))
    deletes = [one for one in compared if one.expected.what == "delete"]
    assert len(deletes) == 7
    assert all(one.needs_keeper for one in deletes)
    assert all("needs a daemon that keeps replaced SAs" in one.note for one in deletes)
    # The wrong end, where the seed shows which it was; merely off where nobody can tell.
    assert {(one.expected.sort, one.verdict) for one in deletes} == {
        ("CHILD", "other end"),
        ("IKE", "off"),
    }
    assert not any(one.needs_keeper for one in compared if one.expected.what == "rekey")
    assert "; 7 need a daemon that keeps replaced SAs" in sum_up(compared)


def test_the_wrong_end_late_missing_and_not_reached() -> None:
    history = sa_history(day(A, 10))
    expected = [
        Expected("CHILD", 1, "rekey", 20_276, PEER),
        Expected("CHILD", 1, "delete", 20_000, PEER),
        Expected("CHILD", 2, "rekey", 20_276, LOCAL),
        Expected("CHILD", 2, "rekey", 600, LOCAL),
        Expected("CHILD", 3, "rekey", 20_276, LOCAL),
        Expected("IKE", 1, "rekey", 21_600, LOCAL),
    ]
    compared = compare(history, expected)
    assert [one.verdict for one in compared] == [
        *("other end", "off", "not reached", "missing", "missing", "close")
    ]
    notes = [one.note for one in compared]
    assert notes[0] == "in the seed azure did it"
    assert notes[2].startswith("the record ends at its age of ")
    assert notes[3:5] == ["it did not happen", "no CHILD_SA 3 was made"]
    assert comparison_table("t", compared).tones == (
        *("bad", "warn", "plain", "bad", "bad", "good"),
    )


def test_nodes_of_other_names_play_the_parts() -> None:
    expected = read_intervals(TABLE, "C")
    parts = {"rtx": PEER, "azure": LOCAL}
    swapped = {sort: replace(life, by=LOCAL) for sort, life in C.items()}
    compared = compare(sa_history(day(swapped, 30)), expected, parts)
    assert {one.verdict for one in compared} <= {"met", "close"}
    assert {one.verdict for one in compare(sa_history(day(swapped, 30)), expected)} == {"other end"}


def test_the_limits_of_the_verdicts() -> None:
    life = {"CHILD": Life(100, LOCAL), "IKE": Life(10**6, LOCAL)}
    history = sa_history(records_of(truths(life, 0.05)))

    def verdict(after: float) -> str:
        (one,) = compare(history, [Expected("CHILD", 1, "rekey", after)], met_s=2, close_s=10)
        return one.verdict

    assert [verdict(s) for s in (98, 102, 97.9, 102.1, 90, 110, 89.9, 110.1)] == [
        *("met", "met", "close", "close", "close", "close", "off", "off")
    ]


def test_as_table_markdown_and_json() -> None:
    compared = compare(sa_history(day(A, 24)), read_intervals(TABLE, "A"))
    table = comparison_table("T", compared)
    assert table.columns == COLUMNS
    assert table.rows[0][:4] == ("CHILD_SA 1", "rekey", "5 h 37 min 56 s", "rtx")
    assert re.fullmatch(r"[+−]\d+\.\d s", table.rows[0][6])
    lines = comparison_markdown(compared).splitlines()
    assert len(lines) == len(compared) + 2
    assert len({line.count("|") for line in lines}) == 1
    plain = comparison_json(compared)
    assert [(one["sa"], one["number"], one["event"]) for one in plain] == [
        (one.expected.sort, one.expected.nth, one.expected.what) for one in compared
    ]
    assert all(
        one["offset_s"] == pytest.approx(one["observed_s"] - one["expected_s"])
        for one in plain
        if "offset_s" in one
    )


@pytest.mark.parametrize(
    ("text", "log", "what"),
    [
        ("log,sa,rekey_s\n", "A", "no column 'delete_s'"),
        ("", "A", "no column 'log'"),
        (TABLE, "D", "nothing of log 'D'"),
        ("log,sa,rekey_s,delete_s,overlap_s\nA,ESP,1,2,3\n", "A", "'ESP' is no sort of SA"),
        ("log,sa,rekey_s,delete_s,overlap_s\nA,IKE,x,2,3\n", "A", "'x' is no number"),
    ],
)
def test_a_bad_table_is_refused(text: str, log: str, what: str) -> None:
    with pytest.raises(TestbedError, match=what):
        read_intervals(text, log)


def test_a_scenario_attaches_all_of_it(tmp_path: Path) -> None:
    evidence = Evidence()
    expected = read_intervals(TABLE, "A")
    records = day(A, 24, [300.0])
    evidence.add(*sa_evidence(records, title="Day A", router=LOCAL, tunnel=100, expected=expected))
    kinds = [type(item) for item in evidence.items]
    assert kinds == [DrawingEvidence, TableEvidence, TableEvidence, TextEvidence]
    items = tuple(item for item in evidence.items if not isinstance(item, Path))
    scenario = replace(example().scenarios[0], evidence=items)  # type: ignore[arg-type]  # no File
    report = name_drawings(RunReport(example().run, (scenario,)))
    page = write_report(report, tmp_path).read_text(encoding="utf-8")
    svg = (tmp_path / "drawings" / "01-day-a.svg").read_text(encoding="utf-8")
    assert svg in page
    assert "1,439 of 1,440 answered" in svg
    assert "Against the seed: 13 of 15 events as expected" in page
    assert "IP Tunnel[100] Up" in page


def test_the_history_as_json_is_plain_and_whole() -> None:
    history = sa_history(day(A, 24))
    plain = history_json(history)
    assert [(one["sa"], one["number"]) for one in plain["sas"]] == [
        (sa.sort, sa.number) for sa in history.sas
    ]
    first = plain["sas"][0]
    assert first["born_by"] == LOCAL
    assert [view["node"] for view in first["views"]] == [LOCAL, PEER]
    assert "gone_ns" not in plain["sas"][-1]
