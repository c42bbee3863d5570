"""The short forms people write: ``20ms``, ``100mbit``, ``1%``, routes, link ends, readiness.

Every ``parse_*`` raises ValueError that says what is wrong; every ``format_*`` gives the form that
parses back to exactly the same value (for a float that no short form holds, a plain number).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from ipaddress import ip_network

from testbed.errors import Place
from testbed.model.service import READY_KINDS, Ready
from testbed.model.topology import Interface, InterfaceAddress, Prefix, Route, parse_address

NUMBER = r"[0-9]+(?:\.[0-9]+)?"
SECONDS_PATTERN = rf"^{NUMBER} ?(ns|us|ms|s|min|h)$"
RATE_PATTERN = rf"^{NUMBER} ?([kKmMgGtT]?[bB][iI][tT])(/s)?$"
FRACTION_PATTERN = rf"^{NUMBER} ?%$"

_SECONDS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
}
_BITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9, "tbit": 10**12}
_MAX_TEXT = 64
_WORD = re.compile(r"[^\s%]+")


def _quantity(text: str, pattern: str, example: str) -> tuple[Decimal, str]:
    match = re.fullmatch(pattern, text) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise ValueError(f"{text[:_MAX_TEXT]!r} is not of the form {example}")
    unit = match.group(1) if match.groups() else ""
    number = re.match(NUMBER, text)
    assert number is not None
    return Decimal(number.group()), unit


def _if_exact(text: str, parse: Callable[[str], float], value: float) -> str | float:
    try:
        return text if parse(text) == value else value
    except ValueError:  # too long, or negative: never of a valid topology
        return value


def parse_seconds(text: str) -> float:
    """``20ms``, ``1.5s``, ``2min`` in seconds."""
    number, unit = _quantity(text, SECONDS_PATTERN, '"20ms", "1.5s" or "2min"')
    return float(number * _SECONDS[unit])


def format_seconds(value: float) -> str | float | int:
    """``20ms`` below a second, ``1.5s`` above; the number where text would lose something."""
    if value == 0:
        return 0
    try:
        exact = Decimal(repr(value))
    except InvalidOperation:  # infinity and NaN never come from a valid topology
        return value
    unit = "s" if exact >= 1 else "ms" if exact >= _SECONDS["ms"] else "us"
    text = f"{exact / _SECONDS[unit]:f}"
    text = (text.rstrip("0").rstrip(".") if "." in text else text) + unit
    return _if_exact(text, parse_seconds, value)


def parse_rate(text: str) -> int:
    """``100mbit`` in bit/s; decimal multiples, as tc(8) counts bits."""
    number, unit = _quantity(text, RATE_PATTERN, '"100mbit" or "1.5gbit"')
    bits = number * _BITS[unit.lower()]
    if bits != bits.to_integral_value():
        raise ValueError(f"{text!r} is not a whole number of bit/s")
    return int(bits)


def format_rate(value: int) -> str | int:
    """The largest unit that keeps the number whole."""
    for unit in ("gbit", "mbit", "kbit"):
        if value > 0 and value % _BITS[unit] == 0:
            return f"{value // _BITS[unit]}{unit}"
    return value


def parse_fraction(text: str) -> float:
    """``1%`` as 0.01."""
    number, _ = _quantity(text, FRACTION_PATTERN, '"1%" or a number from 0 to 1')
    return float(number / 100)


def format_fraction(value: float) -> str | float | int:
    """``1%``; the number itself where text would lose something."""
    if value == 0:
        return 0
    try:
        text = f"{Decimal(repr(value)) * 100:f}"
    except InvalidOperation:
        return value
    text = (text.rstrip("0").rstrip(".") if "." in text else text) + "%"
    return _if_exact(text, parse_fraction, value)


def split_end(text: str) -> tuple[str, str, list[tuple[int, str]]]:
    """``node:interface addr addr`` as node, interface and (offset, text) of each address."""
    words = [(match.start(), match.group()) for match in re.finditer(r"\S+", text)]
    if not words:
        raise ValueError("the end of a link is empty")
    head = words[0][1]
    node, colon, interface = head.partition(":")
    if not colon or not node or not interface:
        raise ValueError(f"{head!r} is not of the form node:interface")
    return node, interface, words[1:]


def parse_end(text: str, place: Place | None = None) -> Interface:
    """``node:interface addr/len addr/len`` as an Interface; ValueError says what is wrong."""
    node, interface, words = split_end(text)
    addresses: list[InterfaceAddress] = [parse_address(word) for _, word in words]
    return Interface(node=node, name=interface, addresses=tuple(addresses), place=place)


def format_end(end: Interface) -> str:
    """The end as ``node:interface addr/len addr/len``; what else it has is not in the text."""
    return " ".join([end.label, *(str(address) for address in end.addresses)])


def parse_prefix(text: str) -> Prefix:
    """``192.0.2.0/24`` or ``2001:db8::/32``; a single address means that address only."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 prefix") from None
    raise ValueError(f"{text!r} has host bits set; the prefix is {network}")


