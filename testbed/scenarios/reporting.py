"""From a finished run of scenarios to its report."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import testbed
from testbed.components.mape.reasons import Reason
from testbed.components.napt.reasons import DropReason
from testbed.doctor.programs import find_programs
from testbed.errors import TestbedError
from testbed.events import CaptureStarted, CaptureStopped, Record
from testbed.evidence.graph import draw_svg
from testbed.evidence.report.data import (
    CaptureFile,
    Evidence,
    FileEvidence,
    GuestRun,
    LogFile,
    PacketsEvidence,
    Run,
    RunReport,
    Scenario,
    TopologyView,
)
from testbed.evidence.report.drawing_files import name_drawings
from testbed.evidence.report.drops import group_drops
from testbed.evidence.report.packets import last_packets
from testbed.evidence.report.redact import Redactor
from testbed.evidence.report.write import write_report
from testbed.lab import read_events
from testbed.replay.recipe import Recipe, parts
from testbed.scenarios import session
from testbed.scenarios.evidence import File
from testbed.scenarios.grounds import grounds
from testbed.scenarios.session import ReportedLab, ScenarioRun

_LAST_PACKETS = 30
_TERMINAL_PACKETS = 12


def write_run_report(run: ScenarioRun) -> Path:
    """Write ``report.html`` and ``report.json`` into the run's folder.

    Raises:
        TestbedError: they cannot be written.
    """
    return write_report(make_report(run), run.folder, run.secrets)


def redact_junit(path: Path, secrets: Iterable[str]) -> None:
    """Take secrets out of a ``junit.xml``, which pytest writes without knowing of them."""
    redactor = Redactor(secrets)
    tree = ElementTree.parse(path)
    for element in tree.iter():
        element.text = redactor.apply(element.text)
        element.tail = redactor.apply(element.tail)
        element.attrib.update(redactor.apply(dict(element.attrib)))
    tree.write(path, encoding="utf-8", xml_declaration=True)


def make_report(run: ScenarioRun) -> RunReport:
    """Gather what the report shows."""
    records = {lab.run_folder: _records(lab) for lab in run.labs}
    everything = sorted((one for some in records.values() for one in some), key=_time)
    report = RunReport(
        run=_run(run),
        scenarios=tuple(_scenario(run, one) for one in run.scenarios.values()),
        topologies=tuple(_view(run, lab, records[lab.run_folder]) for lab in run.labs),
        drops=group_drops(everything, meanings()),
        captures=tuple(_captures(run, records)),
        logs=tuple(_logs(run)),
        guests=tuple(_guests(run)),
        grounds=grounds(run.scenarios.values()),
    )
    return name_drawings(report)


def meanings() -> dict[str, str]:
    """What each drop reason of our components means."""
    known = {reason.value: reason.meaning for reason in DropReason}
    return known | {reason.value: reason.meaning for reason in Reason}


def _time(record: Record) -> int:
    return record.time_ns


def _records(lab: ReportedLab) -> tuple[Record, ...]:
    try:
        return tuple(read_events(lab.run_folder / "events.jsonl"))
    except OSError:
        return ()  # told in the lab's own status; the report shows what there is


def _run(run: ScenarioRun) -> Run:
    trouble = [f"{lab.name}: {text}" for lab in run.labs if (text := lab.trouble) is not None]
    seeds = {lab.topology.seed for lab in run.labs}
    return Run(
        id=run.folder.name,
        started_ns=int(run.started * 1e9),
        seconds=time.time() - run.started,
        command=run.command,
        host=platform.node(),
        kernel=f"{platform.release()} {platform.machine()}",
        python=platform.python_version(),
        testbed=testbed.__version__,
        seed=seeds.pop() if len(seeds) == 1 else None,
        revision=_revision(),
        tools=_tools(),
        notes=(*_limits(), *run.notes, *trouble),
    )


def _limits() -> Iterable[str]:
    if os.geteuid() != 0:
        yield "run as an ordinary user, in a user namespace"


@cache
def _revision() -> str | None:
    """The git revision of the checkout, if there is one and git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


@cache
def _tools() -> tuple[tuple[str, str], ...]:
    return tuple((one.name, one.detail) for one in find_programs() if one.present)


