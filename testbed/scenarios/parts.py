"""Cutting a run into parts for guests: one test file by one clock on one backend is a part.

So what happens in a part depends on that file, its scenarios and the seed, and on no other file and
no number of CPUs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.model.topology import NETNS
from testbed.scenarios.choice import VIRTUAL
from testbed.scenarios.placement import Placement

FOLDER = "guests"
"""In the run folder: the run folders of the parts."""


@dataclass(frozen=True, slots=True)
class Part:
    """Scenarios of one file that run in one guest; ``name`` is also the name of its folder."""

    name: str
    clock: str
    items: tuple[pytest.Item, ...]
    whole: bool

    @property
    def arguments(self) -> tuple[str, ...]:
        """What selects exactly these scenarios, as words for ``testbed test``."""
        path = os.path.relpath(self.items[0].path)
        if self.whole:
            return (path,)
        return tuple(f"{path}::{item.nodeid.partition('::')[2]}" for item in self.items)


def cut(
    placed: Iterable[tuple[pytest.Item, Placement]], collected: Mapping[Path, int]
) -> list[Part]:
    """The parts, in the order in which their first scenarios come.

    Args:
        placed: scenarios for guests, and where.
        collected: how many scenarios each file has, selected or not.
    """
    found: dict[tuple[Path, str, str], list[pytest.Item]] = {}
    for item, placement in placed:
        found.setdefault((item.path, placement.clock, placement.backend), []).append(item)
    parts: list[Part] = []
    for (path, clock, backend), items in found.items():
        stem = path.stem.removeprefix("test_")
        name = f"{path.parent.name}-{stem}{'-virtual' if clock == VIRTUAL else ''}"
        name += "" if backend == NETNS else f"-{backend}"
        taken = {part.name for part in parts}
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name}-{number}"
        parts.append(Part(free, clock, tuple(items), collected.get(path) == len(items)))
    return parts
