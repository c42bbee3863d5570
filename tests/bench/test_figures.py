"""The statistics of the benchmarks."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Ratio, Sample, digits, ratio
from bench.section import times, with_spread

positive = st.floats(1e-6, 1e6)


def test_a_sample_is_told_by_its_median_and_extremes() -> None:
    sample = Sample.of([5.0, 1.0, 3.0])
    assert (sample.low, sample.median, sample.high) == (1.0, 3.0, 5.0)
    assert with_spread(sample) == "3.00 (1.00-5.00)"
    assert with_spread(sample.scaled(1000)) == "3,000 (1,000-5,000)"
    assert with_spread(Sample.of([0.5])) == "0.5"


def test_a_ratio_is_that_of_the_medians_with_the_spread_of_the_rounds() -> None:
    found = ratio(Sample.of([10.0, 30.0, 60.0]), Sample.of([10.0, 10.0, 15.0]))
    assert found == Ratio(3.0, 1.0, 4.0)
    assert times(found) == "3.00 (1.00-4.00)"


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=9), positive)
def test_a_ratio_has_no_unit(pairs: list[tuple[float, float]], factor: float) -> None:
    ours, theirs = (Sample.of(side) for side in zip(*pairs, strict=True))
    plain = ratio(ours, theirs)
    scaled = ratio(ours.scaled(factor), theirs.scaled(factor))
    assert scaled.value == pytest.approx(plain.value)
    assert (scaled.low, scaled.high) == pytest.approx((plain.low, plain.high))
    assert plain.value == statistics.median(ours.values) / statistics.median(theirs.values)
    assert plain.low <= plain.high


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="2 rounds cannot be paired with 1"):
        ratio(Sample.of([1, 2]), Sample.of([1]))
    with pytest.raises(ValueError, match="positive"):
        ratio(Sample.of([1, 2]), Sample.of([1, 0]))
    with pytest.raises(ValueError, match="at least one"):
        Sample.of([])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1234.5, "1,234"),
        (-0.5, "-0.5"),
        (-12.34, "-12.3"),
    ],
)
def test_three_digits_are_shown(value: float, shown: str) -> None:
    assert digits(value) == shown
