"""Durations and moments as people write them: ``3h``, ``1h 30min``, ``2017-07-16 09:56:52``.

One reading for the clock of a lab, for schedules of faults and for the command line.  Everything is
exact to the microsecond, the finest that :class:`datetime.timedelta` holds; no float comes between.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

from testbed.errors import TestbedError

Duration = timedelta | str | float
"""How long: a timedelta, words (``"90min"``), or a number of seconds."""

Moment = datetime | str
"""When: a datetime (UTC if it has no time zone), or words (see :func:`parse_moment`)."""

_MICROSECONDS = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "min": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_NAMES = {
    "d": ("d", "day", "days"),
    "h": ("h", "hour", "hours"),
    "min": ("min", "m", "minute", "minutes"),
    "s": ("s", "sec", "second", "seconds"),
    "ms": ("ms",),
    "us": ("us",),
}
_UNIT = {name: unit for unit, names in _NAMES.items() for name in names}
_ORDER = list(_MICROSECONDS)

_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)", re.ASCII)
_DAY = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_TIME = (
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<part>[0-9]+))?)?"
)
_ZONE = r"(?: ?(?P<zone>Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
_FULL = re.compile(rf"{_DAY}(?:(?:[ T]){_TIME}{_ZONE})?", re.ASCII)
_OF_DAY = re.compile(rf"{_TIME}{_ZONE}", re.ASCII)
_AFTER = re.compile(r"(?:\+\s*|in\s+)(?P<duration>.*)", re.ASCII | re.DOTALL)

_LONGEST_TEXT = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DURATIONS = 'write it like "3h", "1h 30min", "2 days", "45s" or "250ms"'
_MOMENTS = 'write it like "2017-07-16 09:56:52", "09:57" or "+3h" (from now)'


class MomentError(TestbedError):
    """A text is no duration or no moment, or lies where the calendar ends."""


def parse_duration(text: str) -> timedelta:
    """How long ``3h``, ``1h 30min``, ``1.5 days`` or ``250ms`` is.

    Units are ``d``, ``h``, ``min`` (or ``m``), ``s``, ``ms`` and ``us``, or words such as hours
    and minutes; each comes once, the larger first, and only the last number may have a fraction.

    Raises:
        MomentError: it is none, or finer than a microsecond.
    """
    shown = _shown(text)
    if re.fullmatch(r"\s*-.*", text, re.DOTALL):
        raise MomentError(f"{shown} is no duration: time does not run backwards", hint=_DURATIONS)
    if re.fullmatch(r"\s*[0-9.]+\s*", text, re.ASCII):
        raise MomentError(f"{shown} is no duration: it has no unit", hint=_DURATIONS)
    total, position, last, whole = Fraction(0), 0, -1, True
    end = len(text.rstrip()) if len(text) <= _LONGEST_TEXT else 0
    while position < end:
        part = _PART.match(text, position)
        if part is None:
            break
        number, name = part.groups()
        unit = _UNIT.get(name)
        if unit is None:
            units = ", ".join(_MICROSECONDS)
            raise MomentError(f"{shown}: {name!r} is no unit of time", hint=f"units are {units}")
        if _ORDER.index(unit) <= last or not whole:
            raise MomentError(
                f"{shown} is no duration: each unit comes once, the larger first, "
                "and only the last number may have a fraction",
                hint=_DURATIONS,
            )
        last, whole = _ORDER.index(unit), "." not in number
        total += Fraction(number) * _MICROSECONDS[unit]
        position = part.end()
    if position == 0 or position < end:
        raise MomentError(f"{shown} is no duration", hint=_DURATIONS)
    if total.denominator != 1:
        raise MomentError(f"{shown} is finer than a microsecond")
    try:
        return total.numerator * _MICROSECOND
    except OverflowError as error:
        raise MomentError(f"{shown} is longer than the calendar") from error


def format_duration(duration: timedelta) -> str:
    """``1h 30min``, ``27000s`` as ``7h 30min``; parses back to exactly the same."""
    rest = duration // _MICROSECOND
    if rest < 0:
        return f"-{format_duration(-duration)}"
    parts = []
    for unit, size in _MICROSECONDS.items():
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts) or "0s"


def parse_moment(text: str, now: datetime, origin: datetime | None = None) -> datetime:
    """When a text means, seen from ``now``.

    ``2017-07-16 09:56:52.5`` and ``2017-07-16`` (its first moment) are moments of the calendar;
    ``09:56`` is the next time a clock shows it (now, if it does now); ``+3h`` and ``in 3h`` count
    from now, and ``now`` is now.  ``Z``, ``UTC`` or ``+09:00`` after the time is its time zone,
    else it is that of ``now``.  A mere duration, ``3h``, counts from ``origin`` if there is one.

    Args:
        text: the words.
        now: an aware datetime.
        origin: for a clock that began somewhere: an aware datetime.

    Raises:
        MomentError: it is no moment, or there is no such day or time.
    """
    words = text.strip()
    if len(text) > _LONGEST_TEXT:
        raise MomentError(f"{_shown(text)} is no moment", hint=_MOMENTS)
    if words == "now":
        return now
    if after := _AFTER.fullmatch(words):
        return later(now, parse_duration(after["duration"]))
    if full := _FULL.fullmatch(words):
        return _calendar(text, full, now)
    if of_day := _OF_DAY.fullmatch(words):
        return _next(text, of_day, now)
    if origin is not None and _PART.match(words):
        return later(origin, parse_duration(text))
    hint = _MOMENTS
    if _PART.match(words):
        hint = f'"+{words}" is that long from now'
    raise MomentError(f"{_shown(text)} is no moment", hint=hint)


def format_moment(moment: datetime) -> str:
    """``2017-07-16 09:56:52`` (UTC), with as many decimals as it needs, at most six."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    # strftime gives years before 1000 without their zeros.
    return text.rjust(26, "0").rstrip("0").rstrip(".")


