"""Every field holds what its annotation says: Python authors can put anything anywhere."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Any

from testbed.errors import Place, Problem
from testbed.model.fault import Fault
from testbed.model.impairment import Impairment
from testbed.model.service import Ready, Service
from testbed.model.topology import Interface, Link, MininetSource, Node, Route, Topology

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
    MininetSource: "a MininetSource",
    Node: "a Node",
    Route: "a Route",
}


@dataclass(frozen=True, slots=True)
class _Hint:
    """An annotation taken apart once, because a lab has very many fields."""

    choices: tuple[Any, ...]
    items: tuple[_Hint, ...] = ()  # of a tuple: one for each item, or one for all
    any_length: bool = False
    plain: frozenset[type[Any]] = frozenset()  # exactly these types need no closer look


_HINTS: dict[type[Any], list[tuple[str, _Hint, Any]]] = {}


def _hint(annotation: Any) -> _Hint:
    if typing.get_origin(annotation) is tuple:
        arguments = typing.get_args(annotation)
        endless = arguments[-1] is Ellipsis
        items = tuple(_hint(item) for item in (arguments[:1] if endless else arguments))
        return _Hint((tuple,), items, endless)
    union = isinstance(annotation, types.UnionType)
    choices = typing.get_args(annotation) if union else (annotation,)
    plain = {choice for choice in choices if choice is not str and not is_dataclass(choice)}
    return _Hint(choices, plain=frozenset(plain | {int} if float in plain else plain))


def _hints(kind: type[Any]) -> list[tuple[str, _Hint, Any]]:
    """Name, annotation and default of every field."""
    if kind not in _HINTS:
        hints = typing.get_type_hints(kind)
        _HINTS[kind] = [(f.name, _hint(hints[f.name]), f.default) for f in fields(kind)]
    return _HINTS[kind]


def check_types(topology: Topology) -> Iterator[Problem]:
    """Fields of a wrong type, and text that no file can hold."""
    yield from _fields(topology, "", None)


def _fields(value: Any, path: str, place: Place | None) -> Iterator[Problem]:
    own = getattr(value, "place", None)
    place = own if isinstance(own, Place) else place
    for name, hint, default in _hints(type(value)):
        held = getattr(value, name)
        if held is not default and type(held) not in hint.plain:
            yield from _check(held, hint, f"{path}.{name}" if path else name, place)


def _check(value: Any, hint: _Hint, path: str, place: Place | None) -> Iterator[Problem]:
    if hint.items:
        yield from _check_tuple(value, hint, path, place)
    elif not any(_is(value, choice) for choice in hint.choices):
        wanted = (_WORDS[choice] for choice in hint.choices if choice is not type(None))
        what = f"{_last(path)} must be {' or '.join(dict.fromkeys(wanted))}, not {_shown(value)}"
        yield Problem("wrong-type", what, path, place)
    elif isinstance(value, str):
        if not value.isascii():
            yield from _check_text(value, path, place)
    elif is_dataclass(value):
        yield from _fields(value, path, place)


def _is(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _check_tuple(value: Any, hint: _Hint, path: str, place: Place | None) -> Iterator[Problem]:
    if not isinstance(value, tuple):
        what = f"{_last(path)} must be a tuple, not {_shown(value)}"
        tip = "write (one, two), not [one, two]"
        if isinstance(value, str):
            tip = 'a tuple of one needs a comma: ("one",)'
        elif isinstance(value, dict):
            tip = 'write pairs: (("key", "value"), ...)'
        yield Problem("wrong-type", what, path, place, tip)
    elif hint.any_length:
        for index, item in enumerate(value):
            if type(item) not in hint.items[0].plain:
                yield from _check(item, hint.items[0], f"{path}{_label(item, index)}", place)
    elif len(value) != len(hint.items):
        what = f"{_last(path)} must hold {len(hint.items)} things, not {len(value)}"
        yield Problem("wrong-type", what, path, place)
    else:
        for item, argument in zip(value, hint.items, strict=True):
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
