"""Counts what wakes this kernel, by its own tracepoints: timers, work queues and processes.

Under a virtual clock an idle hour costs nothing; what costs is everything that happens in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import TestbedError

_TRACING = Path("/sys/kernel/tracing")
_BUFFER_KB = 100_000
_FUNCTION = re.compile(r"function=(\S+?)(?:\+0x\S*)?(?:\s|$)")
_EVENTS = {
    "timer": ("timer/timer_expire_entry", _FUNCTION),
    "precise timer": ("timer/hrtimer_expire_entry", _FUNCTION),
    "work": (
        "workqueue/workqueue_execute_start",
        re.compile(r"function (\S+?)(?:\+0x\S*)?(?:\s|$)"),
    ),
    "process": ("sched/sched_switch", re.compile(r"==> next_comm=(.*?) next_pid=[1-9]")),
}
"""Tracepoints, and what of each line is counted.  (Switches to the idle task, pid 0, are not.)"""

_LINE = re.compile(r"\s(\w+): (.*)$")

Counts = dict[str, dict[str, int]]


@contextmanager
def counting() -> Iterator[Counts]:
    """Counts into the value it gives, which is complete after the block.

    Raises:
        TestbedError: more happened than the kernel could keep.
    """
    _write("tracing_on", "0")
    _write("buffer_size_kb", str(_BUFFER_KB))
    _write("options/overwrite", "0")
    _write("trace", "")
    for path, _ in _EVENTS.values():
        _write(f"events/{path}/enable", "1")
    found: Counts = {}
    _write("tracing_on", "1")
    try:
        yield found
    finally:
        _write("tracing_on", "0")
    if "overrun: 0\n" not in (statistics := (_TRACING / "per_cpu/cpu0/stats").read_text()) or (
        "dropped events: 0\n" not in statistics
    ):
        raise TestbedError("more happened than the kernel could keep: count for a shorter time")
    with (_TRACING / "trace").open(encoding="utf-8", errors="replace") as trace:
        found.update(count(trace))


def count(trace: Iterable[str]) -> Counts:
    """How often each timer, work and process is in a trace's lines, the most frequent first."""
    by_event = {path.partition("/")[2]: (kind, what) for kind, (path, what) in _EVENTS.items()}
    counters: dict[str, Counter[str]] = {kind: Counter() for kind in _EVENTS}
    for text in trace:
        line = _LINE.search(text)
        if line is None or line[1] not in by_event:
            continue
        kind, what = by_event[line[1]]
        if named := what.search(line[2]):
            counters[kind][named[1]] += 1
    return {kind: dict(counter.most_common()) for kind, counter in counters.items()}


def _write(name: str, text: str) -> None:
    (_TRACING / name).write_text(text)
