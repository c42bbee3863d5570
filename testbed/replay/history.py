"""The hash of a run: of everything that happened in its labs.

The files that count are every capture (``*.pcapng``) and every event stream (``events.jsonl``) in
the run folder and its subfolders.  Their SHA-256 sums are listed as ``sha256sum`` does, one line
each in the order of the names' bytes, and the hash is the SHA-256 of that list.  In a run folder:

    find * -name '*.pcapng' -o -name events.jsonl | LC_ALL=C sort | xargs sha256sum | sha256sum
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CAPTURES = "*.pcapng"
_EVENTS = "events.jsonl"


@dataclass(frozen=True, slots=True)
class History:
    """SHA-256 sums of a run's captures and event streams, by their names in the run folder."""

    sums: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, run_folder: Path) -> History:
        """That of a run which has ended."""
        found = []
        for path in files_of(run_folder):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found.append((path.relative_to(run_folder).as_posix(), digest))
        return cls(tuple(found))

    @property
    def hash(self) -> str:
        """One number for all of it, in hexadecimal digits."""
        lines = (f"{digest}  {name}\n" for name, digest in self.sums)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def captures(self) -> int:
        """How many captures are in it."""
        return sum(name.endswith(".pcapng") for name, _ in self.sums)

    @property
    def streams(self) -> int:
        """How many event streams are in it: one a lab."""
        return len(self.sums) - self.captures


def files_of(run_folder: Path) -> Iterator[Path]:
    """The files that count, in the order of their names' bytes."""
    found = [*run_folder.rglob(_CAPTURES), *run_folder.rglob(_EVENTS)]
    yield from sorted(found, key=lambda path: path.relative_to(run_folder).as_posix().encode())
