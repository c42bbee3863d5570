"""What a backend is given by the lab that uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.backends.children import Children
from testbed.kernel.channel import Channel
from testbed.plan.operations import Plan


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a backend is given, in the lab's first process.

    ``home`` is a descriptor of the lab's own network namespace, where that process is; ``outside``
    leads to the backend's helper that stayed in the host's namespaces, where it has one.
    ``note`` adds a line to the events; ``lose`` ends the lab, with the reason.
    """

    lab: str
    home: int
    run_folder: Path
    plan: Plan
    children: Children
    outside: Channel | None
    note: Callable[[str], None]
    lose: Callable[[str], None]
