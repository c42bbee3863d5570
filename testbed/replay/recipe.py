"""What a run was made of: enough to do it again.  ``run.json`` in the run folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from testbed.guest.machine import Machine, VirtualClock
from testbed.replay.errors import ReplayError

FILE = "run.json"
VERSION = 1
REAL, VIRTUAL = "real", "virtual"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A run of ``testbed test`` in a guest.

    ``arguments`` are those of ``testbed test`` as the guest saw them, ``folder`` its working folder
    there; ``kernel`` the guest kernel's key and ``release`` its version; ``start`` the moment (ISO
    8601) at which virtual time began; ``testbed`` and ``sources`` the version and the digest of the
    code and the topologies; ``python`` the interpreter's version; ``fixed_layout`` whether the
    guest's process lay at fixed addresses.  ``origin`` is the folder on the host that it was
    started in: only for people, and to find the sources again.
    """

    arguments: tuple[str, ...]
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
    perturbation: dict[str, Any] | None = None

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
        return Machine(self.memory_mb, clock, self.seed)

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
            return cls(**{**data, "arguments": tuple(data["arguments"])})
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
