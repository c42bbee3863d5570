"""Durations and moments: what they mean, that writing is exact, and what is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.moments import (
    MomentError,
    as_duration,
    as_moment,
    format_duration,
    format_moment,
    from_ns,
    parse_duration,
    parse_moment,
    to_ns,
)

NOW = datetime(2017, 7, 15, 9, 55, 33, tzinfo=UTC)
JST = timezone(timedelta(hours=9))

durations = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10**6))
moments = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("3h", 10_800),
        ("90 min", 5_400),
        ("90m", 5_400),
        ("1h 30min", 5_400),
        ("1h30min", 5_400),
        ("1.5 hours", 5_400),
        ("2 days", 172_800),
        ("1d 0.5h", 88_200),
        ("27000s", 27_000),
        ("1 hour 1 minute 1 second", 3_661),
        (" 45 s ", 45),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


def test_short_durations() -> None:
    assert parse_duration("250ms") == timedelta(microseconds=250_000)
    assert parse_duration("1s 1ms 1us") == timedelta(microseconds=1_001_001)
    assert parse_duration("0.000001s") == timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no duration"),
        ("   ", "is no duration"),
        ("3", "it has no unit"),
        ("3.5", "it has no unit"),
        ("-3h", "does not run backwards"),
        ("3 weeks", "'weeks' is no unit"),
        ("3H", "'H' is no unit"),
        ("5M", "'M' is no unit"),
        ("30min 1h", "the larger first"),
        ("1h 1h", "each unit comes once"),
        ("1.5h 30min", "only the last"),
        ("1h,30min", "is no duration"),
        ("1h and", "is no duration"),
        ("1e3s", "'e' is no unit"),
        ("٣h", "is no duration"),
        ("0.5us", "finer than a microsecond"),
        ("9" * 30 + "d", "longer than the calendar"),
        ("1" * 100 + "s", "is no duration"),
        ("01:30:00", "is no duration"),
    ],
)
def test_what_is_no_duration(text: str, why: str) -> None:
    with pytest.raises(MomentError, match=re.escape(why)):
        parse_duration(text)


@given(durations)
def test_durations_are_written_exactly(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@given(st.integers(0, 10**6), st.integers(0, 10**7), st.sampled_from(["", " ", "  "]))
def test_parts_add_up(hours: int, milliseconds: int, space: str) -> None:
    text = f"{hours}{space}h{space}{milliseconds}{space}ms"
    assert parse_duration(text) == timedelta(hours=hours, milliseconds=milliseconds)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2017-07-16 09:56:52", datetime(2017, 7, 16, 9, 56, 52, tzinfo=UTC)),
        ("2017-07-16T09:56:52Z", datetime(2017, 7, 16, 9, 56, 52, tzinfo=UTC)),
        ("2017-07-16 09:56:52 +09:00", datetime(2017, 7, 16, 0, 56, 52, tzinfo=UTC)),
        ("2017-07-16 09:56:52.000250", datetime(2017, 7, 16, 9, 56, 52, 250, tzinfo=UTC)),
        ("2017-07-16 09:56:52.5000000", datetime(2017, 7, 16, 9, 56, 52, 500_000, tzinfo=UTC)),
        ("2017-07-16 9:56", datetime(2017, 7, 16, 9, 56, tzinfo=UTC)),
        ("2017-07-16", datetime(2017, 7, 16, tzinfo=UTC)),
        ("09:55:33", NOW),
        ("09:56", datetime(2017, 7, 15, 9, 56, tzinfo=UTC)),
        ("09:55", datetime(2017, 7, 16, 9, 55, tzinfo=UTC)),
        ("18:56 +09:00", datetime(2017, 7, 15, 9, 56, tzinfo=UTC)),
        ("18:55 +0900", datetime(2017, 7, 16, 9, 55, tzinfo=UTC)),
        ("now", NOW),
        ("+3h", NOW + timedelta(hours=3)),
        ("in 1h 30min", NOW + timedelta(minutes=90)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment


def test_without_a_zone_it_is_the_zone_of_now() -> None:
    now = NOW.astimezone(JST)  # 18:55:33
    assert parse_moment("2017-07-16 09:56:52", now) == datetime(2017, 7, 16, 0, 56, 52, tzinfo=UTC)
    assert parse_moment("18:56", now) == datetime(2017, 7, 15, 9, 56, tzinfo=UTC)


def test_tomorrow_is_a_day_of_the_calendar_when_the_zone_changes_its_offset() -> None:
    """Berlin, the night to 29 October 2017 has 25 hours: clocks show 12:00 again a day later."""
    now = datetime(2017, 10, 28, 12, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    noon = parse_moment("12:00", now)
    assert noon.astimezone(UTC) == datetime(2017, 10, 29, 11, 0, tzinfo=UTC)


def test_a_mere_duration_counts_from_the_origin() -> None:
    origin = datetime(2017, 7, 15, tzinfo=UTC)
    assert parse_moment("3h", NOW, origin) == origin + timedelta(hours=3)
    with pytest.raises(MomentError) as caught:
        parse_moment("3h", NOW)
    assert caught.value.hint == '"+3h" is that long from now'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no moment"),
        ("tomorrow", "is no moment"),
        ("2017-02-29", "day is out of range for month"),
        ("2017-13-01 00:00", "month must be in 1..12"),
        ("2017-07-16 24:00", "hour must be in 0..23"),
        ("0000-07-16", "year 0 is out of range"),
        ("0001-01-01 00:00 +09:00", "out of range"),
        ("12:60", "minute must be in 0..59"),
        ("12:00 +24:00", "is no time zone"),
        ("2017-07-16 09:56:52.0000001", "finer than a microsecond"),
        ("16.07.2017 09:56", "is no moment"),
        ("2017-7-16", "is no moment"),
        ("+3 weeks", "'weeks' is no unit"),
        ("+9999999d", "the calendar has ended"),
        ("1500198412", "is no moment"),
        ("2017-07-16 09:56:52" + " " * 100, "is no moment"),
    ],
)
def test_what_is_no_moment(text: str, why: str) -> None:
    with pytest.raises(MomentError, match=re.escape(why)):
        parse_moment(text, NOW)


@given(st.text(max_size=100))
def test_any_other_text_is_refused_in_words(text: str) -> None:
    for parse in (parse_duration, lambda words: parse_moment(words, NOW, NOW)):
        try:
            parse(text)
        except MomentError as error:
            assert error.what


@given(moments)
def test_moments_are_written_exactly(moment: datetime) -> None:
    assert parse_moment(format_moment(moment), NOW.astimezone(UTC)) == moment
    assert from_ns(to_ns(moment)) == moment


@given(st.times(), moments.filter(lambda moment: moment.year < 9999))
def test_a_time_of_day_is_the_next_one(time: object, now: datetime) -> None:
    found = parse_moment(f"{time:%H:%M:%S.%f}", now)
    assert f"{found:%H:%M:%S.%f}" == f"{time:%H:%M:%S.%f}"
    assert timedelta(0) <= found - now < timedelta(days=1)


def test_other_forms() -> None:
    assert as_duration(90) == as_duration("90s") == as_duration(timedelta(seconds=90))
    assert as_duration(0.1) == timedelta(milliseconds=100)
    assert as_moment(NOW, NOW) is NOW
    assert as_moment(datetime(2017, 7, 16), NOW) == datetime(2017, 7, 16, tzinfo=UTC)
    for none in (-1, float("nan"), float("inf"), 1e300, timedelta(-1)):
        with pytest.raises(MomentError, match="is no duration"):
            as_duration(none)
