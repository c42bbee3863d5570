"""What a scenario puts on the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed.evidence.report.data import DrawingEvidence, TableEvidence, TextEvidence


@dataclass(frozen=True, slots=True)
class File:
    """A file that lies in the run folder: a capture, a log."""

    title: str
    path: Path


@dataclass(slots=True)
class Evidence:
    """Collects the items of one scenario in the order in which they came."""

    items: list[TextEvidence | TableEvidence | DrawingEvidence | File] = field(default_factory=list)

    def text(self, title: str, text: str) -> None:
        """Keep a piece of text."""
        self.items.append(TextEvidence(title, text))

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Keep a table; its title, the heads of its columns and its rows."""
        plain = tuple(tuple(str(cell) for cell in row) for row in rows)
        self.items.append(TableEvidence(title, tuple(columns), plain))

    def drawing(self, title: str, svg: str) -> None:
        """Keep a drawing: an SVG document that stands alone.

        It is shown in the report and written to ``drawings/`` in the run folder.  Only plain
        pictures are let in, see :class:`~testbed.evidence.report.DrawingEvidence`.
        """
        self.items.append(DrawingEvidence(title, svg))

    def add(self, *items: TextEvidence | TableEvidence | DrawingEvidence) -> None:
        """Keep pieces of evidence made elsewhere, for example by :mod:`testbed.evidence.sa`."""
        self.items.extend(items)

    def file(self, title: str, path: Path) -> None:
        """Keep a file of the run folder."""
        self.items.append(File(title, path))
