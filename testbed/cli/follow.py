"""Reading files that grow while a lab is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_LOOK_EVERY = 0.1


class GrowingFile:
    """The complete lines of a file, given out as they come; a file that is not there is empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = b""

    def lines(self) -> list[str]:
        """The lines added since the last time, without their ends."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                data = file.read()
        except FileNotFoundError:
            return []
        self._position += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def remainder(self) -> list[str]:
        """What stands behind the last line's end: a line that is still being written."""
        return [self._rest.decode(errors="replace")] if self._rest else []


def follow(
    files: Mapping[str, GrowingFile], goes_on: Callable[[], bool]
) -> Iterator[tuple[str, str]]:
    """New lines of files with the files' names, for as long as ``goes_on`` says.

    After the end, everything that was written before it has been given out.
    """
    while True:
        last = not goes_on()
        found = False
        for name, file in files.items():
            for line in file.lines():
                found = True
                yield name, line
        if last:
            return
        if not found:
            time.sleep(_LOOK_EVERY)
