"""A real router's log beside ours, each line next to the one that tells the same of the same SA."""

from __future__ import annotations

import re
from collections.abc import Iterable

from testbed.evidence.report.data import TableEvidence

_SA = re.compile(r"SA:(\d+)/(IKE|CHLD_SEND|CHLD_RECV) (.*)")
_STAMP = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d: ")
Key = tuple[str, int, str]
"""What a line tells: of which half, of its how many-th SA, what."""


def side_by_side(title: str, theirs: Iterable[str], ours: Iterable[str]) -> TableEvidence:
    """Two logs as a table: the rows are in the order of ``theirs``, then what only ``ours`` has.

    Lines belong together when they tell the same of the n-th IKE_SA, sending or receiving SA;
    numbers and times may differ.  Lines that stand for others left out (``:``) are passed over.
    """
    one, two = _keyed(theirs), _keyed(ours)
    rows = [(line, two.pop(key, "–")) for key, line in one.items()]
    rows += [("–", line) for line in two.values()]
    return TableEvidence(title, ("Seed 004", "Here"), tuple(rows))


def _keyed(lines: Iterable[str]) -> dict[Key, str]:
    """Every line by what it tells."""
    nth: dict[tuple[str, str], int] = {}
    count: dict[str, int] = {}
    keyed: dict[Key, str] = {}
    for line in lines:
        stamp = _STAMP.match(line)
        if stamp is None:
            continue
        told = _SA.search(line)
        if told is None:
            words = line[stamp.end() :]
            count[words] = count.get(words, 0) + 1
            keyed[words, count[words], ""] = line
            continue
        number, half, what = told.groups()
        if what == "temporarily assigned":
            count[half] = count.get(half, 0) + 1
            nth[half, number] = count[half]
        keyed[half, nth.get((half, number), 0), what] = line
    return keyed
