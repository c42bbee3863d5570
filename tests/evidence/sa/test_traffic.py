"""Probes in bins: nothing is lost or made up, and losses are where they were."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.events import Note, Probes, Record
from testbed.evidence.sa.traffic import Report, Stream, bins_of, streams_of

S = 10**9


@st.composite
def _reports(draw: st.DrawFn) -> Report:
    since = draw(st.integers(0, 1000))
    until = since + draw(st.integers(0, 300))
    sent = draw(st.integers(0, 50))
    lost = draw(st.integers(0, sent))
    told = draw(st.lists(st.integers(since, max(until - 1, since)), max_size=lost, unique=True))
    return Report(since, until, sent, sent - lost, tuple(sorted(told)))


@given(st.lists(_reports(), max_size=8), st.integers(1, 400))
def test_all_probes_are_in_the_bins_that_cover_them(reports: Sequence[Report], width: int) -> None:
    stream = Stream("pc", "ping", tuple(reports))
    bins = bins_of(stream, 0, width, 1400 // width + 1)
    assert sum(one.answered for one in bins) == pytest.approx(stream.sent - stream.lost)
    assert sum(one.lost for one in bins) == pytest.approx(stream.lost)
    assert all(one.answered >= 0 and one.lost >= 0 for one in bins)
    for index, one in enumerate(bins):
        known = [t for t in stream.lost_ns if index * width <= t < (index + 1) * width]
        assert one.lost >= len(known) - 1e-9


@given(st.lists(_reports(), max_size=5), st.integers(1, 400), st.integers(-500, 1500))
def test_what_lies_outside_is_in_no_bin(reports: Sequence[Report], width: int, start: int) -> None:
    stream = Stream("pc", "ping", tuple(reports))
    whole = bins_of(stream, start - 5 * width, width, 9 + 900 // width)
    for one, same in zip(bins_of(stream, start, width, 4), whole[5:9], strict=True):
        assert (one.answered, one.lost) == pytest.approx((same.answered, same.lost))


def test_a_bin_with_a_loss_is_as_full_as_its_neighbours() -> None:
    stream = Stream("pc", "ping", (Report(0, 100, 10, 8, (31, 35)),))
    bins = bins_of(stream, 0, 20, 5)
    assert [(one.answered, one.lost) for one in bins] == [(2, 0), (0, 2), (2, 0), (2, 0), (2, 0)]


def test_streams_by_sender_and_name_repeated_reports_once() -> None:
    one = Record(60 * S, "test", Probes("ping", 0, 60, 59, (5 * S,)), "pc")
    two = Record(120 * S, "test", Probes("ping", 60 * S, 60, 60), "pc")
    other = Record(60 * S, "test", Probes("ping", 0, 10, 0), "vm")
    streams = streams_of([two, one, other, one, Record(1, "test", Note("x"), "pc")])
    assert [(s.node, s.name, s.sent, s.lost, s.lost_ns) for s in streams] == [
        ("pc", "ping", 120, 1, (5 * S,)),
        ("vm", "ping", 10, 10, ()),
    ]
