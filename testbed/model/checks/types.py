"""Every field holds what its annotation says: Python authors can put anything anywhere."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Any

from testbed.errors import Place, Problem
from testbed.model.fault import Fault
from testbed.model.impairment import Impairment
from testbed.model.service import Ready, Service
from testbed.model.topology import Interface, Link, Node, Route, Topology

_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    IPv4Interface: 'an address made by ip_interface("192.0.2.1/24")',
    IPv6Interface: 'an address made by ip_interface("192.0.2.1/24")',
    IPv4Network: 'a prefix made by ip_network("192.0.2.0/24")',
    IPv6Network: 'a prefix made by ip_network("192.0.2.0/24")',
    Fault: "a Fault",
    Place: "a Place",
    Impairment: "an Impairment",
    Ready: "a Ready",
    Service: "a Service",
    Interface: "an Interface",
    Link: "a Link",
    Node: "a Node",
    Route: "a Route",
}


_HINTS: dict[type[Any], dict[str, Any]] = {}


def _hints(kind: type[Any]) -> dict[str, Any]:
    if kind not in _HINTS:
        hints = typing.get_type_hints(kind)
        _HINTS[kind] = {f.name: hints[f.name] for f in fields(kind)}
    return _HINTS[kind]


def check_types(topology: Topology) -> Iterator[Problem]:
    """Fields of a wrong type, and text that no file can hold."""
    yield from _fields(topology, "", None)


def _fields(value: Any, path: str, place: Place | None) -> Iterator[Problem]:
    own = getattr(value, "place", None)
    place = own if isinstance(own, Place) else place
    for name, hint in _hints(type(value)).items():
        below = f"{path}.{name}" if path else name
        yield from _check(getattr(value, name), hint, below, place)


def _check(value: Any, hint: Any, path: str, place: Place | None) -> Iterator[Problem]:
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if typing.get_origin(hint) is tuple:
        yield from _check_tuple(value, hint, path, place)
    elif not any(_is(value, choice) for choice in choices):
        words = dict.fromkeys(_WORDS[choice] for choice in choices if choice is not type(None))
        what = f"{_last(path)} must be {' or '.join(words)}, not {_shown(value)}"
        yield Problem("wrong-type", what, path, place)
    elif isinstance(value, str):
        yield from _check_text(value, path, place)
    elif is_dataclass(value):
        yield from _fields(value, path, place)


def _is(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _check_tuple(value: Any, hint: Any, path: str, place: Place | None) -> Iterator[Problem]:
    arguments = typing.get_args(hint)
    if not isinstance(value, tuple):
        what = f"{_last(path)} must be a tuple, not {_shown(value)}"
        tip = "write (one, two), not [one, two]"
        if isinstance(value, str):
            tip = 'a tuple of one needs a comma: ("one",)'
        elif isinstance(value, dict):
            tip = 'write pairs: (("key", "value"), ...)'
        yield Problem("wrong-type", what, path, place, tip)
    elif arguments[-1] is Ellipsis:
        for index, item in enumerate(value):
            yield from _check(item, arguments[0], f"{path}{_label(item, index)}", place)
    elif len(value) != len(arguments):
        what = f"{_last(path)} must hold {len(arguments)} things, not {len(value)}"
        yield Problem("wrong-type", what, path, place)
    else:
        for item, argument in zip(value, arguments, strict=True):
            yield from _check(item, argument, path, place)


def _label(item: Any, index: int) -> str:
    name = getattr(item, "name", None)
    named = isinstance(item, Node | Link | Service) and isinstance(name, str)
    return f".{name}" if named else f"[{index}]"


def _last(path: str) -> str:
    return path.rsplit(".", maxsplit=1)[-1]


def _shown(value: Any) -> str:
    """Only the type: the value may be a secret."""
    return "None" if value is None else f"a {type(value).__name__}"


def _check_text(value: str, path: str, place: Place | None) -> Iterator[Problem]:
    try:
        value.encode()
    except UnicodeEncodeError:
        what = f"{_last(path)} holds half a character (a lone surrogate)"
        yield Problem("bad-text", what, path, place)
