"""A parsed file before anyone says what it means: values that know where they stand.

YAML, JSON and plain Python data all become such a tree; :mod:`testbed.model.codec` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testbed.errors import Place, Problem

Scalar = str | int | float | bool | None
MAX_DEPTH = 40
MAX_VALUES = 200_000


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar. ``text_at`` is the place of its first character where it stands there verbatim.

    ``lost`` says that something else stood there, which is no value; it was reported.
    """

    value: Scalar
    place: Place | None = None
    text_at: Place | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Tree, ...]
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value; ``place`` is the key's."""

    key: str
    value: Tree
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping with keys that are all different.

    ``repeated`` are entries whose key was there already, and ``lost`` says that there were entries
    with no usable key; both were reported.
    """

    entries: tuple[Entry, ...]
    place: Place | None = None
    repeated: tuple[Entry, ...] = ()
    lost: bool = False

    def get(self, key: str) -> Entry | None:
        """The entry of that key, if there is one."""
        return next((entry for entry in self.entries if entry.key == key), None)


Tree = Leaf | Items | Entries


def texts_of(tree: Tree) -> Iterator[str]:
    """Every text in it, keys included."""
    match tree:
        case Items():
            for item in tree.items:
                yield from texts_of(item)
        case Entries():
            for entry in (*tree.entries, *tree.repeated):
                yield entry.key
                yield from texts_of(entry.value)
        case Leaf(value=str() as value):
            yield value


def describe(tree: Tree) -> str:
    """What it is, in words, for "a list is expected, not ..."."""
    match tree:
        case Items():
            return "a list"
        case Entries():
            return "a mapping"
        case Leaf(value=None):
            return "nothing"
        case Leaf(value=bool() as value):
            return "true" if value else "false"
        case Leaf(value=str() as value):
            return f"the text {value!r}" if len(value) <= 60 else "a long text"
        case _:
            return f"the number {tree.value}"


def from_plain(data: object, problems: list[Problem], path: str = "") -> Tree:
    """A tree of dicts, lists and scalars; what is none of these is reported as a problem."""
    if data is None or isinstance(data, str | int | float):
        return Leaf(data)
    if isinstance(data, list | tuple):
        return Items(
            tuple(from_plain(item, problems, f"{path}[{i}]") for i, item in enumerate(data))
        )
    if isinstance(data, Mapping):
        entries = []
        lost = False
        for key, value in data.items():
            if isinstance(key, str):
                below = f"{path}.{key}" if path else key
                entries.append(Entry(key, from_plain(value, problems, below)))
            else:
                lost = True
                what = f"a key must be text, not {key!r}"
                problems.append(Problem("bad-key", what, path or "top level"))
        return Entries(tuple(entries), lost=lost)
    what = f"a {type(data).__name__} cannot be part of a topology"
    problems.append(Problem("wrong-type", what, path or "top level"))
    return Leaf(None, lost=True)


_NULL = re.compile(r"(?:|~|null|Null|NULL)\Z")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")


def plain_scalar(text: str) -> Scalar:
    """An unquoted YAML scalar by the core schema of YAML 1.2.2, section 10.3.2.

    So ``no`` and ``on`` are text, and so is ``12:30:00:00:00:01``; YAML 1.1 would make a truth
    value and a number of them.  ValueError for a number of more digits than anything here has.
    """
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text.lower() == "true"
    if len(text) > 400 and (_INT.match(text) or _FLOAT.match(text)):
        raise ValueError(f"a number of {len(text)} digits")
    if _INT.match(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.match(text):
        return float(text)
    if _NOT_FINITE.match(text):
        return float(text.lower().replace(".", ""))
    return text
