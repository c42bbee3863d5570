"""Medians, spreads and ratios of repeated measurements; pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """The same thing measured several times, in one unit; never empty."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a sample needs at least one value")

    @classmethod
    def of(cls, values: Sequence[float]) -> Sample:
        """A sample of these values."""
        return cls(tuple(values))

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest value."""
        return max(self.values)

    def scaled(self, factor: float) -> Sample:
        """The same sample in another unit."""
        return Sample(tuple(value * factor for value in self.values))


@dataclass(frozen=True)
class Ratio:
    """How many times one sample is another: of the medians, and the spread of the paired values.

    The values are paired by round, since neighbours in time share the machine's mood: ``low`` and
    ``high`` are the smallest and largest quotient of one round.
    """

    value: float
    low: float
    high: float


def ratio(ours: Sample, theirs: Sample) -> Ratio:
    """``ours`` in units of ``theirs``.

    Raises:
        ValueError: they do not have the same number of rounds, or a peer's value is not positive.
    """
    if len(ours.values) != len(theirs.values):
        raise ValueError(f"{len(ours.values)} rounds cannot be paired with {len(theirs.values)}")
    if theirs.low <= 0:
        raise ValueError("a ratio needs positive values below the line")
    quotients = [mine / other for mine, other in zip(ours.values, theirs.values, strict=True)]
    return Ratio(ours.median / theirs.median, min(quotients), max(quotients))


def digits(value: float) -> str:
    """A number with the three digits that a measurement deserves."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}"
