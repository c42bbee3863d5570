"""Starting pytest on the scenarios of topologies."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from testbed.errors import TestbedError
from testbed.guest.availability import no_guest_here
from testbed.model.discover import list_topologies
from testbed.runs import FOLDER_VARIABLE, VARIABLE, new_run_folder
from testbed.scenarios.choice import Choice
from testbed.scenarios.live import LiveTable
from testbed.scenarios.part_writer import PartWriter
from testbed.scenarios.sharing import Sharing

INTERRUPTED = 130
"""The status after Ctrl-C, as shells have it (128 + SIGINT)."""


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
                {
                    "id": nodeid,
                    "outcome": row.outcome,
                    "seconds": row.seconds,
                    "why": row.why,
                    **self._place(nodeid),
                }
                for nodeid, row in self.table.rows.items()
            ],
            "trouble": self.table.trouble,
            "groups": [asdict(group) for group in self.table.sharing.groups],
        }

    def _place(self, nodeid: str) -> dict[str, str]:
        placement = self.table.sharing.placements[nodeid]
        return {
            "backend": placement.backend,
            "kernel": placement.kernel,
            "clock": placement.clock,
            "placed": placement.why,
        }


def run_scenarios(
    names: list[str],
    *,
    select: str = "",
    keep: bool = False,
    stop: bool = False,
    runs: Path | None = None,
    quiet: bool = False,
    choice: Choice | None = None,
    part: bool = False,
    say: Callable[[str], None] = lambda _text: None,
) -> Outcome:
    """Run the scenarios of these topologies (or test files); of all if none is named.

    Args:
        names: topologies, test files, or single tests as ``FILE::TEST``.
        select: only those that match (pytest's ``-k``).
        keep: leave the lab of a failed scenario up.
        stop: at the first failure.
        runs: where run folders go.
        quiet: no table.
        choice: kernel and clock; chosen by what scenarios need, by default.
        part: this is a part of a run that someone else reports of.
        say: told in words of what else goes on.

    Raises:
        TestbedError: there is no such topology, or it has no scenarios; or no guest can be had, and
            the choice asks for one.
    """
    wanted = choice or Choice()
    paths = [str(path) for path in _find(names)]
    if runs is not None:
        os.environ[VARIABLE] = str(runs)
    given = os.environ.get(FOLDER_VARIABLE)
    folder = Path(given) if given else new_run_folder("test")
    arguments = [*paths, f"--testbed-run-folder={folder}", f"--junitxml={folder / 'junit.xml'}"]
    arguments += [f"--testbed-backend={','.join(wanted.backends)}"]
    arguments += ["-p", "no:cacheprovider", "-q"]
    if not _installed():
        arguments += ["-p", "testbed.pytest_plugin"]
    if select:
        arguments += ["-k", select]
    if keep:
        arguments.append("--testbed-keep")
    if stop:
        arguments.append("-x")
    sharing = Sharing(wanted, say, no_guest=no_guest_here)
    table = LiveTable(Console(quiet=quiet, emoji=False), sharing)
    plugins: list[object] = [sharing, table, *([PartWriter()] if part else [])]
    status = int(pytest.main(arguments, plugins=plugins))
    if sharing.error is not None:
        raise sharing.error
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise TestbedError(
            "no scenario was selected",
            where=select or None,
            hint="testbed list shows topologies and how many scenarios each has",
        )
    table.close()
    return Outcome(INTERRUPTED if table.interrupted else status, folder, table)


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
