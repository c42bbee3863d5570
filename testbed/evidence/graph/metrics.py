"""How wide text will be, without a font: estimates that err on the wide side.

The widths follow DejaVu Sans (bold) and DejaVu Sans Mono, the widest of the faces a browser is
likely to use for ``sans-serif`` and ``monospace``, so that text in a narrower face also fits.
"""

from __future__ import annotations

import textwrap
import unicodedata
from enum import Enum
from functools import lru_cache

_NARROW = frozenset("iljtfrI.,:;|'!()[]/ -")
_WIDE = frozenset("mwMW@%&#+=<>~_")


class Face(Enum):
    """The style of a piece of text: its size in px and whether every character is as wide."""

    TITLE = ("title", 19.0, False)
    SUBTITLE = ("subtitle", 12.0, False)
    GROUP = ("group-title", 12.0, False)
    NAME = ("node-name", 14.0, False)
    ROLE = ("role", 10.0, False)
    NOTE = ("note", 10.5, False)
    SERVICE = ("service", 10.5, False)
    INTERFACE = ("interface", 11.0, True)
    ADDRESS = ("address", 11.0, True)
    IMPAIRMENT = ("impairment", 10.0, False)
    LINK = ("link-name", 11.0, False)
    LINK_DETAIL = ("link-detail", 10.0, False)

    def __init__(self, css: str, size: float, mono: bool) -> None:
        self.css = css
        self.size = size
        self.mono = mono

    @property
    def line_height(self) -> float:
        """Distance between base lines, px."""
        return self.size * 1.25


@lru_cache(maxsize=4096)
def text_width(text: str, face: Face) -> float:
    """The room, in px, that ``text`` needs on one line."""
    return sum(_em(character, face.mono) for character in text) * face.size


def _em(character: str, mono: bool) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if unicodedata.combining(character):
        return 0.0
    if mono and character.isascii():
        return 0.605
    if character in _NARROW:
        return 0.46
    if character in _WIDE:
        return 1.06
    if not character.isascii():
        return 1.0
    return 0.79 if character.isupper() else 0.70


def wrap(text: str, columns: int, limit: int) -> tuple[str, ...]:
    """``text`` in at most ``limit`` lines of about ``columns`` characters; an ellipsis if cut."""
    lines = textwrap.wrap(printable(text), columns, break_long_words=True)
    if len(lines) > limit:
        lines = [*lines[: limit - 1], lines[limit - 1][: columns - 1].rstrip() + "…"]
    return tuple(lines)


def printable(text: str) -> str:
    """``text`` with everything XML forbids, or that reorders or hides its neighbours, as U+FFFD."""
    return "".join(c if _is_printable(c) else "�" for c in text)


def _is_printable(character: str) -> bool:
    # Cc controls, Cf format (bidi overrides, zero width), Cs lone surrogates, Cn unassigned (with
    # the non-characters U+FFFE and U+FFFF), Zl and Zp line separators.
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp")
