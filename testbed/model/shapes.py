"""The vocabulary a file format is declared in; reading, writing and JSON Schema come from it.

A :class:`Shape` reads a :class:`~testbed.model.tree.Tree` into a value, writes a value as plain
data, and knows its own JSON Schema.  Reading records every problem in a :class:`Reader` and goes
on; :class:`Unreadable` only says "already recorded, no value".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from testbed.errors import Place, Problem
from testbed.model.checks.gaps import Gaps
from testbed.model.checks.suggest import did_you_mean, nearest
from testbed.model.tree import Entries, Entry, Items, Leaf, Scalar, Tree, describe, texts_of

T = TypeVar("T")
Schema = dict[str, Any]
_TOP = "top level"


class Unreadable(Exception):
    """There is no value here; the problem is already in the reader."""


@dataclass(slots=True)
class Reader:
    """What reading found: problems, the place of everything by its path, and what is not there."""

    problems: list[Problem] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    gaps: Gaps = field(default_factory=Gaps)

    def problem(
        self, code: str, what: str, path: str, place: Place | None, hint: str | None = None
    ) -> None:
        """Record a problem and go on."""
        self.problems.append(Problem(code, what, path or _TOP, place, hint))

    def wrong_type(self, expected: str, found: Tree, path: str, hint: str | None = None) -> None:
        """Record that something else was expected, unless what stood there was reported already."""
        if isinstance(found, Leaf) and found.lost:
            return
        what = f"{expected} is expected, not {describe(found)}"
        self.problem("wrong-type", what, path, found.place, hint)

    def note_loss(self, entry: Entry, path: str) -> None:
        """Remember a value that was lost before anyone knew what it was."""
        if isinstance(entry.value, Leaf) and entry.value.lost:
            self.gaps.add(path)

    def read_in_vain(self, shape: Shape[Any], entry: Entry, path: str) -> None:
        """Read the value of a key that was there already, only for what is wrong in it."""
        below = [item.key for item in getattr(entry.value, "entries", ())]
        for part in (path, *(f"{path}.{key}" for key in below)):
            self.gaps.add(f"{part}.-", texts_of(entry.value))
        with suppress(Unreadable):
            shape.read(entry.value, path, Reader(self.problems))

    def see(self, path: str, place: Place | None) -> None:
        """Remember where the value of this path stands."""
        if place is not None:
            self.places.setdefault(path, place)


class Shape(ABC, Generic[T]):
    """How one kind of value looks in a file."""

    @abstractmethod
    def read(self, tree: Tree, path: str, reader: Reader) -> T:
        """The value; Unreadable after recording why there is none."""

    @abstractmethod
    def write(self, value: T) -> Any:
        """The value as plain data, in the form a person would write."""

    @abstractmethod
    def schema(self) -> Schema:
        """The JSON Schema of the forms that :meth:`read` takes."""


def _whole(value: Scalar) -> int | None:
    """The whole number it is, also written ``2.0``, as JSON Schema counts whole numbers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class Text(Shape[str]):
    """A text; ``choices`` only tell the schema (the checks of the model name unknown ones)."""

    def __init__(
        self, *, choices: Iterable[str] = (), secret: bool = False, numbers: bool = False
    ) -> None:
        self.choices, self.secret, self.numbers = tuple(choices), secret, numbers

    def read(self, tree: Tree, path: str, reader: Reader) -> str:
        if isinstance(tree, Leaf):
            value = tree.value
            if isinstance(value, str):
                return value
            number = _whole(value) if self.numbers else None
            if number is not None:
                return str(number)
            if self.secret:
                reader.problem("wrong-type", "a text is expected", path, tree.place, "quote it")
                raise Unreadable
            if value is not None:
                shown = str(value).lower() if isinstance(value, bool) else str(value)
                reader.wrong_type("a text", tree, path, f'put it in quotes: "{shown}"')
                raise Unreadable
        reader.wrong_type("a text", tree, path)
        raise Unreadable

    def write(self, value: str) -> Any:
        return value

    def schema(self) -> Schema:
        if self.choices:
            return {"type": "string", "enum": list(self.choices)}
        return {"type": ["string", "integer"] if self.numbers else "string"}


class Whole(Shape[int]):
    """A whole number; the range only tells the schema (the checks of the model judge it)."""

    def __init__(self, minimum: int | None = None, maximum: int | None = None) -> None:
        self.minimum, self.maximum = minimum, maximum

    def read(self, tree: Tree, path: str, reader: Reader) -> int:
        number = _whole(tree.value) if isinstance(tree, Leaf) else None
        if number is not None:
            return number
        reader.wrong_type("a whole number", tree, path)
        raise Unreadable

    def write(self, value: int) -> Any:
        return value

    def schema(self) -> Schema:
        limits = {"minimum": self.minimum, "maximum": self.maximum}
        return {"type": "integer"} | {k: v for k, v in limits.items() if v is not None}


