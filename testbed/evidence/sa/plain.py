"""A history of SAs as plain JSON data, and as a table with a row for each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from testbed.events import IkeSpis
from testbed.evidence.report.data import TableEvidence
from testbed.evidence.sa.history import History, Sa, Spis
from testbed.evidence.sa_words import WHY, interval

COLUMNS = ("SA", "SPIs", "Established", "by", "Rekeyed after", "by", "Gone after", "by", "Why")


def history_json(history: History) -> dict[str, Any]:
    """The history as plain data; what was not told is left out.

    Times are nanoseconds since the epoch, durations seconds; ``views`` is what each end told.
    """
    return {
        "v": 1,
        "start_ns": history.start_ns,
        "end_ns": history.end_ns,
        "ends": list(history.ends),
        "sas": [_sa(sa) for sa in history.sas],
        "disagreements": list(history.disagreements()),
    }


def _sa(sa: Sa) -> dict[str, Any]:
    data: dict[str, Any] = {
        "sa": sa.sort,
        "number": sa.number,
        "born_ns": sa.born_ns,
        "born_by": sa.born_by,
        "exchange": sa.exchange,
        "replaced_ns": sa.replaced_ns,
        "replaced_by": sa.replaced_by,
        "rekey_s": sa.rekey_s,
        "gone_ns": sa.gone_ns,
        "gone_by": sa.gone_by,
        "why": sa.why,
        "life_s": sa.life_s,
        "predecessor": sa.predecessor,
        "successor": sa.successor,
        "rekeys": [
            _known({"time_ns": one.time_ns, "by": one.by, "failed": one.failed})
            for one in sa.rekeys
        ],
        "views": [
            _known(
                {
                    "node": view.node,
                    "peer": view.peer,
                    "spis": _spis(view.spis),
                    "born_ns": view.born_ns,
                    "replaced_ns": view.replaced_ns,
                    "gone_ns": view.gone_ns,
                    "rekey_s": view.rekey_s,
                    "life_s": view.life_s,
                }
            )
            for view in sa.views
        ],
    }
    return _known(data)


def _known(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def _spis(spis: Spis) -> dict[str, str]:
    if isinstance(spis, IkeSpis):
        return {"initiator": spis.initiator, "responder": spis.responder}
    return {"inbound": spis.inbound, "outbound": spis.outbound}


def history_table(title: str, history: History) -> TableEvidence:
    """Every SA in a row."""
    return TableEvidence(title, COLUMNS, tuple(_row(sa) for sa in history.sas))


def _row(sa: Sa) -> tuple[str, ...]:
    return (
        sa.name,
        str(sa.spis),
        "not told" if sa.born_ns is None else _clock(sa.born_ns),
        sa.born_by or "not told",
        "–" if sa.rekey_s is None else interval(sa.rekey_s),
        "–" if sa.replaced_ns is None else sa.replaced_by or "not told",
        "–" if sa.life_s is None else interval(sa.life_s),
        "–" if sa.gone_ns is None else sa.gone_by or "not told",
        "" if sa.why is None else WHY[sa.why],
    )


def _clock(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
