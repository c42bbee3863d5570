"""A command in a node on a terminal of its own, joined to the caller's terminal.

The command gets a new pseudo-terminal, so that line editing, job control and Ctrl-C belong to it;
this process only carries bytes and window sizes.  The caller's terminal is in raw mode meanwhile
and restored whatever happens.
"""

from __future__ import annotations

import os
import pty
import selectors
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from testbed.cli.attach import exit_code
from testbed.cli.output import tell
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_from_json
from testbed.lab_command import ended_with_its_lab, request_command

_STDIN, _STDOUT = 0, 1
_CHUNK = 65536
_MOST_WAITING = 1 << 16
_MOST_READS = 64


def run_on_terminal(
    lab: str, node: str, command: Sequence[str], environment: Mapping[str, str]
) -> int:
    """Run a command in a node on a new terminal, and join that to the terminal of this process.

    Returns:
        its exit code, or 128 and the number of the signal that ended it.

    Raises:
        LabError: there is no such lab or node, the program cannot be run, or the lab went down.
    """
    ours, theirs = pty.openpty()
    try:
        try:
            termios.tcsetattr(theirs, termios.TCSANOW, termios.tcgetattr(_STDIN))
            termios.tcsetwinsize(theirs, termios.tcgetwinsize(_STDOUT))
            channel = request_command(
                lab, node, command, (theirs,) * 3, environment=environment, terminal=True
            )
        finally:
            os.close(theirs)
        try:
            with _raw(), _handling_signals(ours, channel):
                status = _Relay(ours, channel).run()
        finally:
            channel.close()
    finally:
        os.close(ours)
    if status is None:
        tell("")  # the command has left the cursor anywhere
        raise ended_with_its_lab(lab)
    return exit_code(status)


@contextmanager
def _raw() -> Iterator[None]:
    """The caller's terminal in raw mode, and afterwards as it was."""
    sys.stdout.flush()
    before = termios.tcgetattr(_STDIN)
    try:
        tty.setraw(_STDIN)
        yield
    finally:
        # Not TCSAFLUSH: what was typed ahead is for the caller's shell.
        termios.tcsetattr(_STDIN, termios.TCSADRAIN, before)


@contextmanager
def _handling_signals(ours: int, channel: Channel) -> Iterator[None]:
    """Pass on new window sizes, and leave in order when this process is told to end."""

    def resize(number: int, frame: object) -> None:
        del number, frame
        with suppress(OSError, termios.error, ChannelClosedError):
            termios.tcsetwinsize(ours, termios.tcgetwinsize(_STDOUT))
            # Who has the other side of the terminal hears of it from the kernel, unless that is
            # a process on the host that carries everything into a guest.
            channel.send({"signal": int(signal.SIGWINCH)})

    def leave(number: int, frame: object) -> NoReturn:
        del frame
        sys.exit(128 + number)

    handlers = {signal.SIGWINCH: resize, signal.SIGTERM: leave, signal.SIGHUP: leave}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        resize(signal.SIGWINCH, None)  # it may have changed before anyone listened
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Relay:
    """Carries bytes between the caller's terminal and the command's until the command ends."""

    def __init__(self, ours: int, channel: Channel) -> None:
        self._ours, self._channel = ours, channel
        self._typed = bytearray()
        self._selector = selectors.DefaultSelector()
        os.set_blocking(ours, False)

    def run(self) -> int | None:
        """Carry on until the end; the command's status, or None when the lab is gone."""
        with self._selector as selector:
            selector.register(_STDIN, selectors.EVENT_READ)
            selector.register(self._ours, selectors.EVENT_READ)
            selector.register(self._channel, selectors.EVENT_READ)
            while True:
                for key, mask in selector.select():
                    if key.fileobj is self._channel:
                        try:
                            message, _ = self._channel.receive()
                        except ChannelClosedError:
                            return None
                        if "error" in message:
                            self._show_the_rest()
                            raise error_from_json(message["error"])
                        if "status" in message:
                            self._show_the_rest()
                            return int(message["status"])
                    elif key.fd == _STDIN:
                        self._take_typed()
                    else:
                        if mask & selectors.EVENT_WRITE:
                            self._hand_over()
                        if mask & selectors.EVENT_READ:
                            self._show()

    def _take_typed(self) -> None:
        data = os.read(_STDIN, _CHUNK)
        if not data:  # the terminal was hung up
            sys.exit(128 + signal.SIGHUP)
        self._typed += data
        self._hand_over()

    def _hand_over(self) -> None:
        """Give the command what was typed, as far as it takes it now."""
        with suppress(BlockingIOError):
            while self._typed:
                written = os.write(self._ours, self._typed)
                del self._typed[:written]
        if self._ours in self._selector.get_map():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._typed else 0)
            self._selector.modify(self._ours, events)
        # A program that does not read must not make this process keep all that is pasted.
        watched = _STDIN in self._selector.get_map()
        if len(self._typed) >= _MOST_WAITING and watched:
            self._selector.unregister(_STDIN)
        elif not self._typed and not watched:
            self._selector.register(_STDIN, selectors.EVENT_READ)

    def _show(self) -> bool:
        """Print what the command printed; False when there is nothing (more)."""
        try:
            data = os.read(self._ours, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the command's side of the terminal open any more
            data = b""
        if not data:
            with suppress(KeyError):
                self._selector.unregister(self._ours)
            return False
        view = memoryview(data)
        while view:
            view = view[os.write(_STDOUT, view) :]
        return True

    def _show_the_rest(self) -> None:
        """What the terminal still holds; a job left in the background may print for ever."""
        for _ in range(_MOST_READS):
            if not self._show():
                return
