"""The machine that the figures come from."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def facts() -> dict[str, Any]:
    """What a reader needs to know to place the figures; ``load`` is of before the run."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "memory_gib": round(_memory_kib() / 2**20, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def sentence(machine: dict[str, Any]) -> str:
    """The same for people."""
    load = ", ".join(str(value) for value in machine["load"])
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, Linux "
        f"{machine['kernel']}, Python {machine['python']}; load before the run (1, 5, 15 minutes): "
        f"{load}."
    )


def _field(path: Path, name: str) -> str | None:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def _memory_kib() -> int:
    value = _field(Path("/proc/meminfo"), "MemTotal")
    return int(value.split()[0]) if value else 0
