"""How a part of a run that goes on in a guest tells of itself: ``results.jsonl`` in its run folder.

One JSON object a line: ``start`` and ``report`` as pytest has them, ``lab`` when one comes up,
``scenario`` when one has ended, ``trouble`` for what cannot be collected.  Paths are relative to
the run folder, for it lies elsewhere for the reader.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from testbed.evidence.report import data
from testbed.evidence.report.redact import Redactor
from testbed.model.codec import from_dict, to_dict
from testbed.model.topology import Topology
from testbed.scenarios.evidence import Evidence, File
from testbed.scenarios.session import ReportedLab, Scenario, secrets_of

FILE = "results.jsonl"

_KINDS: dict[str, Any] = {cls.kind: cls for cls in typing.get_args(data.Evidence)}
_OF_FILE = "run-file"
_PLAIN = (
    *("identity", "title", "outcome", "why", "seconds", "started_ns", "judged_ns", "output"),
    "judged",
)
_STRUCTURE = ("id", "nodeid", "when", "$report_type", "identity", "run_folder", "labs", "captures")


@dataclass(slots=True, eq=False)
class LabRecord:
    """A lab that was up elsewhere, as the report wants it."""

    name: str
    topology: Topology
    run_folder: Path
    trouble: str | None = None


class PartFile:
    """The file, for the one who writes it.

    Args:
        folder: the run folder.
        secrets: what no line may hold; may grow.  Those of a lab are added when it is told of.
    """

    def __init__(self, folder: Path, secrets: set[str] | None = None) -> None:
        self._folder = folder
        self._secrets = set() if secrets is None else secrets
        self._file = (folder / FILE).open("w", encoding="utf-8")

    def write(self, kind: str, value: Any) -> None:
        """Add a line, without secrets; it can be read at once."""
        if self._secrets:
            value = self._redacted(value)
        self._file.write(json.dumps({kind: value}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()

    def lab(self, lab: ReportedLab) -> None:
        """Tell of a lab, or of it anew."""
        self._secrets |= secrets_of(lab.topology)
        value = {
            "name": lab.name,
            "topology": to_dict(lab.topology),
            "run_folder": self._relative(lab.run_folder),
            "trouble": lab.trouble,
        }
        self.write("lab", value)

    def scenario(self, one: Scenario) -> None:
        """Tell of a scenario that has ended."""
        value = {name: getattr(one, name) for name in _PLAIN}
        value["labs"] = [self._relative(lab.run_folder) for lab in one.labs]
        value["captures"] = [self._relative(path) for path in one.captures]
        value["evidence"] = [self._item(item) for item in one.evidence.items]
        self.write("scenario", value)

    def _redacted(self, value: Any) -> Any:
        redacted = Redactor(self._secrets).apply(value)
        if isinstance(value, dict):  # what the reader finds its way by stays as it is
            redacted |= {name: value[name] for name in _STRUCTURE if name in value}
        return redacted

    def _item(self, item: Any) -> dict[str, Any]:
        if isinstance(item, File):
            return {"kind": _OF_FILE, "title": item.title, "path": self._relative(item.path)}
        return {
            "kind": item.kind,
            **{field.name: getattr(item, field.name) for field in fields(item)},
        }

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


class PartReader:
    """Reads the file as it grows.

    Args:
        folder: the part's run folder, as it lies for the reader.
        translate: makes of a line's text one with the reader's own paths.
    """

    def __init__(self, folder: Path, translate: Callable[[str], str] = str) -> None:
        self._folder, self._translate = folder, translate
        self._at = 0
        self.labs: dict[str, LabRecord] = {}

    def news(self) -> Iterator[tuple[str, Any]]:
        """The whole lines that came since the last call: their kinds and values."""
        try:
            with (self._folder / FILE).open("rb") as file:
                file.seek(self._at)
                new = file.read()
        except FileNotFoundError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            ((kind, value),) = json.loads(self._translate(line)).items()
            yield kind, value

    def lab(self, value: dict[str, Any]) -> tuple[LabRecord, bool]:
        """The lab of a line, and whether it is told of for the first time."""
        folder = str(value["run_folder"])
        known = self.labs.get(folder)
        if known is not None:
            known.trouble = value["trouble"]
            return known, False
        lab = LabRecord(
            value["name"], from_dict(value["topology"]), self._folder / folder, value["trouble"]
        )
        self.labs[folder] = lab
        return lab, True

    def scenario(self, value: dict[str, Any]) -> Scenario:
        """The scenario of a line."""
        return Scenario(
            **{name: value[name] for name in _PLAIN},
            labs=[self.labs[folder] for folder in value["labs"]],
            captures=[self._folder / path for path in value["captures"]],
            evidence=Evidence([self._evidence(item) for item in value["evidence"]]),
        )

    def _evidence(self, item: dict[str, Any]) -> Any:
        kind = item.pop("kind")
        if kind == _OF_FILE:
            return File(item["title"], self._folder / item["path"])
        return _KINDS[kind](**{name: _tuples(value) for name, value in item.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