def _whole(word: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= 10):
        raise ValueError(f"{value!r} is not a {word}")
    return int(value)


def parse_route(text: str, place: Place | None = None) -> Route:
    """A route as text; ``default`` takes its family from ``via``, ``default6`` is ``::/0``.

    ``default via 192.0.2.1``, ``2001:db8::/32 via fe80::1 dev wan metric 10 mtu 1460``,
    ``203.0.113.0/24 blackhole``.
    """
    words = text.split()
    if not words:
        raise ValueError("the route is empty")
    to, *rest = words
    options: dict[str, str] = {}
    kind = "unicast"
    while rest:
        word = rest.pop(0)
        if word in ("blackhole", "unreachable", "prohibit") and kind == "unicast":
            kind = word
        elif word in ("via", "dev", "metric", "mtu") and word not in options:
            if not rest:
                raise ValueError(f"{word!r} needs a value in route {text!r}")
            options[word] = rest.pop(0)
        else:
            raise ValueError(f"{word!r} is not understood in route {text!r}")
    if to == "default":
        to = "::/0" if ":" in options.get("via", "") else "0.0.0.0/0"
    elif to == "default6":
        to = "::/0"
    return Route(
        to=parse_prefix(to),
        via=options.get("via"),
        dev=options.get("dev"),
        kind=kind,
        metric=_whole("metric", options["metric"]) if "metric" in options else None,
        mtu=_whole("mtu", options["mtu"]) if "mtu" in options else None,
        place=place,
    )


def format_route(route: Route) -> str | None:
    """The route as text, or None when no text means exactly this route."""
    to = str(route.to)
    if route.to.prefixlen == 0 and route.via is not None:
        same_family = (":" in route.via) == (route.to.version == 6)
        to = "default" if same_family else to
    words = [to]
    for word, value in (("via", route.via), ("dev", route.dev)):
        words += [word, value] if value is not None else []
    words += [route.kind] if route.kind != "unicast" else []
    for word, number in (("metric", route.metric), ("mtu", route.mtu)):
        words += [word, str(number)] if number is not None else []
    text = " ".join(words)
    plain = (route.metric, route.mtu) == (None, None) and route.kind == "unicast"
    if plain and all(value is None or _WORD.fullmatch(value) for value in (route.via, route.dev)):
        return text  # reading it back, to be sure, is what costs
    try:
        return text if parse_route(text) == route else None
    except ValueError:
        return None


def parse_ready(text: str) -> Ready:
    """``tcp 80``, ``log listening on``, ``file {run}/socket``, ``notify``: kind, then its value."""
    kind, _, value = text.partition(" ")
    if kind not in READY_KINDS:
        kinds = ", ".join(READY_KINDS)
        raise ValueError(f"{kind!r} is not a kind of readiness ({kinds})")
    return Ready(kind, value)


def format_ready(ready: Ready) -> str | None:
    """The condition as text, or None when it has a timeout of its own or no text means it."""
    text = f"{ready.kind} {ready.value}" if ready.value else ready.kind
    try:
        return text if parse_ready(text) == ready else None
    except ValueError:
        return None
