"""Events to and from JSON lines; strict both ways."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any

from testbed.errors import TestbedError
from testbed.events import kinds, routing_kinds, sa_kinds
from testbed.events.kinds import Event, Record

VERSION = 1
ORIGINS = ("harness", "service", "capture", "test")
_HEAD = ("time_ns", "origin", "node", "service")


class EventFormatError(TestbedError):
    """A line is not an event of this version."""


@cache
def event_types() -> dict[str, type[Event]]:
    """Every kind of event by its JSON name."""
    return {
        value.kind: value
        for module in (kinds, routing_kinds, sa_kinds)
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Event)
        and value is not Event
        and "kind" in vars(value)
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: _plain(item) for name, item in pairs if item is not None}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def to_json(record: Record) -> dict[str, Any]:
    """The record as plain JSON data; absent optional fields are left out."""
    data: dict[str, Any] = {
        "v": VERSION,
        "time_ns": record.time_ns,
        "origin": record.origin,
        "kind": record.event.kind,
    }
    if record.node is not None:
        data["node"] = record.node
    if record.service is not None:
        data["service"] = record.service
    data["data"] = _plain(record.event)
    return data


def encode(record: Record) -> str:
    """The record as one JSON line, without the newline."""
    return json.dumps(to_json(record), ensure_ascii=False, separators=(",", ":"))


_HINTS: dict[str, dict[str, Any]] = {}


def _hints(cls: type[Any]) -> dict[str, Any]:
    if cls.__name__ not in _HINTS:
        _HINTS[cls.__name__] = typing.get_type_hints(cls)
    return _HINTS[cls.__name__]


def _build(hint: Any, value: Any, where: str) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if value is None:
            return None
        (hint,) = [arg for arg in typing.get_args(hint) if arg is not type(None)]
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise EventFormatError(f"{where}: a list is expected")
        return tuple(_build(typing.get_args(hint)[0], item, where) for item in value)
    if typing.get_origin(hint) is typing.Literal:
        if not isinstance(value, str) or value not in typing.get_args(hint):
            words = ", ".join(typing.get_args(hint))
            raise EventFormatError(f"{where}: one of {words} is expected, not {value!r}")
        return value
    if is_dataclass(hint) and isinstance(hint, type):
        return _build_object(hint, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise EventFormatError(f"{where}: {hint.__name__} is expected, not {value!r}")
    return value


def _build_object(cls: type[Any], value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise EventFormatError(f"{where}: an object is expected")
    hints = _hints(cls)
    known = {f.name: f for f in fields(cls)}
    for name in value:
        if name not in known:
            raise EventFormatError(f"{where}: unknown field {name!r}")
    arguments: dict[str, Any] = {}
    for name, spec in known.items():
        if name in value:
            arguments[name] = _build(hints[name], value[name], f"{where}.{name}")
        elif spec.default is MISSING:
            raise EventFormatError(f"{where}: field {name!r} is missing")
    try:
        return cls(**arguments)
    except ValueError as error:  # a value that checks itself, such as an SPI
        raise EventFormatError(f"{where}: {error}") from error


def decode(line: str | bytes) -> Record:
    """Read one JSON line.

    Raises:
        EventFormatError: the line is not a valid event of this version.
    """
    try:
        data = json.loads(line)
    except ValueError as error:
        raise EventFormatError(f"not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("v") != VERSION:
        raise EventFormatError(f"not an event of version {VERSION}")
    cls = event_types().get(str(data.get("kind")))
    if cls is None:
        raise EventFormatError(f"unknown kind of event {data.get('kind')!r}")
    event = _build_object(cls, data.get("data"), str(data["kind"]))
    head = {key: value for key, value in data.items() if key not in ("v", "kind", "data")}
    for key in head:
        if key not in _HEAD:
            raise EventFormatError(f"unknown field {key!r}")
    if head.get("origin") not in ORIGINS:
        raise EventFormatError(f"the origin is one of {', '.join(ORIGINS)}")
    checked = {
        key: _build(_hints(Record)[key], value, f"record.{key}") for key, value in head.items()
    }
    try:
        return Record(event=event, **checked)
    except TypeError as error:
        raise EventFormatError(f"incomplete record: {error}") from error
