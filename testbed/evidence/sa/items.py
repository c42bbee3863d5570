"""All evidence of SA rekeying for a scenario, in one call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from testbed.events import FaultApplied, Record
from testbed.evidence.report.data import DrawingEvidence, TableEvidence, TextEvidence
from testbed.evidence.sa.comparison import compare, comparison_table, sum_up
from testbed.evidence.sa.expected import Expected
from testbed.evidence.sa.merging import sa_history
from testbed.evidence.sa.plain import history_table
from testbed.evidence.sa.rtx_log import rtx_log
from testbed.evidence.sa.side_by_side import side_by_side
from testbed.evidence.sa.timeline import Mark, draw_timeline
from testbed.evidence.sa.traffic import streams_of


def sa_evidence(
    records: Iterable[Record],
    *,
    title: str,
    subtitle: str = "",
    router: str | None = None,
    tunnel: int = 1,
    expected: Sequence[Expected] = (),
    seed_log: str = "",
) -> tuple[DrawingEvidence | TextEvidence | TableEvidence, ...]:
    """The timeline, the comparison with what was ``expected``, the SAs, and the router's log.

    ``router`` is the node whose log is written in the RTX's form, ``tunnel`` the number of its
    tunnel interface; None leaves the log out.  With ``seed_log``, a real router's log, the two
    stand side by side.  In a scenario::

        evidence.add(*sa_evidence(lab.events(), title="Experiment A", router="rtx", tunnel=100,
                                  expected=read_intervals(table, "A")))
    """
    every = list(records)
    history = sa_history(every)
    svg = draw_timeline(
        history,
        streams_of(every),
        title=title,
        subtitle=subtitle,
        seen_from=router,
        marks=faults(every),
    )
    items: list[DrawingEvidence | TextEvidence | TableEvidence] = [DrawingEvidence(title, svg)]
    if expected:
        compared = compare(history, expected)
        items.append(comparison_table(f"Against the seed: {sum_up(compared)}", compared))
    items.append(history_table("SAs", history))
    differences = list(history.disagreements())
    if differences:
        items.append(TextEvidence("Where the two ends differ", "\n".join(differences)))
    if router is not None:
        log = rtx_log(history, router, tunnel=tunnel)
        if seed_log:
            title = "The log of seed 004 and ours, in the RTX's form"
            items.append(side_by_side(title, seed_log.splitlines(), log))
        items.append(TextEvidence(f"As {router} would log it (YAMAHA RTX)", "\n".join(log)))
    return tuple(items)


def faults(records: Iterable[Record]) -> tuple[Mark, ...]:
    """The faults among the records, as marks for the timeline."""
    return tuple(
        Mark(record.time_ns, f"{record.event.fault} {record.event.target}")
        for record in records
        if isinstance(record.event, FaultApplied)
    )
