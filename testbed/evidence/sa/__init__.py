"""IKE_SAs and CHILD_SAs as evidence: their history, a timeline, the RTX's log, a comparison.

:func:`sa_history` makes a history of the records of a lab; everything else is drawn from it.
:func:`sa_evidence` makes all of it at once for a scenario.
"""

from testbed.evidence.sa.comparison import (
    Compared,
    compare,
    comparison_json,
    comparison_markdown,
    comparison_table,
    sum_up,
)
from testbed.evidence.sa.expected import Expected, read_intervals
from testbed.evidence.sa.history import History, Rekey, Sa, View
from testbed.evidence.sa.items import sa_evidence
from testbed.evidence.sa.merging import sa_history
from testbed.evidence.sa.plain import history_json, history_table
from testbed.evidence.sa.rtx_log import lowest_free, rtx_log
from testbed.evidence.sa.rtx_reading import read_rtx_log, read_rtx_table
from testbed.evidence.sa.timeline import Mark, draw_timeline
from testbed.evidence.sa.traffic import Stream, streams_of

__all__ = [
    "Compared",
    "Expected",
    "History",
    "Mark",
    "Rekey",
    "Sa",
    "Stream",
    "View",
    "compare",
    "comparison_json",
    "comparison_markdown",
    "comparison_table",
    "draw_timeline",
    "history_json",
    "history_table",
    "lowest_free",
    "read_intervals",
    "read_rtx_log",
    "read_rtx_table",
    "rtx_log",
    "sa_evidence",
    "sa_history",
    "streams_of",
    "sum_up",
]
