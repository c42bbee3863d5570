"""From a seed to its perturbation: a pure function, the same on every machine and for ever.

Each number is drawn by itself, from the seed and its own name (SHA-256), so what a seed does to one
link stays the same when the topology gets another.
"""

from __future__ import annotations

from hashlib import sha256

from testbed.explore.perturbation import (
    LateStart,
    LinkDelay,
    Part,
    Perturbation,
    Scheduling,
    TimedFault,
)
from testbed.explore.ranges import Ranges, microseconds, services_of
from testbed.model.topology import Topology

_MOST_PER_MILLE = 50


class Dice:
    """Numbers that depend on a seed and a name, and on nothing else."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def between(self, name: str, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        digest = sha256(f"testbed explore {self._seed} {name}".encode()).digest()
        return low + int.from_bytes(digest, "big") % (high - low + 1)

    def half(self, name: str) -> bool:
        """Yes or no, one as likely as the other."""
        return self.between(name, 0, 1) == 1


def draw(seed: int, topology: Topology, ranges: Ranges) -> Perturbation:
    """What this seed does to the lab.

    Every link, service and fault of the ranges is disturbed by half of the seeds; by how much is
    drawn evenly from its range.
    """
    dice = Dice(seed)
    parts: list[Part] = []
    most = microseconds(ranges.scheduling)
    if most and dice.half("scheduling"):
        per_mille = dice.between("scheduling per mille", 1, _MOST_PER_MILLE)
        parts.append(Scheduling(dice.between("scheduling by", 1, most), per_mille))
    parts += _delays(dice, topology, ranges)
    parts += _starts(dice, topology, ranges)
    parts += _faults(dice, ranges)
    return Perturbation(tuple(parts))


def _delays(dice: Dice, topology: Topology, ranges: Ranges) -> list[Part]:
    most = microseconds(ranges.delay)
    names = [link.name for link in topology.links] if ranges.links is None else ranges.links
    parts: list[Part] = []
    for name in names:
        if most and dice.half(f"link {name}"):
            delay = dice.between(f"link {name} delay", 1, most)
            parts.append(LinkDelay(name, delay, dice.between(f"link {name} jitter", 0, delay // 2)))
    return parts


def _starts(dice: Dice, topology: Topology, ranges: Ranges) -> list[Part]:
    most = microseconds(ranges.start)
    every = [key for key, _ in services_of(topology)]
    names = every if ranges.services is None else ranges.services
    return [
        LateStart(name, dice.between(f"start {name} late", 1, most))
        for name in names
        if most and dice.half(f"start {name}")
    ]


def _faults(dice: Dice, ranges: Ranges) -> list[Part]:
    parts: list[Part] = []
    for number, one in enumerate(ranges.faults):
        name = f"fault {number} {one.kind} {one.target}"
        if dice.half(name):
            at = dice.between(f"{name} at", *map(microseconds, one.at))
            lasts = dice.between(f"{name} lasts", *map(microseconds, one.lasts))
            parts.append(TimedFault(one.kind, one.target, at, lasts))
    return parts
