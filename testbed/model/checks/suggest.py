"""Hints: the name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LIST_AT_MOST = 8
_COMPARE_AT_MOST = 200


def did_you_mean(name: str, known: Iterable[str], noun: str) -> str:
    """A hint for an unknown name: the nearest known ones, or all where they are few.

    ``noun`` is their plural: ``did_you_mean("alcie", ["alice"], "nodes")``.
    """
    names = list(dict.fromkeys(known))
    if not names:
        return f"there are no {noun}"
    near = nearest(name, names)
    if near:
        return "did you mean " + " or ".join(f'"{item}"' for item in near) + "?"
    if len(names) <= _LIST_AT_MOST:
        return f"known {noun}: {', '.join(names)}"
    return f"none of the {len(names)} {noun} has a name like it"


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most two known names that may have been meant, the likelier first."""
    names = list(dict.fromkeys(known))
    folded = name.casefold()
    same = [item for item in names if item.casefold() == folded]
    return (same or _near(folded, names))[:2]


def _near(folded: str, names: list[str]) -> list[str]:
    """Close matches; of very many names only those of nearly the same length are compared."""
    if len(names) > _COMPARE_AT_MOST:
        names = [item for item in names if abs(len(item) - len(folded)) <= 1]
    by_folded = {item.casefold(): item for item in names}
    return [by_folded[item] for item in difflib.get_close_matches(folded, by_folded, 2, 0.6)]
