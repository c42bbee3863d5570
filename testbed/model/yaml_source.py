"""YAML text as a tree, safely: bounded depth and size, no tags, no objects, keys only once.

Built from parser events rather than nodes, because composing nodes recurses (in C: a crash on deep
nesting) and expands aliases before anyone can count them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from testbed.errors import Place, Problem, TopologyError
from testbed.model.tree import (
    MAX_DEPTH,
    MAX_VALUES,
    Entries,
    Entry,
    Items,
    Leaf,
    Scalar,
    Tree,
    plain_scalar,
)

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MESSAGE_LIMIT = 256 * 1024  # beyond, PyYAML's slow parser is not run for its better messages
_MERGE = "<<"


class _Fatal(Exception):
    """Parsing cannot go on."""

    def __init__(
        self, code: str, what: str, place: Place | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what)
        self.problem = Problem(code, what, "top level", place, hint)


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    place: Place
    is_mapping: bool
    anchor: str | None
    items: list[Tree] = field(default_factory=list)  # of a mapping: key, value, key, value...
    size: int = 1


def read_yaml(text: str, file: str) -> tuple[Tree, list[Problem]]:
    """The tree of the one document in ``text``, and problems that do not stop the reading.

    Raises:
        TopologyError: the text is not YAML or breaks a limit, with the place.
    """
    try:
        _refuse_unprintable(text, file)
        composer = _Composer(file)
        for event in _events(text, file):
            composer.take(event)
        return composer.result(), composer.problems
    except _Fatal as fatal:
        raise TopologyError(file, (fatal.problem,)) from None


def _refuse_unprintable(text: str, file: str) -> None:
    found = _UNPRINTABLE.search(text)
    if found is None:
        return
    line = text.count("\n", 0, found.start()) + 1
    column = found.start() - text.rfind("\n", 0, found.start())
    raise _Fatal(
        "yaml-syntax",
        f"the character U+{ord(found.group()):04X} cannot stand in YAML",
        Place(file, line, column),
        "is this a text file? inside quotes such a character can be written as an escape",
    )


def _events(text: str, file: str) -> Iterator[yaml.Event]:
    loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = yaml.SafeLoader
    if yaml.__with_libyaml__:
        loader = yaml.CSafeLoader
    try:
        yield from yaml.parse(text, Loader=loader)
    except yaml.YAMLError as error:
        raise _syntax_error(text, file, error) from None


def _syntax_error(text: str, file: str, error: yaml.YAMLError) -> _Fatal:
    if len(text) <= _MESSAGE_LIMIT:  # the Python parser's messages, with and without libyaml
        try:
            for _ in yaml.parse(text, Loader=yaml.SafeLoader):
                pass
        except yaml.YAMLError as better:
            error = better
    mark = getattr(error, "problem_mark", None)
    place = Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file)
    what = str(getattr(error, "problem", None) or error).replace("\n", " ")
    what = re.sub(r"'?<([a-z ]+)>'?", r"\1", what)  # the parser's names of its tokens
    what = what.replace("got scalar", "got a value")
    begun = getattr(error, "context_mark", None)
    if begun is not None and mark is not None and begun.line != mark.line:
        what += f" (of what begins in line {begun.line + 1})"
    hint = None
    if "\\t" in what:
        hint = "indent with spaces, not with tabs"
    elif "mapping values are not allowed" in what:
        hint = 'put a text with ": " in it in quotes'
    elif "alias" in what:
        hint = "an anchor (&name) must stand before its alias (*name)"
    return _Fatal("yaml-syntax", f"not valid YAML: {what}", place, hint)


class _Composer:
    """Events in, one tree out."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.open: list[_Open] = []
        self.roots: list[Tree] = []
        self.documents = 0
        self.count = 0
        self.anchors: dict[str, tuple[Tree, int] | None] = {}  # None: not complete yet

    def place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        assert mark is not None  # events of a parser always have one
        return Place(self.file, mark.line + 1, mark.column + 1)

    def result(self) -> Tree:
        if not self.roots or (isinstance(self.roots[0], Leaf) and self.roots[0].value is None):
            raise _Fatal(
                "empty-file", "the file is empty", Place(self.file), 'begin with "name: my-lab"'
            )
        return self.roots[0]

    def take(self, event: yaml.Event) -> None:
        self.count += isinstance(event, yaml.NodeEvent)
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise _Fatal(
                        "many-documents",
                        "a second document begins here",
                        self.place(event),
                        "one file holds one topology: remove the line ---",
                    )
            case yaml.ScalarEvent():
                self._check_tag(event, event.tag)
                self._complete(self._leaf(event), 1, event.anchor, self.place(event))
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._check_tag(event, event.tag)
                if len(self.open) >= MAX_DEPTH:
                    raise _Fatal(
                        "too-deep", f"nested deeper than {MAX_DEPTH} levels", self.place(event)
                    )
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                if event.anchor is not None:
                    self.anchors[event.anchor] = None
                self.open.append(_Open(self.place(event), is_mapping, event.anchor))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                done = self.open.pop()
                tree: Tree = (
                    self._entries(done) if done.is_mapping else Items(tuple(done.items), done.place)
                )
                self._complete(tree, done.size, done.anchor, done.place)
            case yaml.AliasEvent():
                self._alias(event)
            case _:
                pass

    def _check_tag(self, event: yaml.Event, tag: str | None) -> None:
        if tag is not None:
            raise _Fatal(
                "yaml-tag",
                f"the tag {tag.replace('tag:yaml.org,2002:', '!!')} is not allowed",
                self.place(event),
                "a topology is plain text, numbers, lists and mappings: remove the tag",
            )

    def _leaf(self, event: yaml.ScalarEvent) -> Leaf:
        place = self.place(event)
        value: Scalar = event.value
        if event.implicit[0]:
            try:
                value = plain_scalar(event.value)
            except ValueError as error:
                raise _Fatal("bad-number", str(error), place) from None
        start, end = event.start_mark, event.end_mark
        assert start is not None and end is not None  # as above
        quotes = 2 if event.style in ("'", '"') else 0
        verbatim = start.line == end.line and end.column - start.column == len(event.value) + quotes
        text_at = Place(self.file, start.line + 1, start.column + 1 + quotes // 2)
        return Leaf(value, place, text_at if verbatim else None)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name = event.anchor or ""
        if name not in self.anchors:
            raise _Fatal(
                "yaml-syntax",
                f"not valid YAML: found undefined alias {name!r}",
                self.place(event),
                "an anchor (&name) must stand before its alias (*name)",
            )
        known = self.anchors[name]
        if known is None:
            raise _Fatal(
                "recursive-alias", f"*{event.anchor} stands inside itself", self.place(event)
            )
        tree, size = known
        self.count += size
        self._complete(tree, size, None, self.place(event))

    def _complete(self, tree: Tree, size: int, anchor: str | None, place: Place) -> None:
        """A value has ended: give it to what holds it."""
        if self.count > MAX_VALUES:
            raise _Fatal(
                "too-many-values",
                f"more than {MAX_VALUES} values, counting what aliases stand for",
                place,
            )
        if anchor is not None:
            self.anchors[anchor] = (tree, size)
        if self.open:
            self.open[-1].items.append(tree)
            self.open[-1].size += size
        else:
            self.roots.append(tree)

    def _entries(self, done: _Open) -> Entries:
        entries: dict[str, Entry] = {}
        repeated: list[Entry] = []
        merged: list[Entries] = []
        lost = False
        for key, value in zip(done.items[::2], done.items[1::2], strict=True):
            if not isinstance(key, Leaf) or not isinstance(key.value, str):
                self._bad_key(key)
                lost = True
            elif key.value == _MERGE:
                good, bad = self._merge(value)
                merged += good
                lost = lost or bad
            elif key.value in entries:
                first = entries[key.value].place
                line = f" (first in line {first.line})" if first is not None else ""
                what = f"the key {key.value!r} stands here a second time{line}"
                self.problems.append(
                    Problem("duplicate-key", what, key.value, key.place, "keep one of them")
                )
                repeated.append(Entry(key.value, value, key.place))
            else:
                entries[key.value] = Entry(key.value, value, key.place)
        for group in merged:
            for entry in group.entries:
                entries.setdefault(entry.key, entry)
        return Entries(tuple(entries.values()), done.place, tuple(repeated), lost)

    def _bad_key(self, key: Tree) -> None:
        if isinstance(key, Leaf) and key.value is not None:
            text = str(key.value).lower() if isinstance(key.value, bool) else str(key.value)
            what, hint = f"a key must be text, not {text}", f'put it in quotes: "{text}"'
        else:
            what, hint = "a key must be text", "is there a colon without a name before it?"
        self.problems.append(Problem("bad-key", what, "top level", key.place, hint))

    def _merge(self, value: Tree) -> tuple[list[Entries], bool]:
        """The mappings to merge, and whether there was something else among them."""
        parts = value.items if isinstance(value, Items) else (value,)
        good = [part for part in parts if isinstance(part, Entries)]
        if len(good) != len(parts):
            what = "<< takes a mapping or a list of mappings"
            self.problems.append(Problem("wrong-type", what, _MERGE, value.place))
        return good, len(good) != len(parts)
