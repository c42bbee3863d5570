"""The published JSON Schema of the event stream, derived from the dataclasses themselves."""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from testbed.events.codec import ORIGINS, VERSION, event_types

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _type_schema(hint: Any) -> dict[str, Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = [arg for arg in typing.get_args(hint) if arg is not type(None)]
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": _type_schema(typing.get_args(hint)[0])}
    if typing.get_origin(hint) is typing.Literal:
        return {"enum": list(typing.get_args(hint))}
    if is_dataclass(hint) and isinstance(hint, type):
        return _object_schema(hint)
    return {"type": _SIMPLE[hint]}


def _field_schema(hint: Any, field: Field[Any]) -> dict[str, Any]:
    extra: dict[str, Any] = field.metadata.get("schema", {})
    return _type_schema(hint) | extra


def _object_schema(cls: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {
        "type": "object",
        "properties": {f.name: _field_schema(hints[f.name], f) for f in fields(cls)},
        "required": [f.name for f in fields(cls) if f.default is MISSING],
        "additionalProperties": False,
    }


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of one line of ``events.jsonl``."""
    variants = [
        {
            "title": name,
            "description": (cls.__doc__ or "").strip().splitlines()[0],
            "properties": {"kind": {"const": name}, "data": _object_schema(cls)},
        }
        for name, cls in sorted(event_types().items())
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "testbed event",
        "type": "object",
        "properties": {
            "v": {"const": VERSION},
            "time_ns": {"type": "integer", "description": "ns since the epoch, lab clock"},
            "origin": {"enum": list(ORIGINS)},
            "kind": {"type": "string"},
            "node": {"type": "string"},
            "service": {"type": "string"},
            "data": {"type": "object"},
        },
        "required": ["v", "time_ns", "origin", "kind", "data"],
        "additionalProperties": False,
        "oneOf": variants,
    }
