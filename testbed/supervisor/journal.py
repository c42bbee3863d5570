"""The lab's event stream on disk: one JSON line each, in the run folder."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from testbed.events import Event, Record, encode

_BLOT = "[secret]"
Listener = Callable[[Record], None]


class Journal:
    """Appends events to ``events.jsonl``; a full disk is counted and told, never fatal."""

    def __init__(self, path: Path, secrets: tuple[str, ...] = ()) -> None:
        self.path = path
        self.lost = 0
        self.trouble: str | None = None
        self._secrets = tuple(secret for secret in secrets if secret)
        self._listeners: list[Listener] = []
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have every further record handed to ``listener``; call the result to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def say(
        self,
        event: Event,
        *,
        origin: str = "harness",
        node: str | None = None,
        service: str | None = None,
    ) -> None:
        """Record that something happened now."""
        self.record(Record(time.time_ns(), origin, event, node, service))

    def record(self, record: Record) -> None:
        """Write a record; its listeners get it even when the disk cannot take it."""
        line = encode(record)
        for secret in self._secrets:  # as it stands in JSON
            for form in (json.dumps(secret, ensure_ascii=False), json.dumps(secret)):
                line = line.replace(form[1:-1], _BLOT)
        try:
            _write_all(self._descriptor, line.encode(errors="replace") + b"\n")
        except OSError as error:
            self.lost += 1
            self.trouble = f"{self.path}: {error.strerror}"
        for listener in tuple(self._listeners):
            listener(record)

    def redact(self, text: str) -> str:
        """The text with every secret of the lab blotted out."""
        for secret in self._secrets:
            text = text.replace(secret, _BLOT)
        return text

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    """Write the whole line or leave none of it: a torn line would spoil the next one."""
    start = os.fstat(descriptor).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, start)
        raise
