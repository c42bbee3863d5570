"""What a contender of the start-up benchmark reports: one line of JSON for each run.

Each run is a process of its own, so that none inherits what another left.  Only the standard
library here, since one contender runs in the distribution's own Python.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """``up``, ``down``: seconds until the call returned; ``works``: the ping across was answered;
    ``processes``: how many the network needs while it is idle, besides the one that owns it."""

    up: float
    down: float
    works: bool
    processes: int

    def print(self) -> None:
        """Hand it to the benchmark."""
        print(json.dumps(asdict(self)), flush=True)


def descendants(pid: int) -> list[int]:
    """The processes below a process, at any depth."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it has just ended
            children[int(stat.rpartition(")")[2].split()[1])].append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children[waiting.pop()]
        found += below
        waiting += below
    return found
