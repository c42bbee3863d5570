"""The watcher of a router: what its daemons log, and what becomes of the kernel's routes.

It makes the folder of FRR's sockets and the FIFO into which the daemons log, so it starts before
them.  It sleeps until there is something to tell.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from testbed.components.notify import notify
from testbed.events import Emitter
from testbed.peers.frr.config import TOLD
from testbed.peers.frr.log_lines import LineReader, read_line
from testbed.peers.frr.route_watch import RouteEars
from testbed.peers.frr.router import RouterConfigError

_CHUNK = 1 << 16
_FAREWELL_MS = 20


def run(names: Path, emitter: Emitter, told: Path = Path(TOLD)) -> None:
    """Tell of everything until SIGTERM.

    Raises:
        RouterConfigError: the names cannot be read.
        KernelError: the kernel's tables cannot be read.
    """
    reader = LineReader(_read_names(names))
    told.parent.mkdir(parents=True, exist_ok=True)
    if not told.is_fifo():  # one that is there already has its writers
        told.unlink(missing_ok=True)
        os.mkfifo(told, 0o600)
    # For reading and writing: it does not end when the last daemon closes it.
    lines = os.open(told, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    routes = RouteEars()
    try:
        with _asked_to_end() as asked:
            notify("READY=1")
            Watch(reader, routes, lines, emitter).until(asked)
    finally:
        routes.close()
        os.close(lines)


class Watch:
    """Turns lines and routes into events."""

    def __init__(self, reader: LineReader, routes: RouteEars, lines: int, emitter: Emitter) -> None:
        self._reader, self._routes, self._lines = reader, routes, lines
        self._emitter = emitter
        self._rest = b""

    def until(self, asked: int) -> None:
        """Tell until that descriptor can be read, and of what is then still waiting."""
        poll = select.poll()
        for descriptor in (self._lines, self._routes.fileno(), asked):
            poll.register(descriptor, select.POLLIN)
        while asked not in (ready := {fd for fd, _ in poll.poll()}):
            if self._lines in ready:
                self._take_lines()
            if self._routes.fileno() in ready:
                self._tell_routes()
        poll.unregister(asked)
        while poll.poll(_FAREWELL_MS):
            self._take_lines()
            self._tell_routes()

    def _take_lines(self) -> None:
        try:
            data = os.read(self._lines, _CHUNK)
        except BlockingIOError:
            return
        *whole, self._rest = (self._rest + data).split(b"\n")
        for text in whole:
            line = read_line(text.decode(errors="replace"))
            if line is not None:
                for event in self._reader.events(line):
                    self._emitter.emit(event, line.time_ns)

    def _tell_routes(self) -> None:
        for change in self._routes.changes():
            self._emitter.emit(change)


def _read_names(path: Path) -> Mapping[str, str]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RouterConfigError(f"cannot read it: {error.strerror}", where=str(path)) from error
    except ValueError as error:
        raise RouterConfigError(f"not JSON: {error}", where=str(path)) from error
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise RouterConfigError(
            "not the names of a router's neighbours",
            where=str(path),
            hint='a JSON object of names by address: {"192.0.2.1": "r1"}',
        )
    return names


@contextmanager
def _asked_to_end() -> Iterator[int]:
    """SIGTERM and SIGINT make this descriptor readable."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)
