"""What a run was made of: enough to do it again.  ``run.json`` in the run folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from testbed.guest.machine import Jitter, Machine, VirtualClock
from testbed.replay.errors import ReplayError

FILE = "run.json"
VERSION = 1
REAL, VIRTUAL = "real", "virtual"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A ``testbed`` command in a guest.

    ``words`` are the command's own (``("test", "pair")``) and ``folder`` its working folder, as
    they are in the guest; ``module`` is the Python module that was run.  ``kernel`` is the guest
    kernel's key and ``release`` its version; ``start`` the moment (ISO 8601) at which virtual time
    began.  ``testbed`` and ``sources`` are the version and the digest of the code and the
    topologies; ``python`` is the interpreter's version, ``fixed_layout`` whether the guest's
    process lay at fixed addresses.  ``origin`` is the host's folder that it was started in, so that
    the sources can be found again; ``history`` is the hash of what happened, once it has.
    ``jitter`` is that of the machine (seed, nanoseconds, per mille).
    """

    words: tuple[str, ...]
    module: str
    folder: str
    kernel: str
    release: str
    clock: str
    start: str | None
    seed: int | None
    memory_mb: int
    testbed: str
    sources: str
    python: str
    fixed_layout: bool
    origin: str
    jitter: tuple[int, int, int] | None = None
    perturbation: dict[str, Any] | None = None
    history: str | None = None

    @property
    def repeats(self) -> bool:
        """Is such a run a function of its recipe?"""
        return self.clock == VIRTUAL and self.seed is not None

    @property
    def machine(self) -> Machine:
        """The guest that it runs in."""
        clock = None
        if self.clock == VIRTUAL:
            assert self.start is not None
            clock = VirtualClock(datetime.fromisoformat(self.start))
        jitter = None if self.jitter is None else Jitter(*self.jitter)
        return Machine(self.memory_mb, clock, self.seed, jitter)

    def write(self, run_folder: Path) -> None:
        """Leave it in the run folder."""
        text = json.dumps({"v": VERSION, **asdict(self)}, indent=2)
        (run_folder / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, run_folder: Path) -> Recipe:
        """That of a run folder.

        Raises:
            ReplayError: there is none, or this version cannot read it.
        """
        path = run_folder / FILE
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            version = data.pop("v")
            if version != VERSION:
                raise ReplayError(
                    f"version {VERSION} of {FILE} is expected, not {version!r}", where=str(path)
                )
            jitter = tuple(data["jitter"]) if data.get("jitter") else None
            return cls(**{**data, "words": tuple(data["words"]), "jitter": jitter})
        except FileNotFoundError as error:
            if not run_folder.is_dir():
                raise ReplayError("there is no such run", where=str(run_folder)) from error
            raise ReplayError(
                "this run was not in a guest, so it cannot be repeated: the host's time and "
                "randomness are its own",
                where=str(run_folder),
                hint="run it with --kernel guest --clock virtual",
            ) from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ReplayError(f"cannot be read: {error}", where=str(path)) from error


def parts(run_folder: Path) -> tuple[Path, ...]:
    """The folders of a run that have a recipe: one for each guest that was part of it."""
    return tuple(sorted(path.parent for path in run_folder.rglob(FILE)))


def repeating_parts(run_folder: Path) -> tuple[Path, ...]:
    """Those of them that can be done again."""
    found = ((folder, Recipe.read(folder)) for folder in parts(run_folder))
    return tuple(folder for folder, one in found if one.repeats and one.history is not None)
