"""The report of a run: one HTML page for people, the same as JSON for programs."""

from testbed.evidence.report.data import (
    CaptureFile,
    DrawingEvidence,
    DropExample,
    DropGroup,
    Evidence,
    FileEvidence,
    GuestRun,
    LogFile,
    PacketsEvidence,
    ReportError,
    Run,
    RunReport,
    Scenario,
    TableEvidence,
    TextEvidence,
    TopologyView,
)
from testbed.evidence.report.drawing_files import name_drawings
from testbed.evidence.report.drops import group_drops
from testbed.evidence.report.html import render
from testbed.evidence.report.json_form import report_schema, to_json
from testbed.evidence.report.packets import PacketLine, last_packets
from testbed.evidence.report.timeline import merge_records, timeline, timeline_text
from testbed.evidence.report.write import write_report

__all__ = [
    "CaptureFile",
    "DrawingEvidence",
    "DropExample",
    "DropGroup",
    "Evidence",
    "FileEvidence",
    "GuestRun",
    "LogFile",
    "PacketLine",
    "PacketsEvidence",
    "ReportError",
    "Run",
    "RunReport",
    "Scenario",
    "TableEvidence",
    "TextEvidence",
    "TopologyView",
    "group_drops",
    "last_packets",
    "merge_records",
    "name_drawings",
    "render",
    "report_schema",
    "timeline",
    "timeline_text",
    "to_json",
    "write_report",
]
