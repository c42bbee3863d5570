"""An experiment of seed 004: the same lifetimes for the same time, and what became of each SA."""

from __future__ import annotations

from pathlib import Path

from testbed.evidence.sa import (
    Compared,
    compare,
    read_intervals,
    read_rtx_table,
    rtx_log,
    sa_evidence,
    sa_history,
)
from testbed.evidence.sa.history import Sort
from testbed.peers.ike import IkePeer, Lifetime
from testbed.scenarios.evidence import Evidence
from topologies.azure_rekey.ends import AZURE_2017, Lifetimes, azure, rtx
from topologies.azure_rekey.intervals import Prediction, predict
from topologies.azure_rekey.run import BringUp, Outcome, require_sound, run
from topologies.azure_rekey.topology import topology

SLACK_S = 2.0
"""The kernel counts an SA's life in whole seconds, and a rekey takes its exchange."""

_MEASURED = Path(__file__).with_name("rekey_intervals.csv")
_SAS = Path(__file__).with_name("seed004_sas.csv")
_TUNNEL = 100


def experiment(
    log: str, lifetimes: Lifetimes, hours: float, fresh_lab: BringUp, evidence: Evidence
) -> tuple[Compared, ...]:
    """Run it, keep the evidence, require what every run must fulfil; the comparison with the log.

    ``lifetimes`` are the RTX's; Azure's are its defaults of 2017.
    """
    ends = rtx(lifetimes), azure(AZURE_2017)
    lab = fresh_lab(topology(*ends))
    outcome = run(lab, hours, evidence)
    expected = read_intervals(_MEASURED.read_text(encoding="utf-8"), log)
    evidence.add(
        *sa_evidence(
            lab.events(),
            title=f"Experiment {log}: RTX {lifetimes}, Azure {AZURE_2017}",
            router="rtx",
            tunnel=_TUNNEL,
            expected=expected,
            seed_log=_published(log),
        )
    )
    require_sound(outcome)
    require_predicted(outcome, *ends, hours)
    return compare(outcome.history, expected)


def require_predicted(outcome: Outcome, rtx_end: IkePeer, azure_end: IkePeer, hours: float) -> None:
    """Fail unless every rekey was started by the end, and at the age, that the formula says."""
    ends: tuple[tuple[Sort, Lifetime, Lifetime], ...] = (
        ("CHILD", rtx_end.children[0].lifetime, azure_end.children[0].lifetime),
        ("IKE", rtx_end.lifetime, azure_end.lifetime),
    )
    for sort, ours, theirs in ends:
        expected = predict(ours, theirs)
        rekeyed = [sa for sa in outcome.history.of_sort(sort) if sa.rekey_s is not None]
        assert len(rekeyed) in counts(expected, hours * 3600), (sort, expected)
        for sa in rekeyed:
            assert sa.replaced_by == expected.first, (sa.name, expected)
            assert sa.rekey_s is not None
            assert expected.agrees(sa.rekey_s, SLACK_S), (sa.name, expected)


def counts(expected: Prediction, seconds: float) -> range:
    """How many rekeys there can be in that time."""
    if expected.first == "nobody":
        return range(1)
    return range(int(seconds // expected.latest_s), int(seconds // expected.earliest_s) + 1)


def require_rekeys_met(compared: tuple[Compared, ...]) -> None:
    """Fail unless every rekey of the log came here, too: by the same end, as near as the model."""
    for one in compared:
        if one.expected.what == "rekey":
            assert one.verdict in {"met", "close"}, one


def _published(log: str) -> str:
    """What seed 004 tells of the SAs of a log, in the RTX's form."""
    records, numbers = read_rtx_table(_SAS.read_text(encoding="utf-8"), log)
    return "\n".join(rtx_log(sa_history(records), "rtx", tunnel=_TUNNEL, numbers=numbers))
