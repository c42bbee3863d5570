"""What a contender of the start-up benchmark reports: one line of JSON for each run.

Each run is a process of its own, so that none inherits what another left.  Only the standard
library here, since one contender runs in the distribution's own Python.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
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


def descendants(*pids: int) -> set[int]:
    """The processes below these processes, at any depth."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid, parent in _parents().items():
        children[parent].append(pid)
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        below = children[waiting.pop()]
        found.update(below)
        waiting += below
    return found


def container_processes(firsts: Iterable[int]) -> set[int]:
    """What containers need, told by their first processes: these, all below them, and their shims.

    A health check of the engine is none of it: it is the shim's child, and soon gone.
    """
    pids = set(firsts)
    parents = _parents()
    shims = {parents[pid] for pid in pids if pid in parents}
    return pids | descendants(*pids) | shims


def named(name: str) -> set[int]:
    """The processes of this name."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "comm").read_text().rstrip("\n") == name:
                    found.add(int(entry.name))
            except OSError:
                continue
    return found


def _parents() -> dict[int, int]:
    """The parent of every process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it has just ended
            found[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return found
