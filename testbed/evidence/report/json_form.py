"""The report as JSON, and the published schema of it, both derived from the dataclasses."""

from __future__ import annotations

import types
import typing
from dataclasses import fields, is_dataclass
from typing import Any

from testbed.evidence.report.data import OUTCOMES, RunReport

VERSION = 1
_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}


def to_json(report: RunReport) -> dict[str, Any]:
    """The report as plain JSON data; absent optional fields are left out."""
    return {
        "v": VERSION,
        "verdict": report.verdict,
        "counts": {outcome: report.count(outcome) for outcome in OUTCOMES},
        **_plain(report),
    }


def report_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``report.json``."""
    body = _object_schema(RunReport)
    counts = {outcome: {"type": "integer", "minimum": 0} for outcome in OUTCOMES}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "testbed report",
        **body,
        "properties": {
            "v": {"const": VERSION},
            "verdict": {"enum": ["passed", "failed", "skipped"]},
            "counts": {
                "type": "object",
                "properties": counts,
                "required": list(OUTCOMES),
                "additionalProperties": False,
            },
            **body["properties"],
        },
        "required": ["v", "verdict", "counts", *body["required"]],
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        kind = getattr(type(value), "kind", None)
        data: dict[str, Any] = {} if kind is None else {"kind": kind}
        for field in fields(value):
            item = getattr(value, field.name)
            if item is not None and not field.metadata.get("html_only"):
                data[field.name] = _plain(item)
        return data
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        # Lone surrogates (bytes of a program's output that are no UTF-8) cannot be written.
        return value.encode(errors="replace").decode()
    return value


def _type_schema(hint: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        variants = [_type_schema(arg) for arg in arguments if arg is not type(None)]
        return variants[0] if len(variants) == 1 else {"oneOf": variants}
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return {"type": "array", "items": _type_schema(arguments[0])}
        return {
            "type": "array",
            "prefixItems": [_type_schema(arg) for arg in arguments],
            "items": False,
            "minItems": len(arguments),
        }
    if is_dataclass(hint) and isinstance(hint, type):
        return _object_schema(hint)
    return {"type": _SIMPLE[hint]}


def _object_schema(cls: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    shown = [field for field in fields(cls) if not field.metadata.get("html_only")]
    properties = {field.name: _type_schema(hints[field.name]) for field in shown}
    if "outcome" in properties:
        properties["outcome"] = {"enum": list(OUTCOMES)}
    # An absent optional field is left out; every other one is written, its default too.
    required = [
        field.name for field in shown if type(None) not in typing.get_args(hints[field.name])
    ]
    if hasattr(cls, "kind"):
        properties = {"kind": {"const": cls.kind}, **properties}
        required = ["kind", *required]
    return {
        "type": "object",
        "description": " ".join((cls.__doc__ or "").split("\n\n")[0].split()),
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
