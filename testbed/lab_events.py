"""The events of a lab: all so far, or as they come, without looking again and again."""

from __future__ import annotations

import select
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.errors import LabError
from testbed.events import Record, decode
from testbed.kernel.timer import Timer
from testbed.lab_talk import Conversation
from testbed.supervisor.channel import ChannelClosedError

EVENTS_FILE = "events.jsonl"


def read_events(path: Path) -> Iterator[Record]:
    """The records of an ``events.jsonl``."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):  # else it is being written just now
                yield decode(line)


class EventFeed:
    """The events of a lab from its beginning on, each given out once.

    Waiting costs nothing until something happens: the lab tells.
    """

    def __init__(self, lab: str, run_folder: Path) -> None:
        self._lab, self._path = lab, run_folder / EVENTS_FILE
        self._talk = Conversation(lab)
        self._timer = Timer()
        try:
            self._talk.ask({"do": "watch"})
            self._file = self._path.open("rb")
        except BaseException:
            self.close()
            raise
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self.close()

    def close(self) -> None:
        """The lab need not tell any more."""
        self._timer.close()
        self._talk.channel.close()

    def take(self) -> list[Record]:
        """What has come since the last time."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [decode(line) for line in lines]

    def take_all(self) -> list[Record]:
        """The same, with what services have handed over but the lab has not yet written."""
        with Conversation(self._lab) as talk:
            talk.ask({"do": "sync"})
        return self.take()

    def wait(self, until_ns: int) -> None:
        """Return when there may be something to take, or ``time.monotonic_ns()`` is ``until_ns``.

        Raises:
            LabError: the lab has ended.
        """
        self._timer.set(until_ns)
        poll = select.poll()
        poll.register(self._timer, select.POLLIN)
        poll.register(self._talk.channel, select.POLLIN)
        woken = {descriptor for descriptor, _ in poll.poll()}
        if self._talk.channel.fileno() in woken:
            self._hear()
        self._timer.stop()

    def _hear(self) -> None:
        """Take the news; there may be many, and one look at the file is enough for all."""
        channel = self._talk.channel
        channel.never_wait()
        try:
            while True:
                channel.receive()
        except BlockingIOError:
            return
        except ChannelClosedError as error:
            raise LabError(f"lab {self._lab!r} ended while its events were waited for") from error
