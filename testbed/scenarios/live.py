"""``testbed test``: pytest with a live table instead of dots."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from testbed.moments import format_duration
from testbed.pytest_plugin import run_of
from testbed.scenarios.session import ScenarioRun
from testbed.scenarios.sharing import Sharing

_WORDS = {
    "passed": "[green]passed[/]",
    "failed": "[bold red]FAILED[/]",
    "error": "[bold red]ERROR[/]",
    "skipped": "[yellow]skipped[/]",
    "running": "[cyan]running[/]",
    "interrupted": "[bold red]INTERRUPTED[/]",
}


@dataclass(slots=True)
class Row:
    """One scenario in the table."""

    title: str
    outcome: str = "running"
    seconds: float = 0.0
    why: str = ""
    virtual_s: float | None = None


@dataclass(slots=True, eq=False)  # pytest keeps its plugins in sets
class LiveTable:
    """A pytest plugin that shows each scenario as it goes, and failures with their evidence.

    On a terminal the running scenario is shown live; elsewhere every scenario is one line.
    """

    console: Console
    sharing: Sharing
    rows: dict[str, Row] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    run: ScenarioRun | None = None
    total: int = 0
    interrupted: bool = False
    _live: Live | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Take the place of pytest's own terminal reporter."""
        run_of(config).command = ("testbed", *sys.argv[1:])
        reporter = config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None:
            config.pluginmanager.unregister(reporter)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be read is trouble, not zero scenarios."""
        if report.failed:
            self.trouble.append(f"{report.nodeid}:\n{report.longreprtext}")

    def pytest_collection_finish(self) -> None:
        """Now the number of scenarios is known."""
        self.total = len(self.sharing.placements)
        if self.total:  # of none, the closing line says why
            self.console.print(f"{self.total} scenarios")
        for group in self.sharing.groups:
            self.console.print(f"  {escape(group.line)}", highlight=False, soft_wrap=True)
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=8, transient=True)
            self._live.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A scenario begins."""
        self.rows[nodeid] = Row(_short(nodeid))
        self._show()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a scenario has ended."""
        row = self.rows[report.nodeid]
        row.seconds += report.duration
        for name, value in report.user_properties:
            if name == "virtual_seconds" and isinstance(value, float | int):
                row.virtual_s = value
        if report.skipped:
            row.outcome = "skipped"
            row.why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        elif report.failed and row.outcome != "failed":
            row.outcome = "failed" if report.when == "call" else "error"
            self.failures.append((report.nodeid, report.longreprtext))
        if report.when == "teardown":
            if row.outcome == "running":
                row.outcome = "passed"
            self._line(row)
        self._show()

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ctrl-C (pytest has its own, other reasons to call this)."""
        self.interrupted |= isinstance(excinfo.value, KeyboardInterrupt)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """The table is complete."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self.run = run_of(session.config)
        for row in self.rows.values():
            if row.outcome == "running":
                row.outcome = "interrupted"
                self._line(row)

    def close(self) -> None:
        """Print failures with their evidence, the counts, and where the report is."""
        for text in self.trouble:
            self.console.print(f"[bold red]cannot collect[/] {escape(text)}")
        for nodeid, text in self.failures:
            self.console.rule(f"[bold red]{escape(_short(nodeid))}")
            self.console.print(escape(text), highlight=False)
            for line in self._evidence(nodeid):
                self.console.print(escape(line), highlight=False, soft_wrap=True)
        if self.run is not None:
            for line in self.run.closing_lines():
                self.console.print(escape(line), highlight=False, soft_wrap=True)
        self.console.print(self.summary(), highlight=False)

    def _evidence(self, nodeid: str) -> list[str]:
        if self.run is None:
            return []
        from testbed.scenarios.reporting import failure_lines

        return failure_lines(self.run, nodeid)

    def counts(self) -> dict[str, int]:
        """How many scenarios ended how; errors count as failed."""
        outcomes = [row.outcome for row in self.rows.values()]
        failed = sum(
            outcome in ("failed", "error", "running", "interrupted") for outcome in outcomes
        )
        failed += len(self.trouble)
        return {
            "passed": outcomes.count("passed"),
            "failed": failed,
            "skipped": outcomes.count("skipped"),
        }

    def summary(self) -> str:
        """``N passed, N failed, N skipped``."""
        return ", ".join(f"{count} {name}" for name, count in self.counts().items())

    def _line(self, row: Row) -> None:
        why = f"  {escape(row.why)}" if row.why else ""
        time = f"{row.seconds:.1f} s"
        if row.virtual_s is not None:
            virtual = format_duration(
                timedelta(seconds=round(row.virtual_s, 3 if row.virtual_s < 10 else 0))
            )
            time = f"{virtual} of virtual time in {time}"
        self.console.print(
            f"{_WORDS[row.outcome]:<7}  {escape(row.title)}  [dim]{time}[/]{why}",
            highlight=False,
            soft_wrap=True,
        )

    def _show(self) -> None:
        if self._live is None:
            return
        table = Table.grid(padding=(0, 1))
        for row in self.rows.values():
            if row.outcome == "running":
                table.add_row(_WORDS["running"], escape(row.title))
        done = sum(row.outcome != "running" for row in self.rows.values())
        table.add_row("", f"[dim]{done} of {self.total}; {self.summary()}[/]")
        self._live.update(table)


def _short(nodeid: str) -> str:
    """``topologies/v6plus/test_path.py::test_x[y]`` as ``v6plus/path: x[y]``."""
    file, _, test = nodeid.partition("::")
    path = Path(file)
    stem = path.stem.removeprefix("test_")
    return f"{path.parent.name}/{stem}: {test.removeprefix('test_').replace('_', ' ')}"
