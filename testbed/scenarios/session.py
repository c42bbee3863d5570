"""One run of scenarios: what was run, in which labs, with which outcome and evidence."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import pytest

from testbed.errors import TestbedError
from testbed.events import Verdict
from testbed.evidence.report.redact import Redactor
from testbed.lab_capture import Capture
from testbed.lab_command import CommandResult
from testbed.model.topology import NETNS, Topology
from testbed.replay.recipe import repeating_parts
from testbed.runs import new_run_folder
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab

INTERRUPTED = "it was interrupted"


def secrets_of(topology: Topology) -> set[str]:
    """What must never appear in the run folder: the secrets of all services."""
    services = (service for node in topology.nodes for service in node.services)
    return {secret for service in services for secret in service.secrets}


class ReportedLab(Protocol):
    """What the report wants of a lab, wherever it was up."""

    @property
    def name(self) -> str:
        """The lab's name."""

    @property
    def topology(self) -> Topology:
        """What was up."""

    @property
    def run_folder(self) -> Path:
        """Where its events, captures and logs are."""

    @property
    def trouble(self) -> str | None:
        """What the lab had to say about lost evidence."""


@dataclass(slots=True)
class Scenario:
    """A scenario and what became of it.

    ``machine`` says where it ran (``host``; ``guest, virtual clock``), in parts ``backend``,
    ``kernel`` and ``clock``; ``placed`` what made it so, and ``judged`` whether its own code came
    to an end.
    """

    identity: str
    title: str
    outcome: str = "passed"
    why: str = ""
    seconds: float = 0.0
    started_ns: int = 0
    judged_ns: int = 0
    output: str = ""
    evidence: Evidence = field(default_factory=Evidence)
    labs: list[ReportedLab] = field(default_factory=list)
    captures: list[Path] = field(default_factory=list)
    machine: str = ""
    backend: str = NETNS
    kernel: str = ""
    clock: str = ""
    placed: str = ""
    judged: bool = False

    def settle(self) -> None:
        """What did not come to its end has not passed: it was interrupted."""
        if self.outcome == "passed" and not self.judged:
            self.outcome, self.why = "error", INTERRUPTED


