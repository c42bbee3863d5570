"""A part of a run, as it goes on in a guest: its results become results of the whole run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import TestbedError
from testbed.guest.link import Kind
from testbed.pytest_plugin import is_scenario, run_of
from testbed.replay.job import seal
from testbed.scenarios.choice import VIRTUAL
from testbed.scenarios.guests import Ended, Said
from testbed.scenarios.inside_paths import Translator
from testbed.scenarios.part_file import PartReader
from testbed.scenarios.parts import Part
from testbed.scenarios.placement import Placement
from testbed.scenarios.session import Scenario

ERRORS_FILE = "stderr.txt"
_LAST_LINES = 8


class PartRun:
    """Reads what the guest writes down and hands it to pytest and to the run."""

    def __init__(
        self, session: pytest.Session, part: Part, folder: Path, placement: Placement
    ) -> None:
        self.part, self.folder = part, folder
        self._session, self._placement = session, placement
        self._run = run_of(session.config)
        self._translator = Translator(folder)
        self._reader = PartReader(folder, self._translated)
        self._items = {item.nodeid: item for item in part.items}
        self._open = dict.fromkeys(self._items)
        self._started: dict[str, float] = {}
        self._virtual_s: dict[str, float] = {}
        self._trouble: list[str] = []
        self._errors = b""

    def translate(self, names: tuple[tuple[str, str], ...]) -> None:
        """Folders as the guest calls them, and as they are called here."""
        self._translator = Translator(self.folder, names)

    def _translated(self, text: str) -> str:
        return self._translator.text(text)

    def take(self, said: Said) -> None:
        """The guest's command wrote something: what it writes down may have grown, too."""
        if said.kind is Kind.ERRORS:
            self._errors += said.data
        self.read()

    def read(self) -> None:
        """Take in what came since the last look."""
        for kind, value in self._reader.news():
            if kind == "start":
                self._begin(value["id"])
            elif kind == "report":
                self._phase(value)
            elif kind == "lab":
                lab, new = self._reader.lab(value)
                if new:
                    self._run.take_lab(lab)
            elif kind == "scenario":
                self._take_scenario(self._reader.scenario(value))
            elif kind == "trouble":
                self._trouble.append(value)

    def end(self, ended: Ended, *, interrupted: bool = False) -> None:
        """The guest is off.

        What it did not come to is an error, unless it was told to stop before.
        """
        self.read()
        if self._errors:
            errors = self._translated(self._errors.decode(errors="replace"))
            (self.folder / ERRORS_FILE).write_text(errors, encoding="utf-8")
        if ended.result is not None and not interrupted:
            seal(self.folder)
        stopped = interrupted or self._session.shouldfail or self._session.shouldstop
        for identity in list(self._open):
            if not stopped:
                self._break(identity, self._why(ended))
            elif identity in self._started and is_scenario(self._items[identity]):
                self._run.scenario_of(self._items[identity])  # it has begun, and will not end

    def fail(self, error: TestbedError) -> None:
        """There is no guest for this part."""
        text = _words(error)
        for identity in list(self._open):
            self._break(identity, text)

    def _why(self, ended: Ended) -> str:
        if isinstance(ended.error, TestbedError):
            what = _words(ended.error)
        elif ended.error is not None:
            what = f"{type(ended.error).__name__}: {ended.error}"
        elif self._trouble:
            return "\n".join(self._trouble)
        else:
            what = "the guest has ended without having run it"
        last = self._errors.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        return self._translated("\n".join([what, *(f"  {line}" for line in last)]))

    def _begin(self, identity: str) -> None:
        item = self._items.get(identity)
        if item is not None:
            self._started[identity] = time.monotonic()
            hook = item.ihook
            hook.pytest_runtest_logstart(nodeid=identity, location=item.location)

    def _phase(self, data: dict[str, Any]) -> None:
        config = self._session.config
        report = config.hook.pytest_report_from_serializable(config=config, data=data)
        item = self._items.get(report.nodeid)
        if item is None:
            return
        if self._placement.clock == VIRTUAL:
            self._count_wall_time(report)
        if report.when == "teardown":
            self._open.pop(report.nodeid, None)
            self._started.pop(report.nodeid, None)
        self._hand_over(item, report)

    def _count_wall_time(self, report: pytest.TestReport) -> None:
        """The time a scenario took here; what its own clock counted becomes a property."""
        now, identity = time.monotonic(), report.nodeid
        if report.when == "call":
            self._virtual_s[identity] = round(report.duration, 6)
        if identity in self._virtual_s:
            seconds = ("virtual_seconds", self._virtual_s[identity])
            report.user_properties = [*report.user_properties, seconds]
        report.duration = now - self._started.get(identity, now)
        self._started[identity] = now

    def _hand_over(self, item: pytest.Item, report: pytest.TestReport) -> None:
        there = {name for name, _ in self._placement.properties}
        own = [pair for pair in report.user_properties if pair[0] not in there]
        report.user_properties = [*own, *self._placement.properties]
        item.ihook.pytest_runtest_logreport(report=report)
        if report.when == "teardown":
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _break(self, identity: str, why: str) -> None:
        """A scenario that will not come to its end is an error, never silently dropped."""
        item = self._items[identity]
        if identity not in self._started:
            item.ihook.pytest_runtest_logstart(nodeid=identity, location=item.location)
        else:
            del self._started[identity]
        del self._open[identity]
        if is_scenario(item):
            scenario = self._run.scenarios.get(identity) or self._run.scenario_of(item)
            scenario.outcome, scenario.why, scenario.output = "error", why.splitlines()[0], why
            self._take_scenario(scenario)
        failed = pytest.TestReport(identity, item.location, {}, "failed", why, "setup")
        over = pytest.TestReport(identity, item.location, {}, "passed", None, "teardown")
        for report in (failed, over):
            self._hand_over(item, report)

    def _take_scenario(self, scenario: Scenario) -> None:
        self._placement.tell(scenario)
        self._run.take_scenario(scenario)


def _words(error: TestbedError) -> str:
    parts = [error.what]
    if error.where is not None:
        parts.append(f"  where: {error.where}")
    if error.hint:
        parts.append(f"  hint: {error.hint}")
    return "\n".join(parts)