def _scenario(run: ScenarioRun, one: session.Scenario) -> Scenario:
    files = [FileEvidence("capture of the whole lab", _inside(run, path)) for path in one.captures]
    for lab in dict.fromkeys(one.labs):
        files.append(FileEvidence("events", _inside(run, lab.run_folder / "events.jsonl")))
    failed = one.outcome in ("failed", "error")
    return Scenario(
        id=one.identity,
        title=one.title,
        outcome=one.outcome,
        seconds=one.seconds,
        started_ns=one.started_ns,
        topology=", ".join(dict.fromkeys(lab.topology.name for lab in one.labs)),
        why=one.why,
        output=one.output if failed else "",
        evidence=tuple(_evidence(run, item) for item in one.evidence.items),
        last_packets=_last_packets(run, one) if failed else None,
        files=tuple(files),
        machine=one.machine,
        placed=one.placed,
    )


def _evidence(run: ScenarioRun, item: object) -> Evidence:
    if isinstance(item, File):
        return FileEvidence(item.title, _inside(run, item.path))
    return item  # type: ignore[return-value]  # the other items are the report's own


def failure_lines(run: ScenarioRun, identity: str) -> list[str]:
    """What a terminal shows of a failed scenario besides its traceback: packets and drops."""
    one = run.scenarios.get(identity)
    if one is None:
        return []
    lines = []
    packets = _last_packets(run, one)
    if packets is not None and packets.packets:
        lines.append(f"last packets ({run.folder / str(packets.path)}):")
        for packet in packets.packets[-_TERMINAL_PACKETS:]:
            since = (packet.time_ns - one.started_ns) / 1e9
            comments = "".join(f"  <- {comment}" for comment in packet.comments)
            lines.append(f"  {since:8.3f}  {packet.where:<16} {packet.summary}{comments}")
    for lab in dict.fromkeys(one.labs):
        records = [r for r in _records(lab) if one.started_ns <= r.time_ns <= one.judged_ns]
        for group in group_drops(records, meanings()):
            lines.append(
                f"dropped by {group.component}: {group.count} x {group.reason}: {group.meaning} "
                f"({group.clause})"
            )
    return lines


def _last_packets(run: ScenarioRun, one: session.Scenario) -> PacketsEvidence | None:
    for path in one.captures:
        try:
            packets = last_packets(path, one.judged_ns, _LAST_PACKETS, since_ns=one.started_ns)
        except (OSError, TestbedError):
            continue  # the capture's own trouble is among the scenario's evidence
        return PacketsEvidence("the last packets before it failed", packets, _inside(run, path))
    return None


def _view(run: ScenarioRun, lab: ReportedLab, records: tuple[Record, ...]) -> TopologyView:
    return TopologyView(
        name=lab.run_folder.name,
        title=lab.topology.title,
        svg=draw_svg(lab.topology),
        records=records,
        events=_inside(run, lab.run_folder / "events.jsonl"),
    )


def _captures(run: ScenarioRun, records: dict[Path, tuple[Record, ...]]) -> Iterable[CaptureFile]:
    for lab in run.labs:
        interfaces: dict[str, tuple[str, ...]] = {}
        for record in records[lab.run_folder]:
            event = record.event
            if isinstance(event, CaptureStarted):
                interfaces[event.file] = event.interfaces
            elif isinstance(event, CaptureStopped):
                path = lab.run_folder / "captures" / event.file
                if path.exists():
                    yield CaptureFile(
                        path=_inside(run, path),
                        interfaces=interfaces.get(event.file, ()),
                        packets=event.packets,
                        lost=event.lost,
                        size=path.stat().st_size,
                    )


def _logs(run: ScenarioRun) -> Iterable[LogFile]:
    for lab in run.labs:
        for path in sorted((lab.run_folder / "logs").glob("*.log")):
            if size := path.stat().st_size:
                title = f"{lab.run_folder.name}: {path.stem}"
                yield LogFile(path=_inside(run, path), title=title, size=size)


def _guests(run: ScenarioRun) -> Iterable[GuestRun]:
    for folder in parts(run.folder):
        recipe = Recipe.read(folder)
        yield GuestRun(
            path=_inside(run, folder),
            kernel=recipe.kernel,
            release=recipe.release,
            clock=recipe.clock,
            sources=recipe.sources,
            repeats=recipe.repeats,
            start=recipe.start,
            seed=recipe.seed,
            history=recipe.history,
        )


def _inside(run: ScenarioRun, path: Path) -> str:
    try:
        return path.relative_to(run.folder).as_posix()
    except ValueError:
        return path.as_posix()
