"""The short forms: what they mean, that writing is exact, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.model import Ready, Route
from testbed.model.text_forms import (
    format_fraction,
    format_rate,
    format_ready,
    format_route,
    format_seconds,
    parse_end,
    parse_fraction,
    parse_rate,
    parse_ready,
    parse_route,
    parse_seconds,
)
from tests.model.strategies import fractions, seconds

# Written out by hand: unit, and how many seconds, bits or parts it is, exactly.
UNITS = [
    (parse_seconds, "7ns", Fraction(7, 10**9)),
    (parse_seconds, "250us", Fraction(250, 10**6)),
    (parse_seconds, "20ms", Fraction(20, 1000)),
    (parse_seconds, "0.1 ms", Fraction(1, 10**4)),
    (parse_seconds, "1.5s", Fraction(3, 2)),
    (parse_seconds, "2min", Fraction(120)),
    (parse_seconds, "1h", Fraction(3600)),
    (parse_rate, "64bit", Fraction(64)),
    (parse_rate, "56.6kbit", Fraction(56_600)),
    (parse_rate, "100Mbit/s", Fraction(10**8)),
    (parse_rate, "1.5 gbit", Fraction(15 * 10**8)),
    (parse_rate, "1tbit", Fraction(10**12)),
    (parse_fraction, "1%", Fraction(1, 100)),
    (parse_fraction, "0.1 %", Fraction(1, 1000)),
    (parse_fraction, "100%", Fraction(1)),
]


@pytest.mark.parametrize(("parse", "text", "meaning"), UNITS, ids=str)
def test_units(parse: Callable[[str], float], text: str, meaning: Fraction) -> None:
    assert parse(text) == float(meaning)  # the float nearest to the exact value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_seconds, ""),
        (parse_seconds, "20"),
        (parse_seconds, "-20ms"),
        (parse_seconds, "20 m"),
        (parse_seconds, "1e3ms"),
        (parse_seconds, "20ms\n"),
        (parse_seconds, "٢٠ms"),
        (parse_seconds, "1" * 100 + "ms"),
        (parse_rate, "100mbps"),  # bytes to tc(8), bits to everybody else
        (parse_rate, "100m"),
        (parse_rate, "0.5bit"),
        (parse_rate, "10mibit"),
        (parse_fraction, "0.5"),
        (parse_fraction, "50 percent"),
    ],
)
def test_what_is_no_quantity(parse: Callable[[str], float], text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse(text)


@given(seconds)
def test_seconds_are_written_exactly(value: float) -> None:
    written = format_seconds(value)
    assert (parse_seconds(written) if isinstance(written, str) else written) == value


@given(fractions)
def test_fractions_are_written_exactly(value: float) -> None:
    written = format_fraction(value)
    assert (parse_fraction(written) if isinstance(written, str) else written) == value


@given(st.integers(1, 10**15))
def test_rates_are_written_exactly(value: int) -> None:
    written = format_rate(value)
    assert (parse_rate(written) if isinstance(written, str) else written) == value


def test_quantities_are_written_for_people() -> None:
    assert format_seconds(0.02) == "20ms"
    assert format_seconds(1.5) == "1.5s"
    assert format_seconds(0.00025) == "250us"
    assert format_fraction(0.005) == "0.5%"
    assert format_rate(100_000_000) == "100mbit"
    assert format_rate(1_500_000_000) == "1500mbit"


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("default via 192.0.2.1", Route(ip_network("0.0.0.0/0"), via="192.0.2.1")),
        ("default via fe80::1 dev wan", Route(ip_network("::/0"), via="fe80::1", dev="wan")),
        ("default6 dev wan", Route(ip_network("::/0"), dev="wan")),
        ("203.0.113.0/24 blackhole", Route(ip_network("203.0.113.0/24"), kind="blackhole")),
        (
            "2001:db8::/32 via 2001:db8:1::1 metric 10 mtu 1460",
            Route(ip_network("2001:db8::/32"), via="2001:db8:1::1", metric=10, mtu=1460),
        ),
        ("198.51.100.7 dev lan", Route(ip_network("198.51.100.7/32"), dev="lan")),
    ],
)
def test_routes(text: str, route: Route) -> None:
    assert parse_route(text) == route
    written = format_route(route)
    assert written is not None
    assert parse_route(written) == route


@pytest.mark.parametrize(
    "route",
    [
        Route(ip_network("10.0.0.0/8"), via="next hop"),  # a blank: two words
        Route(ip_network("10.0.0.0/8"), dev=""),
        Route(ip_network("10.0.0.0/8"), kind="throw"),
        Route(ip_network("10.0.0.0/8"), metric=-1, dev="a"),
    ],
)
def test_a_route_no_text_means(route: Route) -> None:
    assert format_route(route) is None


@pytest.mark.parametrize(
    "text",
    ["", "default via", "default via a via b", "10.0.0.0/8 mtu 1.5", "10.0.0.0/8 onlink", "x/y"],
)
def test_what_is_no_route(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_route(text)


@pytest.mark.parametrize("text", ["", "a", "a:", ":b", "a:b c", "a:b 192.0.2.1", "a: b"])
def test_what_is_no_end(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_end(text)


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("tcp 80", Ready("tcp", "80")),
        ("log listening on .* port", Ready("log", "listening on .* port")),
        ("notify", Ready("notify")),
        ("command  two blanks ", Ready("command", " two blanks ")),
    ],
)
def test_readiness(text: str, ready: Ready) -> None:
    assert parse_ready(text) == ready
    assert format_ready(ready) == text


def test_a_readiness_with_its_own_timeout_has_no_short_form() -> None:
    assert format_ready(Ready("tcp", "80", timeout=3.0)) is None
