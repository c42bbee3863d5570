"""Commands in nodes, from the caller's side."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from testbed.errors import LabError
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.kernel.faces import error_from_json
from testbed.supervisor import channel as channels


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended: its exit code (negative: the signal), output and duration."""

    node: str
    command: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def ok(self) -> bool:
        """True when it exited 0."""
        return self.status == 0

    def require_ok(self) -> None:
        """Raise LabError, with the output, unless it exited 0."""
        if not self.ok:
            raise LabError(f"a command failed:\n{self}", where=self.node)

    def __str__(self) -> str:
        text = f"{self.node}$ {' '.join(self.command)}  [exit {self.status}, {self.seconds:.2f} s]"
        for output in (self.stdout, self.stderr):
            if output.strip():
                text += "\n" + output.rstrip()
        return text


class RunningCommand:
    """A command that was started; use it as a context manager or call :meth:`stop`."""

    def __init__(
        self, channel: Channel, node: str, command: tuple[str, ...], pipes: tuple[int, int, int]
    ) -> None:
        self._channel, self.node, self.command = channel, node, command
        stdin, out, err = pipes
        self._stdin: int | None = stdin
        os.set_blocking(stdin, False)
        self._unwritten = bytearray()
        self._closing = False
        self._outputs = {out: bytearray(), err: bytearray()}
        self._order = (out, err)
        self._open = {out, err}
        self._started = time.monotonic()
        self.status: int | None = None
        self._channel_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def send_signal(self, number: int) -> None:
        """Signal the command's process group."""
        self._channel.send({"signal": int(number)})

    def write(self, data: bytes) -> None:
        """Give it input; what it does not take at once goes on while one waits for it."""
        if self._stdin is None or self._closing:
            raise LabError("its input is closed", where=self.node)
        self._unwritten += data
        self._feed()

    def close_input(self) -> None:
        """Let it see the end of its input, once it has taken what was written."""
        self._closing = True
        self._feed()

    def _feed(self) -> None:
        """Write as much as the command takes now."""
        if self._stdin is None:
            return
        try:
            while self._unwritten:
                del self._unwritten[: os.write(self._stdin, self._unwritten[:65536])]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unwritten.clear()  # it reads no more
        if self._closing:
            os.close(self._stdin)
            self._stdin = None

    def output_so_far(self) -> str:
        """What it has printed up to now, without waiting."""
        self._pump(0.0)
        return self._outputs[self._order[0]].decode(errors="replace")

    def wait(self, timeout: float | None = None) -> CommandResult:
        """Wait for its end.

        Raises:
            LabError: it does not end within ``timeout`` seconds; it is ended then.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.status is None or self._open:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                printed = self._outputs[self._order[0]][-2000:].decode(errors="replace")
                self.stop()
                raise LabError(
                    f"{' '.join(self.command)!r} did not end within {timeout:g} s; it printed:\n"
                    f"{printed}",
                    where=self.node,
                )
            if self.status is not None:
                # A background process may hold the output open for ever: take what is there.
                left = 0.0
            if not self._pump(left) and self.status is not None:
                break
        return self._result()

    def stop(self) -> CommandResult:
        """End it (SIGTERM, then SIGKILL) if it still runs."""
        if self.status is None and not self._channel_closed:
            try:
                self.send_signal(signal.SIGTERM)
                deadline = time.monotonic() + 2.0
                while self.status is None and time.monotonic() < deadline:
                    self._pump(deadline - time.monotonic())
                if self.status is None:
                    self.send_signal(signal.SIGKILL)
                while self.status is None:
                    self._pump(None)
            except ChannelClosedError:
                self._channel_closed = True
        result = self._result()
        self._close()
        return result

    def _result(self) -> CommandResult:
        out, err = (self._outputs[number].decode(errors="replace") for number in self._order)
        status = -signal.SIGKILL if self.status is None else self.status
        seconds = time.monotonic() - self._started
        return CommandResult(self.node, self.command, status, out, err, seconds)

    def _close(self) -> None:
        self._unwritten.clear()
        self.close_input()
        for number in tuple(self._open):
            os.close(number)
        self._open.clear()
        self._channel.close()
        self._channel_closed = True

    def _pump(self, timeout: float | None) -> bool:
        """Take in output and news of the end; False when nothing came within ``timeout``."""
        with selectors.DefaultSelector() as selector:
            for number in self._open:
                selector.register(number, selectors.EVENT_READ)
            if self.status is None and not self._channel_closed:
                selector.register(self._channel, selectors.EVENT_READ)
            if self._unwritten and self._stdin is not None:
                selector.register(self._stdin, selectors.EVENT_WRITE)
            if not selector.get_map():
                return False
            ready = selector.select(timeout)
            for key, _ in ready:
                if key.fileobj is self._channel:
                    self._hear()
                elif key.fd == self._stdin:
                    self._feed()
                else:
                    self._read(key.fd)
        return bool(ready)

    def _read(self, number: int) -> None:
        data = os.read(number, 65536)
        if data:
            self._outputs[number] += data
        else:
            os.close(number)
            self._open.discard(number)

    def _hear(self) -> None:
        try:
            message, _ = self._channel.receive()
        except ChannelClosedError:
            self._channel_closed = True
            self.status = -signal.SIGKILL  # the lab has ended, and with it the command
            return
        if "error" in message:
            self._channel_closed = True
            self.status = -signal.SIGKILL
            raise error_from_json(message["error"])
        if "status" in message:
            self.status = int(message["status"])


def start_command(
    lab: str, node: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> RunningCommand:
    """Start a command in a node of a lab, with pipes for its input and output."""
    stdin_read, stdin_write = os.pipe2(os.O_CLOEXEC)
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    try:
        channel = request_command(
            lab, node, command, (stdin_read, out_write, err_write), environment=environment
        )
    except BaseException:
        for number in (stdin_write, out_read, err_read):
            os.close(number)
        raise
    finally:
        for number in (stdin_read, out_write, err_write):
            os.close(number)
    return RunningCommand(channel, node, tuple(command), (stdin_write, out_read, err_read))


def _working_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  # the text, not a Path
    except FileNotFoundError as error:
        raise LabError(
            "the folder you are in has been removed, and commands in a lab start where you are",
            where=os.environ.get("PWD"),
            hint="change to another folder first: cd",
        ) from error


def request_command(
    lab: str,
    node: str,
    command: Sequence[str],
    descriptors: tuple[int, int, int],
    *,
    environment: Mapping[str, str] | None = None,
    terminal: bool = False,
) -> Channel:
    """Ask the lab to run a command on these descriptors; its status comes over the channel.

    Raises:
        LabError: the lab will not, or it went down: the command may have run, and printed,
            before the lab's answer came.
    """
    channel = channels.connect(lab)
    try:
        message: dict[str, Any] = {
            "do": "command",
            "node": node,
            "command": list(command),
            "environment": dict(environment or {}),
            "folder": _working_folder(),
            "terminal": terminal,
        }
        channel.send(message, descriptors)
        answer, _ = channel.answer(lab)
        if "error" in answer:
            raise error_from_json(answer["error"])
    except ChannelClosedError as error:
        channel.close()
        raise ended_with_its_lab(lab) from error
    except BaseException:
        channel.close()
        raise
    return channel


def ended_with_its_lab(lab: str) -> LabError:
    """The error that tells why a command has ended with its lab."""
    return LabError(f"lab {lab!r} went down, and the command with it")


def run_command(
    lab: str,
    node: str,
    command: Sequence[str],
    *,
    input_text: str,
    timeout: float,
    check: bool,
    environment: Mapping[str, str] | None,
) -> CommandResult:
    """Run a command to its end (see :meth:`testbed.lab.Lab.run`)."""
    with start_command(lab, node, command, environment=environment) as running:
        if input_text:
            running.write(input_text.encode())
        running.close_input()
        result = running.wait(timeout)
    if check:
        result.require_ok()
    return result
