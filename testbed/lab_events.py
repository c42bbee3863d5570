"""The events of a lab: all so far, or as they come, without looking again and again."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.errors import LabError
from testbed.events import Record, decode
from testbed.kernel.channel import ChannelClosedError
from testbed.kernel.timer import Timer
from testbed.lab_talk import Conversation

EVENTS_FILE = "events.jsonl"


def read_events(path: Path) -> Iterator[Record]:
    """The records of an ``events.jsonl``."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):  # else it is being written just now
                yield decode(line)


class EventLog:
    """The events of a lab as they stand in its run folder, each read once.

    Threads may share one; the list only grows.
    """

    def __init__(self, run_folder: Path) -> None:
        self._path = run_folder / EVENTS_FILE
        self._records: list[Record] = []
        self._position = 0
        self._rest = b""
        self._lock = threading.Lock()

    def read(self) -> list[Record]:
        """All up to now.  The caller must not change the list."""
        with self._lock, self._path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
            self._position += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._records += [decode(line) for line in lines]
            return self._records


class EventFeed:
    """The events of a lab from its beginning on and as they come, each given out once.

    Waiting costs nothing until something happens: the lab tells.
    """

    def __init__(self, lab: str, log: EventLog) -> None:
        self._lab, self._log = lab, log
        self._given = 0
        self._talk = Conversation(lab)
        self._timer = Timer()
        try:
            self._talk.ask({"do": "watch"})
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """The lab need not tell any more."""
        self._timer.close()
        self._talk.channel.close()

    def take(self) -> list[Record]:
        """What has come since the last time."""
        new = self._log.read()[self._given :]
        self._given += len(new)
        return new

    def take_all(self) -> list[Record]:
        """The same, with what services have handed over but the lab has not yet written."""
        with Conversation(self._lab) as talk:
            talk.ask({"do": "sync"})
        return self.take()

    def wait(self, left_ns: int) -> None:
        """Return when there may be something to take, or after so many nanoseconds.

        Raises:
            LabError: the lab has ended.
        """
        self._timer.set(time.monotonic_ns() + left_ns)
        poll = select.poll()
        poll.register(self._timer, select.POLLIN)
        poll.register(self._talk.channel, select.POLLIN)
        woken = {descriptor for descriptor, _ in poll.poll()}
        self._timer.stop()
        if self._talk.channel.fileno() in woken:
            self._hear()

    def _hear(self) -> None:
        """Take the news; there may be many, and one look at the log is enough for all."""
        channel = self._talk.channel
        channel.never_wait()
        try:
            while True:
                channel.receive()
        except BlockingIOError:
            return
        except ChannelClosedError as error:
            raise LabError(f"lab {self._lab!r} ended while its events were waited for") from error
