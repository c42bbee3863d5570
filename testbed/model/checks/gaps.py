"""What of a topology's source could not be read, so that checks do not judge what is not there.

A problem between the parts that *were* read is reported at once, whatever the rest will say: two
equal addresses, say.  A problem that consists of something missing (a node nobody has declared, a
next hop on no link) is reported only when no unread part can hold the missing thing.

Paths are those of problems: ``links.cable.ends[0].addresses``.  Unreadable items of a list are left
out of the topology, so its positions differ from the file's; :meth:`Gaps.in_file` turns the one
into the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from testbed.errors import Problem

_WORD = re.compile(r"[A-Za-z0-9-]+")
_POSITION = re.compile(r"\[(\d+)\]")
_ENDS = re.compile(r"links\..*\.ends(\[-\]|\.-)?|links(\.-|\[-\])?")

# Problems of one part that the absence of another field makes: the field beside it ("../x") or
# below it ("x"), or whatever is missing of it ("").
_MADE_BY_ABSENCE: dict[str, tuple[str, ...]] = {
    "route-without-target": ("via", "dev", "kind"),
    "link-local-without-dev": ("dev",),
    "unused-image": ("../backend",),
    "impairment-without-delay": ("../delay",),
    "missing-value": ("value",),
    "empty-command": ("",),
    "empty-group": ("",),
    "fault-impairment": ("impairment",),
    "fault-addresses": ("addresses",),
}


@dataclass(slots=True)
class Gaps:
    """The parts that are not in the topology; empty for one that was read completely."""

    _paths: set[str] = field(default_factory=set)
    _above: set[str] = field(default_factory=set)  # every path that has a gap at or below it
    _names: dict[str, set[str]] = field(default_factory=dict)  # of unread entries, by mapping
    _dropped: dict[str, list[int]] = field(default_factory=dict)  # positions in the file, by list
    _links: list[frozenset[str]] = field(default_factory=list)  # the words of unread ends
    doubt: bool = False  # something was not judged because of a gap

    def __bool__(self) -> bool:
        return bool(self._paths)

    def add(self, path: str, texts: Iterable[str] = ()) -> None:
        """Nothing, or not everything, was read at ``path``; ``texts`` are what stands there."""
        self._paths.add(path)
        self._above.update(_with_those_above(path))
        if _ENDS.fullmatch(path):
            self._links.append(frozenset(word for text in texts for word in _WORD.findall(text)))

    def add_item(self, path: str, position: int, texts: Iterable[str] = ()) -> None:
        """The item at that position of the file's list at ``path`` is not in the topology."""
        self._dropped.setdefault(path, []).append(position)
        self.add(f"{path}[-]", texts)

    def add_entry(self, path: str, name: str, texts: Iterable[str] = ()) -> None:
        """The entry of that name of the mapping at ``path`` is not in the topology."""
        self._names.setdefault(path, set()).add(name)
        self.add(f"{path}.{name}", texts)
        if path == "links":  # whatever its name looks like
            self.add("links[-]", texts)

    def add_some(self, path: str) -> None:
        """The mapping at ``path`` has further entries, and nobody knows their names."""
        self.add(f"{path}.-")

    def settle(self) -> None:
        """To be called when reading is over: positions below lists now count as the topology's."""
        paths = {self._in_topology(path) for path in self._paths}
        self._paths = paths
        self._above = {above for path in paths for above in _with_those_above(path)}

    def touch(self, path: str) -> bool:
        """True when something at, above or below the path was not read."""
        found = bool(self._paths) and (path in self._above or self._cover(path))
        return self._doubted(found)

    def excuse(self, problem: Problem) -> bool:
        """True for a problem that is about an unread part, or may be made by its absence."""
        if not self._paths:
            return False
        if self._cover(problem.path):
            return True
        for key in _MADE_BY_ABSENCE.get(problem.code, ()):
            beside = problem.path.rpartition(".")[0] if key.startswith("../") else problem.path
            below = key.removeprefix("../")
            if self.touch(f"{beside}.{below}" if below else beside):
                return True
        return False

    def may_name(self, path: str, name: str) -> bool:
        """True when the mapping at ``path`` may have that entry though the topology has not."""
        if not self._paths:
            return False
        whole = {path, f"{path}.-", f"{path}[-]"} if path != "links" else {path, f"{path}.-"}
        found = name in self._names.get(path, ()) or not whole.isdisjoint(self._paths)
        return self._doubted(found)

    def may_be_end_of(self, node: str, nodes: Iterable[str]) -> bool:
        """True when an unread end may be at that node: it names it, or none of ``nodes``."""
        found = any(node in words or words.isdisjoint(nodes) for words in self._links)
        return self._doubted(found)

    @property
    def ends(self) -> bool:
        """True when an end of some link was not read."""
        return bool(self._links)

    def _doubted(self, found: bool) -> bool:
        self.doubt = self.doubt or found
        return found

    def in_file(self, path: str) -> str:
        """The path with the file's positions, of one with the topology's."""
        for above in sorted(self._dropped, key=len):  # outer lists first
            match = _POSITION.match(path, len(above)) if path.startswith(above) else None
            if match is not None:
                position = int(match[1])
                for dropped in sorted(self._dropped[above]):
                    position += dropped <= position
                path = f"{above}[{position}]{path[match.end() :]}"
        return path

    def _in_topology(self, path: str) -> str:
        for above in sorted(self._dropped, key=len, reverse=True):  # inner lists first
            match = _POSITION.match(path, len(above)) if path.startswith(above) else None
            if match is not None:
                position = int(match[1])
                before = sum(dropped < position for dropped in self._dropped[above])
                lost = position in self._dropped[above]
                shown = "-" if lost else str(position - before)
                path = f"{above}[{shown}]{path[match.end() :]}"
        return path

    def _cover(self, path: str) -> bool:
        return any(above in self._paths for above in _with_those_above(path))


def _with_those_above(path: str) -> Iterator[str]:
    """``a.b[0].c``: ``a``, ``a.b``, ``a.b[0]`` and itself."""
    for position, character in enumerate(path):
        if character in ".[" and position:
            yield path[:position]
    yield path
