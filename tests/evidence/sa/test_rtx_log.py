"""The RTX's log: against the three logs of seed 004, and the rule of its numbers."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import TestbedError
from testbed.evidence.sa import History, read_rtx_log, read_rtx_table, rtx_log, sa_history
from testbed.evidence.sa.history import Sort
from testbed.evidence.sa.rtx_log import lowest_free
from testbed.evidence.sa.side_by_side import side_by_side
from tests.evidence.sa.synthetic import LOCAL, PEER, A, C, Life, records_of, truths

# When the SAs of seed 004's three logs came and went, and the router's numbers of them.
DATA = Path(__file__).parents[3] / "topologies" / "azure_rekey"
TABLE = (DATA / "seed004_sas.csv").read_text(encoding="utf-8")
LOGS = ("A", "B", "C")


def _seed(log: str) -> str:
    """The table of a log in the RTX's form."""
    records, numbers = read_rtx_table(TABLE, log)
    return "\n".join(rtx_log(sa_history(records), "rtx", tunnel=100, numbers=numbers))


def _history(log: str) -> History:
    return sa_history(read_rtx_log(_seed(log)))


def _lines(text: str) -> list[str]:
    return text.splitlines()


@pytest.mark.parametrize("log", LOGS)
def test_every_moment_in_the_table_is_a_line_of_each_half(log: str) -> None:
    """Written from the table by other means: nothing is added, left out or moved."""
    words = {"assigned": "temporarily assigned", "established": "established"}
    expected = []
    for row in csv.DictReader(TABLE.splitlines()):
        halves = ["IKE"] if row["sa"] == "IKE" else ["CHLD_SEND", "CHLD_RECV"]
        numbers = [row["send"], row["receive"]]
        for column in ("assigned", "established", "deleted"):
            if row["log"] == log and row[column]:
                stamp, what = row[column].replace("-", "/"), words.get(column, column)
                expected += [
                    f"{stamp}: [IKE2] SA:{number}/{half} {what}"
                    for number, half in zip(numbers, halves, strict=False)
                ]
    lines = _lines(_seed(log))
    assert sorted(line for line in lines if "SA:" in line) == sorted(expected)
    assert [line[19:] for line in lines if "SA:" not in line] == [": IP Tunnel[100] Up"]
    stamps = [line[:19] for line in lines]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("log,sa\nA,IKE\n", "no column 'send'"),
        (TABLE.splitlines()[0], "nothing of log 'A'"),
        (TABLE.replace("2017-07-15 17:56:04", "at noon"), "cannot be read"),
        (TABLE.replace("A,IKE,15", "A,IKE,xv"), "cannot be read"),
        (TABLE.replace("A,IKE,15", "A,IPSEC,15"), "'IPSEC' is no sort of SA"),
    ],
)
def test_a_table_that_is_none(table: str, what: str) -> None:
    with pytest.raises(TestbedError, match=what):
        read_rtx_table(table, "A")


def _numbers(text: str) -> dict[tuple[Sort, int], tuple[int, ...]]:
    """The router's own numbers of the SAs in the order in which they were established."""
    numbers: dict[tuple[Sort, int], tuple[int, ...]] = {}
    found = re.findall(r"SA:(\d+)/(\w+) established", text)
    ike = [int(number) for number, half in found if half == "IKE"]
    send = [int(number) for number, half in found if half == "CHLD_SEND"]
    receive = [int(number) for number, half in found if half == "CHLD_RECV"]
    for index, number in enumerate(ike, start=1):
        numbers["IKE", index] = (number,)
    for index, pair in enumerate(zip(send, receive, strict=True), start=1):
        numbers["CHILD", index] = pair
    return numbers


@pytest.mark.parametrize("log", LOGS)
def test_a_log_read_and_written_again_is_the_same(log: str) -> None:
    text = _seed(log)
    written = rtx_log(_history(log), "rtx", tunnel=100, numbers=_numbers(text))
    assert list(written) == _lines(text)


@pytest.mark.parametrize("log", LOGS)
def test_with_our_numbers_everything_else_is_the_same(log: str) -> None:
    def bare(lines: list[str]) -> list[str]:
        return [re.sub(r"SA:\d+", "SA:n", line) for line in lines]

    written = list(rtx_log(_history(log), "rtx", tunnel=100))
    assert bare(written) == bare(_lines(_seed(log)))


