"""Events for tests: one of each kind by example, and any of them for hypothesis."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from hypothesis import strategies as st

from testbed.events import EspSpis, Event, IkeSpis
from testbed.events.codec import event_types

_SIMPLE = {str: "text", int: 3, float: 1.5, bool: True}
_HEX = "0123456789abcdef"


def sample(cls: type[Any], simple: Mapping[type, object] = _SIMPLE) -> Any:
    """One value of that class, every field filled; SPIs are SPIs, lists have two items."""
    if cls is IkeSpis:
        return IkeSpis("0123456789abcdef", "fedcba9876543210")
    if cls is EspSpis:
        return EspSpis("c0ffee01", "c0ffee02")
    hints = typing.get_type_hints(cls)
    return cls(**{field.name: _value(hints[field.name], simple) for field in fields(cls)})


def _value(hint: Any, simple: Mapping[type, object]) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _value(arguments[0], simple)
    if origin is tuple:
        return (_value(arguments[0], simple), _value(arguments[0], simple))
    if origin is typing.Literal:
        return arguments[0]
    return sample(hint, simple) if isinstance(hint, type) and is_dataclass(hint) else simple[hint]


def ike_spis() -> st.SearchStrategy[IkeSpis]:
    """Any pair of IKE SPIs."""
    return st.builds(IkeSpis, *[st.text(_HEX, min_size=16, max_size=16)] * 2)


def esp_spis() -> st.SearchStrategy[EspSpis]:
    """Any pair of ESP SPIs."""
    return st.builds(EspSpis, *[st.text(_HEX, min_size=8, max_size=8)] * 2)


st.register_type_strategy(IkeSpis, ike_spis())
st.register_type_strategy(EspSpis, esp_spis())


def events() -> st.SearchStrategy[Event]:
    """Any event of any kind."""
    return st.one_of([st.builds(cls) for _, cls in sorted(event_types().items())])
