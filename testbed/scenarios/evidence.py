"""What a scenario puts on the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TextItem:
    """A titled piece of text: a command and its output, a log excerpt."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class TableItem:
    """A titled table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class FileItem:
    """A file of the run folder: a capture, a log."""

    title: str
    path: Path


Item = TextItem | TableItem | FileItem


class Evidence:
    """Collects the items of one scenario in the order in which they came."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def text(self, title: str, text: str) -> None:
        """Keep a piece of text."""
        self.items.append(TextItem(title, text))

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Keep a table."""
        plain = tuple(tuple(str(cell) for cell in row) for row in rows)
        self.items.append(TableItem(title, tuple(columns), plain))

    def file(self, title: str, path: Path) -> None:
        """Keep a file, which should lie in the run folder."""
        self.items.append(FileItem(title, path))
