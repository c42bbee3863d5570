"""Event by event: what was expected of the SAs, what happened, and how far apart the two are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from testbed.evidence.report.data import TableEvidence
from testbed.evidence.sa.expected import Expected
from testbed.evidence.sa.history import History, Sa
from testbed.evidence.sa_words import interval

MET_S = 2.0
CLOSE_S = 90.0
"""The real ends differ from their own rule by up to 31 s later and 71 s earlier (seed 004)."""
KEPT_S = 60.0
"""A replaced SA that lives longer than this was kept, not merely being deleted."""

Verdict = Literal["met", "close", "off", "other end", "missing", "not reached"]
_TONES: Mapping[Verdict, str] = {
    "met": "good",
    "close": "good",
    "off": "warn",
    "other end": "bad",
    "missing": "bad",
    "not reached": "plain",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """An expectation and what came of it.

    ``offset_s`` is how much later than expected it happened, in the SA's own age.  The verdict is
    ``met`` within :data:`MET_S` and ``close`` within :data:`CLOSE_S`, ``off`` beyond; ``other end``
    when the wrong end did it; ``missing`` when it should have happened before the record ended and
    did not, ``not reached`` when the record ended before.  ``needs_keeper`` marks what only a
    daemon can meet that keeps SAs it has replaced.
    """

    expected: Expected
    observed_s: float | None
    by: str | None
    offset_s: float | None
    verdict: Verdict
    note: str = ""
    needs_keeper: bool = False


def compare(
    history: History,
    expected: Iterable[Expected],
    nodes: Mapping[str, str] | None = None,
    *,
    met_s: float = MET_S,
    close_s: float = CLOSE_S,
) -> tuple[Compared, ...]:
    """Compare a history with what was expected, in the order of the expectations.

    ``nodes`` says which node plays ``rtx`` and which ``azure``, if they have other names.
    """
    sas = {
        (sort, nth): sa
        for sort in ("IKE", "CHILD")
        for nth, sa in enumerate((one for one in history.of_sort(sort) if _counts(one)), start=1)
    }
    return tuple(
        _compared(history, sas.get((one.sort, one.nth)), one, nodes or {}, met_s, close_s)
        for one in expected
    )


def _counts(sa: Sa) -> bool:
    """Not an SA that only lost a rekey collision: it was never in anybody's plan."""
    return sa.why != "redundant"


def _compared(
    history: History,
    sa: Sa | None,
    expected: Expected,
    nodes: Mapping[str, str],
    met_s: float,
    close_s: float,
) -> Compared:
    is_rekey = expected.what == "rekey"
    age = by = None
    if sa is not None:
        age, by = (sa.rekey_s, sa.replaced_by) if is_rekey else (sa.life_s, sa.gone_by)
    if age is None:
        return _nothing(history, sa, expected)
    offset = age - expected.after_s
    notes = list(_notes(sa, expected, by, nodes))
    needs_keeper = _needs_keeper(sa, expected)
    verdict: Verdict = "off"
    if expected.by is not None and by is not None and by != nodes.get(expected.by, expected.by):
        verdict = "other end"
    elif abs(offset) <= close_s:
        verdict = "met" if abs(offset) <= met_s else "close"
    return Compared(expected, age, by, offset, verdict, "; ".join(notes), needs_keeper)


def _nothing(history: History, sa: Sa | None, expected: Expected) -> Compared:
    """What is not in the record: too late for it, or missing."""
    lasted = None if sa is None or sa.born_ns is None else (history.end_ns - sa.born_ns) / 1e9
    if sa is None:
        note = f"no {expected.sort}_SA {expected.nth} was made"
    elif lasted is None:
        note = "when it was established was not told"
    elif lasted < expected.after_s:
        note = f"the record ends at its age of {interval(lasted)}"
        return Compared(expected, None, None, None, "not reached", note)
    else:
        note = "it did not happen"
    return Compared(expected, None, None, None, "missing", note)


def _needs_keeper(sa: Sa | None, expected: Expected) -> bool:
    if sa is None or sa.kept_s is None or expected.kept_s is None:
        return False
    return expected.kept_s > KEPT_S >= sa.kept_s


def _notes(
    sa: Sa | None, expected: Expected, by: str | None, nodes: Mapping[str, str]
) -> Iterator[str]:
    if expected.by is None:
        yield "the seed does not tell by whom"
    elif by is None:
        yield "here nothing told by whom"
    elif by != nodes.get(expected.by, expected.by):
        yield f"in the seed {nodes.get(expected.by, expected.by)} did it"
    if sa is not None and _needs_keeper(sa, expected):
        yield (
            f"deleted {interval(sa.kept_s or 0.0)} after its rekey, in the seed after "
            f"{interval(expected.kept_s or 0.0)}: needs a daemon that keeps replaced SAs"
        )


COLUMNS = ("SA", "Event", "Seed: after", "by", "Here: after", "by", "Offset", "Verdict", "Note")


def rows_of(compared: Iterable[Compared]) -> tuple[tuple[str, ...], ...]:
    """The comparison as rows of text under :data:`COLUMNS`."""
    return tuple(
        (
            f"{one.expected.sort}_SA {one.expected.nth}",
            one.expected.what,
            interval(one.expected.after_s),
            one.expected.by or "not told",
            "–" if one.observed_s is None else interval(one.observed_s),
            "–" if one.observed_s is None else one.by or "not told",
            "–" if one.offset_s is None else f"{one.offset_s:+,.1f} s".replace("-", "−"),
            one.verdict,
            one.note,
        )
        for one in compared
    )


def comparison_table(title: str, compared: Sequence[Compared]) -> TableEvidence:
    """The comparison for the report."""
    tones = tuple(_TONES[one.verdict] for one in compared)
    return TableEvidence(title, COLUMNS, rows_of(compared), tones)


def comparison_markdown(compared: Sequence[Compared]) -> str:
    """The comparison as a Markdown table."""
    table = [COLUMNS, tuple("---" for _ in COLUMNS), *rows_of(compared)]
    return "".join(f"| {' | '.join(_cell(cell) for cell in row)} |\n" for row in table)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def comparison_json(compared: Iterable[Compared]) -> list[dict[str, Any]]:
    """The comparison as plain data; what is not known is left out."""
    plain = []
    for one in compared:
        data = {
            "sa": one.expected.sort,
            "number": one.expected.nth,
            "event": one.expected.what,
            "expected_s": one.expected.after_s,
            "expected_by": one.expected.by,
            "observed_s": one.observed_s,
            "observed_by": one.by,
            "offset_s": one.offset_s,
            "verdict": one.verdict,
            "note": one.note or None,
            "needs_keeper": one.needs_keeper,
        }
        plain.append({key: value for key, value in data.items() if value is not None})
    return plain


def sum_up(compared: Sequence[Compared]) -> str:
    """``9 of 15 events as expected (8 met, 1 close); 6 off; 3 need a daemon that keeps ...``."""
    count = {verdict: sum(one.verdict == verdict for one in compared) for verdict in _TONES}
    good = count["met"] + count["close"]
    told = [
        f"{good} of {len(compared)} events as expected ({count['met']} met, {count['close']} close)"
    ]
    told += [f"{count[name]} {name}" for name in list(_TONES)[2:] if count[name]]
    keepers = sum(one.needs_keeper for one in compared)
    if keepers:
        told.append(f"{keepers} need a daemon that keeps replaced SAs")
    return "; ".join(told)
