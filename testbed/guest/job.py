"""What a guest is to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RUN_FOLDER = "/testbed"
"""Where the run folder lies inside, unless told otherwise: the same for every run, and none of the
folders that the nodes of a lab have for themselves (/run, /tmp, /var...)."""


@dataclass(frozen=True, slots=True)
class Job:
    """A command, its environment and working folder, and where it finds the run folder.

    ``mounts`` are pairs: a file or folder of the host, and the path that also leads to it inside.
    ``code`` is the folder of the host with the package that the guest's first program is a part of:
    the one that runs here by default; a run that shall repeat names a copy that nobody edits.
    The environment is added to a small fixed one (``PATH``, ``HOME``, ``LANG``); nothing else of
    the host's comes in.  The command is root in the guest.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    run_folder: str = RUN_FOLDER
    mounts: tuple[tuple[str, str], ...] = ()
    code: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For the way into the guest."""
        return {**asdict(self), "environment": dict(self.environment)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Job:
        """The inverse of :meth:`to_json`."""
        mounts = tuple((source, target) for source, target in value["mounts"])
        return cls(**{**value, "arguments": tuple(value["arguments"]), "mounts": mounts})

    @property
    def whole_environment(self) -> dict[str, str]:
        """Everything that the command finds in its environment."""
        fixed = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "USER": "root", "TERM": "dumb"}
        return {**fixed, **self.environment}
