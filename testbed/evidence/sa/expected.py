"""What a real router and a real gateway did: the intervals in the logs of seed 004.

The logs (a YAMAHA RTX against an Azure VPN gateway, July 2017) tell when, never by whom.  Who it
was is concluded from the times:

* logs A and B: every rekey comes at 75 % of the RTX's lifetime and some seconds, so the RTX starts
  it; a replaced CHILD_SA goes at exactly 95 % of Azure's lifetime, so Azure deletes it; a replaced
  IKE_SA goes 28,831 s after its birth, and as both ends have 28,800 s nobody can tell whose clock
  that is;
* log C: every rekey comes at about 95 % of Azure's lifetime, so Azure starts it; the old SA goes in
  the same second, deleted by whoever started the rekey, as RFC 7296 section 2.8 has it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from testbed.errors import TestbedError
from testbed.evidence.sa.history import Sort

RTX = "rtx"
AZURE = "azure"
What = Literal["rekey", "delete"]

_BY: Mapping[tuple[str, Sort, What], str | None] = {
    ("A", "IKE", "rekey"): RTX,
    ("A", "IKE", "delete"): None,
    ("A", "CHILD", "rekey"): RTX,
    ("A", "CHILD", "delete"): AZURE,
    ("B", "IKE", "rekey"): RTX,
    ("B", "IKE", "delete"): None,
    ("B", "CHILD", "rekey"): RTX,
    ("B", "CHILD", "delete"): AZURE,
    ("C", "IKE", "rekey"): AZURE,
    ("C", "IKE", "delete"): AZURE,
    ("C", "CHILD", "rekey"): AZURE,
    ("C", "CHILD", "delete"): AZURE,
}
_COLUMNS = ("log", "sa", "rekey_s", "delete_s", "overlap_s")


@dataclass(frozen=True, slots=True)
class Expected:
    """That the ``nth`` SA of its sort is rekeyed or deleted ``after_s`` seconds after its birth.

    ``by`` is ``rtx``, ``azure`` or None if nobody can tell.  ``kept_s`` is how long an SA that is
    deleted had lived on after its rekey.
    """

    sort: Sort
    nth: int
    what: What
    after_s: float
    by: str | None = None
    kept_s: float | None = None


def read_intervals(text: str, log: str) -> tuple[Expected, ...]:
    """The expectations of one log from a table of intervals (CSV).

    Its columns ``log``, ``sa`` (``IKE``, ``CHILD``), ``rekey_s``, ``delete_s`` and ``overlap_s``
    are used; an empty field means that the log had ended before.  Rows are in the order of birth.

    Raises:
        TestbedError: a column is missing, a field is not a number, or the log is not in the table.
    """
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise TestbedError(
            f"the table of intervals has no column {missing[0]!r}",
            hint=f"it needs the columns {', '.join(_COLUMNS)}",
        )
    expected: list[Expected] = []
    count: dict[Sort, int] = {"IKE": 0, "CHILD": 0}
    known: set[str] = set()
    for row in reader:
        known.add(row["log"])
        if row["log"] != log:
            continue
        where = f"table of intervals, line {reader.line_num}"
        sort: Sort = "IKE" if row["sa"] == "IKE" else "CHILD"
        if row["sa"] not in count:
            raise TestbedError(f"{row['sa']!r} is no sort of SA", where=where, hint="IKE or CHILD")
        count[sort] += 1
        rekey, delete, kept = (_number(row[name], where) for name in _COLUMNS[2:])
        if rekey is not None:
            by = _BY.get((log, sort, "rekey"))
            expected.append(Expected(sort, count[sort], "rekey", rekey, by))
        if delete is not None:
            by = _BY.get((log, sort, "delete"))
            expected.append(Expected(sort, count[sort], "delete", delete, by, kept))
    if not expected:
        raise TestbedError(
            f"the table of intervals has nothing of log {log!r}",
            hint=f"it has the logs {', '.join(sorted(known)) or 'none'}",
        )
    return tuple(expected)


def _number(field: str, where: str) -> float | None:
    if not field:
        return None
    try:
        return float(field)
    except ValueError:
        raise TestbedError(f"{field!r} is no number of seconds", where=where) from None
