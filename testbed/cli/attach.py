"""A command in a node on the caller's own input and output, signals passed on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_from_json
from testbed.lab_command import ended_with_its_lab, request_command

_PASSED_ON = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGCONT,
)
_ENDING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


def run_attached(
    lab: str, node: str, command: Sequence[str], environment: Mapping[str, str]
) -> int:
    """Run a command in a node on descriptors 0, 1 and 2 of this process.

    Returns:
        its exit code, or 128 and the number of the signal that ended it.

    Raises:
        LabError: there is no such lab or node, the program cannot be run, or the lab went down.
    """
    with _Signals() as signals, _three_descriptors() as descriptors:
        channel = request_command(lab, node, command, descriptors, environment=environment)
        try:
            signals.pass_on_to(channel)
            return exit_code(await_end(channel, lab))
        finally:
            channel.close()


def await_end(channel: Channel, lab: str) -> int:
    """Wait for a command's end; its exit code, negative when a signal ended it.

    Raises:
        LabError: its lab went down meanwhile; says why if that is known.
    """
    while True:
        try:
            message, _ = channel.receive()
        except ChannelClosedError as error:
            raise ended_with_its_lab(lab) from error
        if "error" in message:
            raise error_from_json(message["error"])
        if "status" in message:
            return int(message["status"])


def exit_code(status: int) -> int:
    """The exit code that shells give for a status: 128 and the signal's number for a signal."""
    return 128 - status if status < 0 else status


@contextmanager
def _three_descriptors() -> Iterator[tuple[int, int, int]]:
    """Descriptors 0, 1 and 2, with /dev/null for one that the caller has closed."""
    opened = []
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened.append(os.open(os.devnull, os.O_RDWR))  # takes the lowest number: this one
    try:
        yield 0, 1, 2
    finally:
        for number in opened:
            os.close(number)


class _Signals:
    """While this lasts, what is sent to this process goes to the command.

    A signal that comes before the command has started is kept for it; after a second one nobody
    waits for the start any longer.
    """

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._kept: list[int] = []

    def __enter__(self) -> Self:
        chosen = (*_PASSED_ON, signal.SIGTSTP)
        self._before = {number: signal.signal(number, self._take) for number in chosen}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def pass_on_to(self, channel: Channel) -> None:
        """The command has started: this is where its signals go."""
        self._channel = channel
        while self._kept:
            self._pass_on(channel, self._kept.pop(0))

    def _take(self, number: int, frame: object) -> None:
        del frame
        if self._channel is not None:
            self._pass_on(self._channel, number)
        elif number in self._kept and number in _ENDING:
            raise KeyboardInterrupt
        else:
            self._kept.append(number)

    @staticmethod
    def _pass_on(channel: Channel, number: int) -> None:
        # The command leads a session of its own, where SIGTSTP would be ignored.
        sent = signal.SIGSTOP if number == signal.SIGTSTP else number
        with suppress(ChannelClosedError):
            channel.send({"signal": int(sent)})
        if sent == signal.SIGSTOP:
            os.kill(os.getpid(), signal.SIGSTOP)