class ScenarioRun:
    """Collects everything of one pytest session that concerns labs."""

    def __init__(
        self,
        command: tuple[str, ...],
        folder: str | None,
        keep: bool,
        backends: tuple[str, ...] = (NETNS,),
    ) -> None:
        self.command, self.keep, self.backends = command, keep, backends
        self._given_folder = folder
        self.started = time.time()
        self.scenarios: dict[str, Scenario] = {}
        self.labs: list[ReportedLab] = []
        self.secrets: set[str] = set()
        self.notes: list[str] = []
        self.writes_report = True
        self._left_up: list[ScenarioLab] = []
        self.report: Path | None = None

    @cached_property
    def folder(self) -> Path:
        """The run's folder, made when first needed."""
        if self._given_folder is not None:
            return Path(self._given_folder).resolve()
        return new_run_folder("test")

    def take_lab(self, lab: ReportedLab) -> None:
        """A lab came up for this run."""
        self.secrets |= secrets_of(lab.topology)
        self.labs.append(lab)

    def take_scenario(self, scenario: Scenario) -> None:
        """A scenario ran elsewhere."""
        self.scenarios[scenario.identity] = scenario

    def settle(self) -> None:
        """Nothing more will come."""
        for scenario in self.scenarios.values():
            scenario.settle()

    def leave_up(self, lab: ScenarioLab) -> None:
        """A lab is left to the user."""
        self._left_up.append(lab)

    def failed_in(self, lab: ScenarioLab) -> bool:
        """Did a scenario fail in this lab?"""
        return any(
            lab in one.labs and one.outcome in ("failed", "error")
            for one in self.scenarios.values()
        )

    def scenario_of(self, item: pytest.Item) -> Scenario:
        """The record of this test."""
        if item.nodeid not in self.scenarios:
            function = getattr(item, "function", None)
            text = (getattr(function, "__doc__", None) or item.name).strip()
            title = " ".join(text.split("\n\n")[0].split())
            self.scenarios[item.nodeid] = Scenario(item.nodeid, title)
        return self.scenarios[item.nodeid]

    def evidence_of(self, item: pytest.Item) -> Evidence:
        """The evidence list of this test."""
        return self.scenario_of(item).evidence

    def take_phase(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
    ) -> None:
        """Take in the outcome of a phase (setup, call, teardown) ."""
        scenario = self.scenario_of(item)
        scenario.seconds += call.duration
        scenario.judged |= report.when == "call" or report.outcome != "passed"
        scenario.started_ns = scenario.started_ns or int(call.start * 1e9)
        if report.when != "teardown" or report.failed:
            scenario.judged_ns = int(call.stop * 1e9)
        if report.outcome == "skipped" and scenario.outcome == "passed":
            scenario.outcome = "skipped"
            scenario.why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        elif report.outcome == "failed" and scenario.outcome != "failed":
            scenario.outcome = "failed" if report.when == "call" else "error"
            scenario.why = str(call.excinfo.value) if call.excinfo else ""
            scenario.output = report.longreprtext
        if report.when == "teardown":
            scenario.output += "".join(
                f"\n--- {name} ---\n{text}" for name, text in report.sections if text.strip()
            )

    @contextmanager
    def watching(self, item: pytest.Item, lab: ScenarioLab) -> Iterator[None]:
        """While a test uses a lab: its capture, its commands, and at the end its verdict."""
        with self.several(item) as watch:
            watch(lab)
            yield

    @contextmanager
    def several(self, item: pytest.Item) -> Iterator[Callable[[ScenarioLab], None]]:
        """As :meth:`watching`, for labs that come up in the course of the test."""
        scenario = self.scenario_of(item)
        with ExitStack() as stack:

            def watch(lab: ScenarioLab) -> None:
                scenario.labs.append(lab)
                lab.observer = lambda result: _keep_command(scenario.evidence, result)
                lab.begin_scenario()
                stack.callback(self._judge, scenario, lab)
                stack.callback(lab.end_scenario)
                capture = _capture_for(item, lab)
                if capture is not None:
                    scenario.captures.append(capture.path)
                    stack.callback(_stop_capture, scenario, capture)

            yield watch

    def _judge(self, scenario: Scenario, lab: ScenarioLab) -> None:
        lab.observer = None
        scenario.settle()
        why = Redactor(self.secrets).text(scenario.why)[:2000]
        lab.emit(Verdict(scenario.identity, scenario.outcome, scenario.seconds, why))

    def closing_lines(self) -> list[str]:
        """What to tell at the end."""
        lines = []
        for lab in self._left_up:
            nodes = ", ".join(node.name for node in lab.topology.nodes)
            lines += [
                f"lab {lab.name} is left up as you asked (--testbed-keep); enter a node with",
                f"    testbed shell {lab.name} NODE        ({nodes})",
                f"    testbed down {lab.name}              when you are done",
            ]
        if self.report is not None:
            lines.append(f"report: {self.report}")
            if repeating_parts(self.folder):
                lines.append(f"again, to the byte: testbed replay {shlex.quote(str(self.folder))}")
        return lines


def _keep_command(evidence: Evidence, result: CommandResult) -> None:
    title = f"{result.node}$ {' '.join(result.command)}"
    output = "\n".join(part.rstrip() for part in (result.stdout, result.stderr) if part.strip())
    evidence.text(title, f"{output}\n[exit {result.status}, {result.seconds:.2f} s]".lstrip())


def _capture_for(item: pytest.Item, lab: ScenarioLab) -> Capture | None:
    mark = item.get_closest_marker("capture")
    options = dict(mark.kwargs) if mark is not None else {}
    if options.get("off"):
        return None
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", item.name).strip("-")
    return lab.capture(file=f"{name}.pcapng", expression=options.get("expression", ""))


def _stop_capture(scenario: Scenario, capture: Capture) -> None:
    try:
        capture.stop()
    except TestbedError as error:
        scenario.evidence.text("the capture is not whole", str(error))
