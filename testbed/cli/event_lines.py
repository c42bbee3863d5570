"""An event as a line of text."""

from __future__ import annotations

import time
from collections.abc import Callable

from testbed.cli.output import bad, bold, faint, good
from testbed.events import Record
from testbed.evidence.event_words import BAD, GOOD, in_words

_KIND_WIDTH = 16
_STYLES: dict[str, Callable[[str], str]] = {BAD: bad, GOOD: good}


def event_line(record: Record) -> str:
    """When, what kind, where, and what it says."""
    seconds, rest = divmod(record.time_ns, 1_000_000_000)
    clock = f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 1_000_000:03d}"
    where = record.node or ""
    if record.service is not None:
        where = f"{where}/{record.service}"
    text, tone = in_words(record.event)
    text = _STYLES.get(tone, str)(" ".join(text.split("\n")))
    kind = bold(record.event.kind.ljust(_KIND_WIDTH))
    return f"{faint(clock)} {kind} {where + ': ' if where else ''}{text}"