class Quantity(Shape[Any]):
    """A number, or a text with a unit: ``20ms``, ``100mbit``, ``1%``."""

    def __init__(
        self,
        number: type[int] | type[float],
        parse: Callable[[str], Any],
        format_: Callable[[Any], Any],
        pattern: str,
        *,
        limits: Mapping[str, float],
        words: str,
    ) -> None:
        self.number, self.parse, self.format = number, parse, format_
        self.pattern, self.limits, self.words = pattern, dict(limits), words

    def read(self, tree: Tree, path: str, reader: Reader) -> Any:
        value = tree.value if isinstance(tree, Leaf) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.number is float:
                try:
                    return float(value)
                except OverflowError:
                    pass
            elif (whole := _whole(value)) is not None:
                return whole
        elif isinstance(value, str):
            try:
                return self.parse(value)
            except (ValueError, OverflowError) as error:
                reader.problem("bad-quantity", str(error), path, tree.place)
                raise Unreadable from None
        reader.wrong_type(self.words, tree, path)
        raise Unreadable

    def write(self, value: Any) -> Any:
        return self.format(value)

    def schema(self) -> Schema:
        number = "number" if self.number is float else "integer"
        text = {"type": "string", "pattern": self.pattern}
        return {"anyOf": [{"type": number} | self.limits, text]}


class Parsed(Shape[T]):
    """A text with a grammar of its own: an address, a prefix."""

    def __init__(
        self, parse: Callable[[str], T], code: str, pattern: str, hint: str | None = None
    ) -> None:
        self.parse, self.code, self.pattern, self.hint = parse, code, pattern, hint
        self.text = Text()

    def read(self, tree: Tree, path: str, reader: Reader) -> T:
        text = self.text.read(tree, path, reader)
        try:
            return self.parse(text)
        except ValueError as error:
            reader.problem(self.code, str(error), path, tree.place, self.hint)
            raise Unreadable from None

    def write(self, value: T) -> Any:
        return str(value)

    def schema(self) -> Schema:
        return {"type": "string", "pattern": self.pattern}


class ListOf(Shape[tuple[T, ...]]):
    """A list of one shape; unreadable items are left out, each with its problem."""

    def __init__(self, item: Shape[T], hint: str | None = None) -> None:
        self.item, self.hint = item, hint

    def read(self, tree: Tree, path: str, reader: Reader) -> tuple[T, ...]:
        if not isinstance(tree, Items):
            reader.wrong_type("a list", tree, path, self.hint)
            raise Unreadable
        values = []
        for index, item in enumerate(tree.items):
            below = f"{path}[{index}]"
            reader.see(below, item.place)
            try:
                values.append(self.item.read(item, below, reader))
            except Unreadable:
                reader.gaps.add_item(path, index, texts_of(item))
        return tuple(values)

    def write(self, value: tuple[T, ...]) -> Any:
        return [self.item.write(item) for item in value]

    def schema(self) -> Schema:
        return {"type": "array", "items": self.item.schema()}


