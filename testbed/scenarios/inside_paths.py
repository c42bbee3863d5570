"""Paths of the guest in what it says, and where the same files are outside."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from testbed.guest.boot import Output
from testbed.guest.job import RUN_FOLDER
from testbed.guest.link import Kind


class Translator:
    """Puts the paths that files have outside in the place of those that they have in the guest.

    Args:
        folder: the run folder, which is ``/testbed`` inside.
        more: further pairs of a path inside and the one outside.
    """

    def __init__(self, folder: Path, more: Iterable[tuple[str, str]] = ()) -> None:
        pairs = [(RUN_FOLDER, str(folder.resolve())), *more]
        self._outside = dict(pairs)
        # Only at the beginning of a path: /opt/testbed/code is another folder than /testbed.
        names = "|".join(re.escape(inside) for inside, _ in pairs)
        self._pattern = re.compile(rf"(?<![\w./-])(?:{names})(?=/)")

    def text(self, text: str) -> str:
        """A text with the paths of outside."""
        return self._pattern.sub(lambda match: self._outside[match[0]], text)


class TranslatedOutput:
    """Passes a guest's output on by whole lines, with the paths of outside."""

    def __init__(self, translator: Translator, output: Output) -> None:
        self._translator, self._output = translator, output
        self._rest: dict[Kind, bytes] = {}

    def __call__(self, kind: Kind, data: bytes) -> None:
        whole, newline, self._rest[kind] = (self._rest.get(kind, b"") + data).rpartition(b"\n")
        self._pass(kind, whole + newline)

    def flush(self) -> None:
        """Pass on what came without a line's end."""
        for kind, data in self._rest.items():
            self._pass(kind, data)
        self._rest.clear()

    def _pass(self, kind: Kind, data: bytes) -> None:
        if data:
            # Bytes that are no UTF-8 go through as they came.
            text = self._translator.text(data.decode(errors="surrogateescape"))
            self._output(kind, text.encode(errors="surrogateescape"))
