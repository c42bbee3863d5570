"""A perturbation: what is a little different in one run of a lab.  Plain data, as JSON too.

Times are whole microseconds.  Without any part it changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from testbed.errors import TestbedError

FILE = "perturbation.json"
"""In the run folder: what the labs of the run are perturbed by."""

VERSION = 1


class PerturbationError(TestbedError):
    """A file that is no perturbation, or one that does not fit the lab."""


@dataclass(frozen=True, slots=True)
class Scheduling:
    """Another order of threads: ``per_mille`` of a thousand system calls take up to ``most_us``
    longer, and others may go first (see :class:`testbed.guest.machine.Jitter`)."""

    most_us: int
    per_mille: int

    def halved(self) -> Self:
        """Half as much."""
        return replace(self, most_us=self.most_us // 2)

    @property
    def is_nothing(self) -> bool:
        """Does it change nothing?"""
        return self.most_us <= 0 or self.per_mille <= 0

    def __str__(self) -> str:
        return f"{self.per_mille} of 1000 system calls take up to {_time(self.most_us)} longer"


@dataclass(frozen=True, slots=True)
class LinkDelay:
    """A link is slower, in every direction, by ``delay_us`` give or take ``jitter_us``."""

    link: str
    delay_us: int
    jitter_us: int

    def halved(self) -> Self:
        """Half as much."""
        return replace(self, delay_us=self.delay_us // 2, jitter_us=self.jitter_us // 2)

    @property
    def is_nothing(self) -> bool:
        """Does it change nothing?"""
        return self.delay_us <= 0

    def __str__(self) -> str:
        return f"link {self.link}: {_time(self.delay_us)} slower, jitter {_time(self.jitter_us)}"


@dataclass(frozen=True, slots=True)
class LateStart:
    """A service (``node/service``) starts later than it would."""

    service: str
    late_us: int

    def halved(self) -> Self:
        """Half as much."""
        return replace(self, late_us=self.late_us // 2)

    @property
    def is_nothing(self) -> bool:
        """Does it change nothing?"""
        return self.late_us <= 0

    def __str__(self) -> str:
        return f"service {self.service}: starts {_time(self.late_us)} later"


@dataclass(frozen=True, slots=True)
class TimedFault:
    """A fault ``at_us`` after a scenario begins, over after ``lasts_us``.

    ``fault`` is ``cut``, ``kill-service`` or ``reboot``.
    """

    fault: str
    target: str
    at_us: int
    lasts_us: int

    def halved(self) -> Self:
        """It lasts half as long."""
        return replace(self, lasts_us=self.lasts_us // 2)

    @property
    def is_nothing(self) -> bool:
        """Does it change nothing?"""
        return self.lasts_us <= 0

    def __str__(self) -> str:
        return f"{self.fault} {self.target}: at {_time(self.at_us)}, for {_time(self.lasts_us)}"


Part = Scheduling | LinkDelay | LateStart | TimedFault
_KINDS: dict[str, type[Part]] = {
    "scheduling": Scheduling,
    "link-delay": LinkDelay,
    "late-start": LateStart,
    "fault": TimedFault,
}
_NAMES = {cls: name for name, cls in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Perturbation:
    """Its parts; no two of the same thing."""

    parts: tuple[Part, ...] = ()

    @property
    def scheduling(self) -> Scheduling | None:
        """What the guest's kernel is told; the labs know nothing of it."""
        return next((part for part in self.parts if isinstance(part, Scheduling)), None)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        parts = [{"kind": _NAMES[type(part)], **asdict(part)} for part in self.parts]
        return {"v": VERSION, "parts": parts}

    def write(self, path: Path) -> None:
        """Write it into a file."""
        path.write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")

    def lines(self) -> Iterator[str]:
        """Each part in words."""
        for part in self.parts:
            yield str(part)

    @classmethod
    def from_json(cls, data: Any, where: str = "") -> Perturbation:
        """The inverse of :meth:`to_json`.

        Raises:
            PerturbationError: it is none.
        """
        if not isinstance(data, dict) or data.get("v") != VERSION:
            raise PerturbationError(f"no perturbation of version {VERSION}", where=where or None)
        parts = data.get("parts")
        if not isinstance(parts, list):
            raise PerturbationError("its parts are a list", where=where or None)
        return cls(tuple(_part(one, f"{where}: part {n}") for n, one in enumerate(parts, start=1)))

    @classmethod
    def read(cls, path: Path) -> Perturbation:
        """That of a file.

        Raises:
            PerturbationError: it cannot be read, or holds none.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PerturbationError(f"cannot be read: {error}", where=str(path)) from error
        return cls.from_json(data, str(path))


def perturbation_of(run_folder: Path) -> Perturbation:
    """That of a run; one without any part if the run has none.

    Raises:
        PerturbationError: its file cannot be read.
    """
    path = run_folder / FILE
    return Perturbation.read(path) if path.exists() else Perturbation()


def _part(data: Any, where: str) -> Part:
    kind = _KINDS.get(str(data.get("kind"))) if isinstance(data, dict) else None
    if kind is None:
        known = ", ".join(_KINDS)
        raise PerturbationError("unknown kind of part", where=where, hint=f"one of {known}")
    values = {name: value for name, value in data.items() if name != "kind"}
    wanted = {field.name: field.type for field in fields(kind)}
    if values.keys() != wanted.keys():
        raise PerturbationError(f"its fields are {', '.join(wanted)}", where=where)
    for name, value in values.items():
        number = wanted[name] == "int"
        if number and (type(value) is not int or value < 0):
            raise PerturbationError(f"{name} is a whole number, 0 or more", where=where)
        if not number and not isinstance(value, str):
            raise PerturbationError(f"{name} is a name", where=where)
    return kind(**values)


def _time(microseconds: int) -> str:
    if microseconds >= 1_000_000:
        return f"{microseconds / 1_000_000:.6g} s"
    return f"{microseconds / 1000:.6g} ms"
