"""In the guest: a pytest plugin that writes down what happens, for whoever began this part."""

from __future__ import annotations

import pytest

from testbed.pytest_plugin import run_of
from testbed.scenarios.part_file import PartFile
from testbed.scenarios.session import ReportedLab


class PartWriter:
    """Writes ``results.jsonl``; the report is made outside, of all parts together."""

    def __init__(self) -> None:
        self._file: PartFile | None = None
        self._known: list[ReportedLab] = []

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Begin the file."""
        self._config = config
        run = run_of(config)
        run.writes_report = False
        self._file = PartFile(run.folder, run.secrets)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be read."""
        if report.failed:
            self._write("trouble", f"{report.nodeid}:\n{report.longreprtext}")

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """A scenario begins."""
        self._write("start", {"id": nodeid, "location": location})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a scenario has ended: its labs first, for a dying guest tells no more."""
        assert self._file is not None
        run = run_of(self._config)
        for lab in run.labs[len(self._known) :]:
            self._known.append(lab)
            self._file.lab(lab)
        if report.when == "teardown" and report.nodeid in run.scenarios:
            self._file.scenario(run.scenarios[report.nodeid])
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._write("report", data)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """What labs had to say at their end, and scenarios that did not come to theirs."""
        assert self._file is not None
        run = run_of(session.config)
        for lab in run.labs:
            if lab not in self._known or lab.trouble is not None:
                self._file.lab(lab)
        for scenario in run.scenarios.values():
            if not scenario.judged:
                self._file.scenario(scenario)
        self._file.close()

    def _write(self, kind: str, value: object) -> None:
        assert self._file is not None
        self._file.write(kind, value)