def as_duration(value: Duration) -> timedelta:
    """A duration from any of its forms; never negative.

    Raises:
        MomentError: it is none.
    """
    if isinstance(value, str):
        return parse_duration(value)
    if not isinstance(value, timedelta):
        try:
            value = round(Fraction(value) * 1_000_000) * _MICROSECOND
        except (ValueError, OverflowError) as error:
            raise MomentError(f"{value!r} seconds is no duration", hint=_DURATIONS) from error
    if value < timedelta(0):
        raise MomentError(f"{format_duration(value)} is no duration: time does not run backwards")
    return value


def as_moment(value: Moment, now: datetime, origin: datetime | None = None) -> datetime:
    """A moment from any of its forms (see :func:`parse_moment`).

    Raises:
        MomentError: it is none.
    """
    if isinstance(value, str):
        return parse_moment(value, now, origin)
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def later(moment: datetime, duration: timedelta) -> datetime:
    """That long after a moment.

    Raises:
        MomentError: the calendar has ended by then.
    """
    try:
        return moment + duration
    except OverflowError as error:
        what = f"{format_duration(duration)} after {format_moment(moment)} the calendar has ended"
        raise MomentError(what) from error


def to_ns(moment: datetime) -> int:
    """Nanoseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND * 1000


def from_ns(time_ns: int) -> datetime:
    """The moment (UTC) of so many nanoseconds since 1970, cut to whole microseconds."""
    return _EPOCH + time_ns // 1000 * _MICROSECOND


def _calendar(text: str, match: re.Match[str], now: datetime) -> datetime:
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError as error:
        raise MomentError(f"{_shown(text)} is no moment: {error}", hint=_MOMENTS) from error
    return _at_time(text, day, match, now)


def _next(text: str, match: re.Match[str], now: datetime) -> datetime:
    today = now if match["zone"] is None else now.astimezone(_zone(text, match["zone"]))
    found = _at_time(text, today, match, now)
    # One day on the calendar, not 24 hours: a zone may have changed its offset in between.
    return found if found >= now else _at_time(text, later(today, timedelta(days=1)), match, now)


def _at_time(text: str, day: datetime, match: re.Match[str], now: datetime) -> datetime:
    part = match["part"] or ""
    if len(part) > 6 and part[6:].strip("0"):
        raise MomentError(f"{_shown(text)} is finer than a microsecond")
    zone = now.tzinfo if match["zone"] is None else _zone(text, match["zone"])
    try:
        moment = day.replace(
            hour=int(match["hour"] or 0),
            minute=int(match["minute"] or 0),
            second=int(match["second"] or 0),
            microsecond=int(part[:6].ljust(6, "0")),
            tzinfo=zone,
        )
        moment.astimezone(UTC)  # the calendar may have ended there
    except (ValueError, OverflowError) as error:
        raise MomentError(f"{_shown(text)} is no moment: {error}", hint=_MOMENTS) from error
    return moment


def _zone(text: str, zone: str) -> timezone:
    if zone in ("Z", "UTC"):
        return UTC
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise MomentError(f"{_shown(text)}: {zone} is no time zone", hint='one is "+09:00"')
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if zone[0] == "-" else offset)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "...")