class MapOf(Shape[tuple[tuple[str, T], ...]]):
    """A mapping from names the author chooses to one shape, in the author's order."""

    def __init__(self, item: Shape[T]) -> None:
        self.item = item

    def read(self, tree: Tree, path: str, reader: Reader) -> tuple[tuple[str, T], ...]:
        if not isinstance(tree, Entries):
            reader.wrong_type("a mapping", tree, path)
            raise Unreadable
        values = []
        for entry in tree.entries:
            below = f"{path}.{entry.key}"
            reader.see(below, entry.place)
            try:
                values.append((entry.key, self.item.read(entry.value, below, reader)))
            except Unreadable:
                reader.gaps.add_entry(path, entry.key, texts_of(entry.value))
            reader.note_loss(entry, below)
        for entry in tree.repeated:
            reader.read_in_vain(self.item, entry, f"{path}.{entry.key}")
        if tree.lost:
            reader.gaps.add_some(path)
        return tuple(values)

    def write(self, value: tuple[tuple[str, T], ...]) -> Any:
        names = [name for name, _ in value]
        if len(set(names)) != len(names):
            double = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the name {double!r} is there twice, and a mapping holds it once")
        return {name: self.item.write(item) for name, item in value}

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": self.item.schema()}


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a record: its shape and meaning; left out of files when it has the default.

    A required one with a default other than None has that when it could not be read, and the rest
    of the record is read all the same.
    """

    shape: Shape[Any]
    about: str
    default: Any = None
    required: bool = False


class Record(Shape[T]):
    """A mapping with known keys; ``build`` makes the value, ``take`` the fields of a value."""

    def __init__(
        self,
        about: str,
        fields: Mapping[str, Field],
        build: Callable[[dict[str, Any], Place | None], T],
        take: Callable[[T], Mapping[str, Any]],
        *,
        may_be_empty: bool = False,
    ) -> None:
        self.about, self.fields, self.build, self.take = about, dict(fields), build, take
        self.may_be_empty = may_be_empty

    def read(self, tree: Tree, path: str, reader: Reader) -> T:
        if self.may_be_empty and isinstance(tree, Leaf) and tree.value is None:
            tree = Entries((), tree.place)
        if not isinstance(tree, Entries):
            reader.wrong_type("a mapping", tree, path, f"known keys: {', '.join(self.fields)}")
            raise Unreadable
        values: dict[str, Any] = {}
        unreadable = False
        for entry in tree.entries:
            below = _below(path, entry.key)
            known = self.fields.get(entry.key)
            if known is None:
                self._unknown_key(entry, tree, path, reader)
                continue
            nested = isinstance(entry.value, Entries | Items)
            reader.see(below, entry.place if nested else entry.value.place)
            try:
                values[entry.key] = known.shape.read(entry.value, below, reader)
            except Unreadable:
                reader.gaps.add(below, texts_of(entry.value))
                unreadable = unreadable or self._is_vital(known)
            reader.note_loss(entry, below)
        for entry in tree.repeated:
            if (known := self.fields.get(entry.key)) is not None:
                reader.read_in_vain(known.shape, entry, _below(path, entry.key))
        if tree.lost:
            self._any_may_be_missing(tree, path, reader)
        for key, known in self.fields.items():
            if known.required and tree.get(key) is None:
                place = reader.places.get(path, tree.place)
                what = f"the key {key!r} is missing"
                reader.problem("missing-key", what, path, place, f"{key}: {known.about}")
                reader.gaps.add(_below(path, key))
                unreadable = unreadable or self._is_vital(known)
        if unreadable:
            raise Unreadable
        for key, known in self.fields.items():
            if known.required:
                values.setdefault(key, known.default)
        return self.build(values, reader.places.get(path, tree.place))

    @staticmethod
    def _is_vital(known: Field) -> bool:
        return known.required and known.default is None

    def _unknown_key(self, entry: Entry, tree: Entries, path: str, reader: Reader) -> None:
        hint = did_you_mean(entry.key, self.fields, "keys")
        reader.problem("unknown-key", f"unknown key {entry.key!r}", path, entry.place, hint)
        near = nearest(entry.key, self.fields)
        if not near:
            self._any_may_be_missing(tree, path, reader)
        for key in near:
            if tree.get(key) is None:
                reader.gaps.add(_below(path, key), texts_of(entry.value))

    def _any_may_be_missing(self, tree: Entries, path: str, reader: Reader) -> None:
        for key in self.fields:
            if tree.get(key) is None:
                reader.gaps.add(_below(path, key))

    def write(self, value: T) -> Any:
        taken = self.take(value)
        return {
            key: known.shape.write(taken[key])
            for key, known in self.fields.items()
            if known.required or taken[key] != known.default
        }

    def schema(self) -> Schema:
        schema: Schema = {
            "type": ["object", "null"] if self.may_be_empty else "object",
            "description": self.about,
            "properties": {
                key: known.shape.schema() | {"description": known.about}
                for key, known in self.fields.items()
            },
            "additionalProperties": False,
        }
        required = [key for key, known in self.fields.items() if known.required]
        return schema | ({"required": required} if required else {})


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


class ShortOr(Shape[T]):
    """A short text form, or the full record; written short where the text says everything."""

    def __init__(
        self,
        read_text: Callable[[Leaf, str, Reader], T],
        format_: Callable[[T], str | None],
        pattern: str,
        full: Record[T],
        name: str,
    ) -> None:
        self.read_text, self.format, self.pattern = read_text, format_, pattern
        self.full, self.name = full, name

    def read(self, tree: Tree, path: str, reader: Reader) -> T:
        if isinstance(tree, Leaf) and isinstance(tree.value, str):
            return self.read_text(tree, path, reader)
        if isinstance(tree, Entries):
            return self.full.read(tree, path, reader)
        reader.wrong_type(f"{self.name} as a text or a mapping", tree, path)
        raise Unreadable

    def write(self, value: T) -> Any:
        text = self.format(value)
        return self.full.write(value) if text is None else text

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "string", "pattern": self.pattern}, self.full.schema()]}
