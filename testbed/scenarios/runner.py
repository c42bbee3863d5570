"""Starting pytest on the scenarios of topologies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from testbed.errors import TestbedError
from testbed.model.discover import list_topologies
from testbed.runs import FOLDER_VARIABLE, VARIABLE, new_run_folder
from testbed.scenarios.live import LiveTable


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of scenarios ended."""

    status: int
    folder: Path
    table: LiveTable

    def to_json(self) -> dict[str, Any]:
        """The outcome as plain data."""
        return {
            "status": self.status,
            "run_folder": str(self.folder),
            "report": str(self.folder / "report.html"),
            "junit": str(self.folder / "junit.xml"),
            **self.table.counts(),
            "scenarios": [
                {"id": nodeid, "outcome": row.outcome, "seconds": row.seconds, "why": row.why}
                for nodeid, row in self.table.rows.items()
            ],
            "trouble": self.table.trouble,
        }


def run_scenarios(
    names: list[str], *, select: str, keep: bool, stop: bool, runs: Path | None, quiet: bool
) -> Outcome:
    """Run the scenarios of these topologies (or test files); of all if none is named.

    Raises:
        TestbedError: there is no such topology, or it has no scenarios.
    """
    paths = [str(path) for path in _find(names)]
    if runs is not None:
        os.environ[VARIABLE] = str(runs)
    given = os.environ.get(FOLDER_VARIABLE)
    folder = Path(given) if given else new_run_folder("test")
    arguments = [*paths, f"--testbed-run-folder={folder}", f"--junitxml={folder / 'junit.xml'}"]
    arguments += ["-p", "no:cacheprovider", "-q"]
    if not _installed():
        arguments += ["-p", "testbed.pytest_plugin"]
    if select:
        arguments += ["-k", select]
    if keep:
        arguments.append("--testbed-keep")
    if stop:
        arguments.append("-x")
    table = LiveTable(Console(quiet=quiet, emoji=False))
    status = int(pytest.main(arguments, plugins=[table]))
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise TestbedError(
            "no scenario was selected",
            where=select or None,
            hint="testbed list shows topologies and how many scenarios each has",
        )
    table.close()
    return Outcome(status, folder, table)


def _find(names: list[str]) -> list[Path]:
    listed = {entry.name: entry.path.parent for entry in list_topologies()}
    if not names:
        found = [folder for folder in listed.values() if list(folder.glob("test_*.py"))]
        if not found:
            raise TestbedError("no topology here has scenarios", hint="run it in the checkout")
        return found
    paths = []
    for name in names:
        path = listed.get(name) or Path(name.partition("::")[0])
        if not path.exists():
            known = ", ".join(sorted(listed)) or "none"
            raise TestbedError(f"no topology or test file {name!r}", hint=f"topologies: {known}")
        paths.append(Path(name) if "::" in name else path)
    return paths


def _installed() -> bool:
    """Is our plugin announced to pytest by the installed package?"""
    return any(entry.name == "testbed" for entry in entry_points(group="pytest11"))
