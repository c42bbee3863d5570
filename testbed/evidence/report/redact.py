"""Secrets leave a report before it is written, in every form they are likely to take in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr, unescape

T = TypeVar("T")

MARK = "[redacted]"

_NEVER_SECRET = ("outcome", "svg")  # a fixed set of words; a document of its own, see Redactor.svg
_WORDS = re.compile(
    r"""(?P<before>>)(?P<text>[^<]*)(?=</(?:text|title)>)"""
    r"""|(?P<name>\b(?:aria-label|data-[a-z]+)=)(?P<value>"[^"]*"|'[^']*')"""
)

_CUT = re.compile(r"(?P<before>.{0,300})\.\.\.(?P<after>.{0,300})")
_SHORTEST_PIECE, _LONGEST_PIECE = 4, 300
"""Fewer characters tell nothing of a secret, and are found everywhere."""

_WRAPPED = re.compile(r'(?:<text class="(?:title|note|service)"[^>]*>[^<]*</text>\n?){2,}')
_LINE = re.compile(r"(?<=>)[^<]*(?=</text>)")


class Redactor:
    """Replaces secrets in any data made of dataclasses, tuples, lists, dicts and text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret) if form.strip()}
        # The longest first: a secret may be part of another one.
        self._forms = sorted(forms, key=lambda form: (-len(form), form))

    def text(self, text: str) -> str:
        """The text without secrets."""
        for form in self._forms:
            text = text.replace(form, MARK)
        return _CUT.sub(self._cut, text) if self._forms and "..." in text else text

    def _cut(self, found: re.Match[str]) -> str:
        """Pytest shortens long values in the middle: a secret's beginning or end may be left."""
        before, after = found["before"], found["after"]
        start = end = 0
        for form in self._forms:
            for size in range(_SHORTEST_PIECE, min(len(form), _LONGEST_PIECE)):
                start = max(start, size if before.endswith(form[:size]) else 0)
                end = max(end, size if after.startswith(form[-size:]) else 0)
        if not (start or end):
            return found[0]
        return f"{before[: len(before) - start]}{MARK}...{after[end:]}"

    def apply(self, value: T) -> T:
        """The same data without secrets; unchanged parts are the same objects."""
        return value if not self._forms else self._apply(value)

    def svg(self, svg: str) -> str:
        """A drawing without secrets in its words; shapes and coordinates stay as they are."""
        if not self._forms:
            return svg
        return _WORDS.sub(self._words, _WRAPPED.sub(self._wrapped, svg))

    def _wrapped(self, found: re.Match[str]) -> str:
        """Lines that were one text: a secret may have been cut at the end of a line."""
        lines = [unescape(line) for line in _LINE.findall(found[0])]
        if all(self.text(whole) == whole for whole in (" ".join(lines), "".join(lines))):
            return found[0]
        marks = iter([MARK])
        return _LINE.sub(lambda _: next(marks, ""), found[0])

    def _words(self, found: re.Match[str]) -> str:
        text, value = found["text"], found["value"]
        if value is None:
            return found["before"] + escape(self.text(unescape(text)))
        return found["name"] + quoteattr(self.text(unescape(value[1:-1], {"&quot;": '"'})))

    def _named(self, name: str, value: Any) -> Any:
        if name not in _NEVER_SECRET or not isinstance(value, str):
            return self._apply(value)
        return self.svg(value) if name == "svg" else value

    def _apply(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, tuple):
            return tuple(self._apply(item) for item in value)
        if isinstance(value, list):
            return [self._apply(item) for item in value]
        if isinstance(value, dict):
            return {key: self._named(key, item) for key, item in value.items()}
        if is_dataclass(value) and not isinstance(value, type):
            changed = {}
            for field in fields(value):
                if field.name in _NEVER_SECRET:
                    continue
                old = getattr(value, field.name)
                new = self._apply(old)
                if new is not old and new != old:
                    changed[field.name] = new
            return replace(value, **changed) if changed else value
        return value


def _forms(secret: str) -> set[str]:
    """As it is, and as JSON, XML, Python, a URL or a packet's bytes in hexadecimal spell it."""
    raw = secret.encode(errors="surrogatepass")
    return {
        secret,
        " ".join(secret.split()),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        escape(secret),
        escape(secret, {'"': "&quot;"}),
        repr(secret)[1:-1],
        quote(secret, safe="", errors="replace"),
        raw.hex(),
        raw.hex().upper(),
    }