@pytest.mark.parametrize("log", LOGS)
def test_the_intervals_are_those_worked_out_by_hand(log: str) -> None:
    """Against a table that was made of the same logs by other means."""
    with (DATA / "rekey_intervals.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["log"] == log]
    for sort in ("IKE", "CHILD"):
        sas = _history(log).of_sort("IKE" if sort == "IKE" else "CHILD")
        table = [row for row in rows if row["sa"] == sort]
        for sa, row in zip(sas, table, strict=True):
            for field, value in (
                ("rekey_s", sa.rekey_s),
                ("delete_s", sa.life_s),
                ("overlap_s", sa.kept_s),
            ):
                assert value == (float(row[field]) if row[field] else None), (sa.name, field)


@pytest.mark.parametrize("log", LOGS)
def test_the_seed_never_gives_a_number_that_is_in_use(log: str) -> None:
    _assert_numbers_are_free(_lines(_seed(log)))


def _assert_numbers_are_free(lines: list[str]) -> None:
    taken: set[str] = set()
    for line in lines:
        for number in re.findall(r"SA:(\d+)/\w+ temporarily assigned", line):
            assert number not in taken, line
            taken.add(number)
        for number in re.findall(r"SA:(\d+)/\w+ deleted", line):
            taken.remove(number)


def test_the_seeds_numbers_are_not_the_lowest_free_of_what_is_published() -> None:
    """What our reading leaves open, kept here so that nobody takes it for a fact."""
    differing = [log for log in LOGS if _numbers(_seed(log)) != lowest_free(_history(log), "rtx")]
    assert differing == ["A", "B", "C"]
    for log in LOGS:
        ours, seeds = lowest_free(_history(log), "rtx"), _numbers(_seed(log))
        assert all(min(seeds[key]) >= 1 for key in ours)
        assert [seeds[key] for key in (("IKE", 1), ("CHILD", 1))] == [(1,), (2, 3)]
        assert [ours[key] for key in (("IKE", 1), ("CHILD", 1))] == [(1,), (2, 3)]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([A, C]), st.integers(1, 60), st.integers(0, 2**16))
def test_our_numbers_are_free_and_the_lowest(lives: dict[str, Life], hours: int, seed: int) -> None:
    history = sa_history(records_of(truths(lives, hours, seed)))
    lines = list(rtx_log(history, LOCAL))
    _assert_numbers_are_free(lines)
    taken: set[int] = set()
    for line in lines:
        for text in re.findall(r"SA:(\d+)/\w+ temporarily assigned", line):
            assert int(text) == min(set(range(1, len(taken) + 2)) - taken)
            taken.add(int(text))
        taken -= {int(text) for text in re.findall(r"SA:(\d+)/\w+ deleted", line)}


def test_a_log_written_from_a_history_reads_as_that_history() -> None:
    history = sa_history(records_of(truths(A, 30)))
    again = sa_history(read_rtx_log("\n".join(rtx_log(history, LOCAL))))

    def facts(one: History) -> list[tuple[object, ...]]:
        times = [(sa.born_ns, sa.replaced_ns, sa.gone_ns) for sa in one.sas]
        seconds = [tuple(t and t // 10**9 for t in some) for some in times]
        return [(sa.sort, *some) for sa, some in zip(one.sas, seconds, strict=True)]

    assert facts(again) == facts(history)


def test_the_log_is_that_of_one_end() -> None:
    records = records_of(truths(A, 10))
    deleted = [line for line in rtx_log(sa_history(records), LOCAL) if "deleted" in line]
    assert [line[:19] for line in deleted] == ["2017/07/15 17:03:03"] * 2 + ["2017/07/15 17:56:04"]
    assert rtx_log(sa_history(records_of(truths(A, 10), [PEER])), LOCAL) == ()


def test_side_by_side_each_line_stands_by_its_like() -> None:
    theirs = _seed("A").splitlines()
    ours = rtx_log(sa_history(records_of(truths(A, 30))), LOCAL, tunnel=100)
    table = side_by_side("T", theirs, ours)
    assert [left for left, _ in table.rows if left != "–"] == _lines(_seed("A"))
    assert sorted(right for _, right in table.rows if right != "–") == sorted(ours)
    for left, right in table.rows:
        if "–" not in (left, right):
            assert re.sub(r"^.*?SA:\d+/|^.{19}", "", left) == re.sub(
                r"^.*?SA:\d+/|^.{19}", "", right
            )
    both = [row for row in table.rows if "–" not in row]
    assert len(both) == len(_lines(_seed("A")))  # 30 hours here cover the 24 there
    hours = [(left[11:13], right[11:13]) for left, right in both]
    assert sum(one == two for one, two in hours) >= len(both) - 2


def test_a_log_beside_itself_has_no_gaps() -> None:
    lines = _lines(_seed("B"))
    assert side_by_side("T", lines, lines).rows == tuple((line, line) for line in lines)
    assert side_by_side("T", [], lines).rows == tuple(("–", line) for line in lines)
    assert side_by_side("T", lines, []).rows == tuple((line, "–") for line in lines)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("2017/07/15 09:55:33: [IKE2] SA:1/IKE deleted", "SA:1 was not assigned before"),
        ("2017/07/15 09:55:33: [IKE2] SA:4/CHLD_SEND established", "SA:4 was not assigned"),
        ("2017/07/15 09:55:33: [IKE2] SA:1/IKE exploded", "not a line about an SA"),
    ],
)
def test_a_line_that_cannot_be_is_refused_with_its_number(line: str, what: str) -> None:
    text = f"2017/07/15 09:55:32: LAN1: link up\n:\n{line}\n"
    with pytest.raises(TestbedError, match=what) as caught:
        read_rtx_log(text)
    assert caught.value.where == "RTX log, line 3"
    assert caught.value.hint
