"""JSON text as a tree with places (RFC 8259); the standard library's reader keeps no places."""

from __future__ import annotations

import re
from bisect import bisect_right
from json import JSONDecodeError, JSONDecoder

from testbed.errors import Place, Problem, TopologyError
from testbed.model.tree import MAX_DEPTH, MAX_VALUES, Entries, Entry, Items, Leaf, Scalar, Tree

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z_.+-][A-Za-z0-9_.+-]*")
_DECODER = JSONDecoder()  # for strings only: their escapes are best left to the library
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}


class _Syntax(Exception):
    def __init__(self, what: str, index: int, hint: str | None = None) -> None:
        super().__init__(what)
        self.what, self.index, self.hint = what, index, hint


def read_json(text: str, file: str) -> tuple[Tree, list[Problem]]:
    """The tree of ``text``, and problems that do not stop the reading (duplicate keys).

    Raises:
        TopologyError: the text is not JSON or breaks a limit, with the place.
    """
    parser = _Parser(text, file)
    try:
        tree, end = parser.value(parser.skip(0), 0)
        if end != len(text):
            raise _Syntax("there is more after the end of the value", end)
    except _Syntax as error:
        what = f"not valid JSON: {error.what}"
        problem = Problem("json-syntax", what, "top level", parser.place(error.index), error.hint)
        raise TopologyError(file, (problem,)) from None
    return tree, parser.problems


class _Parser:
    """Recursive descent; every method gives its result and the index after it and after space."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.problems: list[Problem] = []
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.count = 0

    def place(self, index: int) -> Place:
        line = bisect_right(self.lines, index)
        return Place(self.file, line, index - self.lines[line - 1] + 1)

    def skip(self, index: int) -> int:
        space = _SPACE.match(self.text, index)
        assert space is not None
        return space.end()

    def value(self, index: int, depth: int) -> tuple[Tree, int]:
        self.count += 1
        if self.count > MAX_VALUES:
            raise _Syntax(f"more than {MAX_VALUES} values", index)
        if depth > MAX_DEPTH:
            raise _Syntax(f"nested deeper than {MAX_DEPTH} levels", index)
        first = self.text[index : index + 1]
        if first == "{":
            return self._object(index, depth)
        if first == "[":
            return self._array(index, depth)
        if first == '"':
            text, end = self._string(index)
            verbatim = end - index == len(text) + 2
            leaf = Leaf(text, self.place(index), self.place(index + 1) if verbatim else None)
            return leaf, self.skip(end)
        return self._scalar(index)

    def _string(self, index: int) -> tuple[str, int]:
        try:
            text, end = _DECODER.raw_decode(self.text, index)
        except JSONDecodeError as error:
            what = error.msg[0].lower() + error.msg[1:].removesuffix(" at").removesuffix(
                " starting"
            )
            raise _Syntax(what, error.pos) from None
        return str(text), end

    def _scalar(self, index: int) -> tuple[Tree, int]:
        number = _NUMBER.match(self.text, index)
        if number is not None:
            digits, fraction, exponent = number.groups()
            if len(number.group()) > 400:
                raise _Syntax(f"a number of {len(number.group())} digits", index)
            value: Scalar = int(digits)
            if fraction or exponent:
                value = float(number.group())
            return Leaf(value, self.place(index)), self.skip(number.end())
        word = _WORD.match(self.text, index)
        if word is None:
            found = repr(self.text[index]) if index < len(self.text) else "the end of the file"
            hint = "put text in double quotes" if self.text[index : index + 1] == "'" else None
            raise _Syntax(f"a value is expected, not {found}", index, hint)
        if word.group() not in _WORDS:
            raise _Syntax(
                f"{word.group()[:40]!r} is not a value", index, "put text in double quotes"
            )
        return Leaf(_WORDS[word.group()], self.place(index)), self.skip(word.end())

    def _separator(self, index: int, closing: str) -> tuple[bool, int]:
        """After an item: whether it was the last, and the index of what follows."""
        found = self.text[index : index + 1]
        if found == closing:
            return True, self.skip(index + 1)
        if found != ",":
            shown = repr(found) if found else "the end of the file"
            raise _Syntax(f"',' or '{closing}' is expected, not {shown}", index)
        after = self.skip(index + 1)
        if self.text[after : after + 1] == closing:
            raise _Syntax(f"a comma before '{closing}'", index, "remove the comma")
        return False, after

    def _array(self, index: int, depth: int) -> tuple[Tree, int]:
        place, items = self.place(index), []
        at = self.skip(index + 1)
        if self.text[at : at + 1] == "]":
            return Items((), place), self.skip(at + 1)
        last = False
        while not last:
            item, at = self.value(at, depth + 1)
            items.append(item)
            last, at = self._separator(at, "]")
        return Items(tuple(items), place), at

    def _object(self, index: int, depth: int) -> tuple[Tree, int]:
        place = self.place(index)
        entries: dict[str, Entry] = {}
        repeated: list[Entry] = []
        at = self.skip(index + 1)
        if self.text[at : at + 1] == "}":
            return Entries((), place), self.skip(at + 1)
        last = False
        while not last:
            if self.text[at : at + 1] != '"':
                found = repr(self.text[at]) if at < len(self.text) else "the end of the file"
                raise _Syntax(f"a key in double quotes is expected, not {found}", at)
            key_at = at
            key, end = self._string(at)
            at = self.skip(end)
            if self.text[at : at + 1] != ":":
                raise _Syntax(f"':' is expected after the key {key!r}", at)
            value, at = self.value(self.skip(at + 1), depth + 1)
            if key in entries:
                first = entries[key].place
                line = f" (first in line {first.line})" if first is not None else ""
                what = f"the key {key!r} stands here a second time{line}"
                self.problems.append(
                    Problem("duplicate-key", what, key, self.place(key_at), "keep one of them")
                )
                repeated.append(Entry(key, value, self.place(key_at)))
            else:
                entries[key] = Entry(key, value, self.place(key_at))
            last, at = self._separator(at, "}")
        return Entries(tuple(entries.values()), place, tuple(repeated)), at
