"""The one root of every error the testbed raises on purpose.

Each carries *what* went wrong, *where* (a file and line, a node, an interface), and a *hint*:
what the reader can do about it.  The command line prints exactly these three and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the author's file something stands; ``line`` and ``column`` count from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [self.file]
        if self.line is not None:
            parts.append(str(self.line))
            if self.column is not None:
                parts.append(str(self.column))
        return ":".join(parts)


class TestbedError(Exception):
    """Root of all deliberate errors: what, where and a hint (what to do)."""

    __test__ = False  # pytest: not a test class, whatever the name suggests

    def __init__(
        self, what: str, *, where: str | Place | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        return text if self.hint is None else f"{text}\n  hint: {self.hint}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a topology: a stable code, the text, the place and a hint."""

    code: str
    what: str
    path: str
    place: Place | None = None
    hint: str | None = None

    def __str__(self) -> str:
        head = str(self.place) if self.place is not None else self.path
        text = f"{head}: {self.what} [{self.code}]"
        return text if self.hint is None else f"{text}\n    hint: {self.hint}"


class TopologyError(TestbedError):
    """A topology is not valid; ``problems`` lists everything wrong with it at once."""

    def __init__(self, name: str, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        count = len(problems)
        noun = "problem" if count == 1 else "problems"
        listing = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"topology {name!r} has {count} {noun}:\n{listing}")


class MissingFeatureError(TestbedError):
    """This kernel, machine or user lacks something needed; the hint says what provides it."""


class LabError(TestbedError):
    """A lab could not be brought up, used or taken down."""


class LabNotFoundError(LabError):
    """No lab of that name runs for this user."""


class LabExistsError(LabError):
    """A lab of that name is already up."""


class KernelError(LabError):
    """The kernel refused an operation of the plan."""


class KernelUnsupportedError(KernelError, MissingFeatureError):
    """The kernel refused because it was built without, or cannot load, what was asked for."""


class ServiceError(LabError):
    """A service did not start, did not become ready in time, or ended by itself."""
