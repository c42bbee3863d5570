"""Start a guest, run a command in it, bring back what it says and how it ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from testbed.guest import launch
from testbed.guest.console import Console, press_ctrl_alt_del
from testbed.guest.errors import GuestError
from testbed.guest.job import Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.link import Inbox, Kind, Link, LinkClosedError
from testbed.guest.machine import Machine

CONTROL_FOLDER = "guest"
"""In the run folder: the kernel's console, and what the running guest needs."""

_LONGEST_END_S = 30.0
_CHUNK = 1 << 16

Output = Callable[[Kind, bytes], None]


@dataclass(frozen=True, slots=True)
class GuestResult:
    """How a guest's command ended.

    ``status`` is its exit code as a shell counts it (128 + N for signal N); ``boot_s`` the wall
    time to the first statement in the guest, ``started_s`` to the start of the command, ``wall_s``
    to the guest's end; ``console`` is the kernel's own output.
    """

    status: int
    boot_s: float
    started_s: float
    wall_s: float
    console: Path


def run_in_guest(
    kernel: GuestKernel,
    job: Job,
    run_folder: Path,
    *,
    machine: Machine | None = None,
    output: Output | None = None,
) -> GuestResult:
    """Boot a guest, run a command in it, wait for its end.

    Args:
        kernel: see ``kernel_build.ensure_kernel``.
        job: the command.
        run_folder: the one folder that the guest can write to; made if it is not there.
        machine: memory, clock and seed; 1 GB, real time and the host's randomness by default.
        output: called with ``Kind.OUTPUT`` or ``Kind.ERRORS`` and the bytes as they come;
            standard output and standard error of this process by default.

    Raises:
        GuestError: the guest did not come up, or ended before the command did.
    """
    with Guest(kernel, job, run_folder, machine or Machine()) as guest:
        return guest.wait(output or pass_through)


def pass_through(kind: Kind, data: bytes) -> None:
    """Write the guest's output to our own."""
    stream = sys.stdout if kind is Kind.OUTPUT else sys.stderr
    stream.buffer.write(data)
    stream.buffer.flush()


class Guest:
    """A guest that is booting or running; ends with this object, and with this process."""

    def __init__(self, kernel: GuestKernel, job: Job, run_folder: Path, machine: Machine) -> None:
        self._control = run_folder.resolve() / CONTROL_FOLDER
        self._console = Console(self._control / "console.log")
        self._began = time.monotonic()
        self._times: dict[Kind, float] = {}
        memory = launch.memory_folder(machine.memory_mb)
        with self._console.open() as console:
            launch.lay_control_folder(self._control, job.code)
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    launch.arguments(kernel.binary, machine),
                    cwd=self._control,
                    env={"PATH": os.defpath, "TMPDIR": memory},
                    stdin=theirs.fileno(),
                    stdout=console,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        self._link, self._inbox = Link(self._socket.recv, self._socket.send), Inbox()
        try:
            self._link.send_json(Kind.JOB, job.to_json())
        except BaseException as error:
            self.kill()
            if isinstance(error, OSError):
                raise self._died() from error
            raise

    @property
    def pid(self) -> int:
        """The process that is the guest's kernel."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def wait(self, output: Output) -> GuestResult:
        """Pass on the command's output until it has ended and the guest is off.

        A first SIGINT goes on to the command (only if this is the main thread, where signals
        arrive), which may end in its own way; a second one raises KeyboardInterrupt.
        """
        with self._signals_passed_on():
            status = self._listen(output)
        self._await_power_off()
        times = [self._times.get(kind, 0.0) for kind in (Kind.HELLO, Kind.STARTED)]
        wall = time.monotonic() - self._began
        return GuestResult(status, times[0], times[1], wall, self._console.path)

    def fileno(self) -> int:
        """Readable when the guest has said something, for those who wait for several things."""
        return self._socket.fileno()

    def receive_now(self) -> list[tuple[Kind, bytes]]:
        """The messages that have come whole; to be called when :meth:`fileno` is readable.

        Raises:
            GuestError: the guest has ended; says how.
        """
        try:
            data = self._socket.recv(_CHUNK)
        except ConnectionError as error:
            raise self._died() from error
        if not data:
            raise self._died()
        messages = self._inbox.take(data)
        for kind, _ in messages:
            self._times.setdefault(kind, time.monotonic() - self._began)
        return messages

    def send(self, kind: Kind, content: bytes) -> None:
        """Tell the guest something, while it waits for that.

        Raises:
            GuestError: the guest has ended; says how.
        """
        try:
            self._link.send(kind, content)
        except OSError as error:
            raise self._died() from error

    def interrupt(self) -> None:
        """Have the command interrupted, as by Ctrl-C at its terminal."""
        press_ctrl_alt_del(self._control)

    def kill(self) -> None:
        """End the guest at once, as a power cut would; does nothing if it has ended."""
        # Every process of the guest ends with its kernel's (they ask the host's kernel for that).
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._socket.close()
        launch.clear_control_folder(self._control)

    @contextmanager
    def _signals_passed_on(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def pass_on(_number: int, _frame: FrameType | None) -> None:
            signal.signal(signal.SIGINT, before)
            self.interrupt()

        before = signal.signal(signal.SIGINT, pass_on)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _listen(self, output: Output) -> int:
        try:
            while True:
                kind, content = self._link.receive()
                self._times.setdefault(kind, time.monotonic() - self._began)
                if kind in (Kind.OUTPUT, Kind.ERRORS):
                    output(kind, content)
                elif kind is Kind.ENDED:
                    return int(json.loads(content)["status"])
                elif kind is Kind.FAILED:
                    failure = json.loads(content)
                    raise GuestError(failure["what"], where=failure["where"], hint=failure["hint"])
        except (LinkClosedError, ConnectionError) as error:
            raise self._died() from error

    def _await_power_off(self) -> None:
        try:
            self._process.wait(_LONGEST_END_S)
        except subprocess.TimeoutExpired as error:
            raise GuestError(
                f"the guest's command has ended, but the guest has not in {_LONGEST_END_S:g} s",
                where=str(self._console.path),
            ) from error

    def _died(self) -> GuestError:
        """The error that says how a guest ended that ended too early."""
        status = self._process.wait()
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended ({status})"
        when = "before its command did" if Kind.STARTED in self._times else "while it booted"
        return GuestError(
            f"the guest {how} {when}{self._console.last_words()}",
            where=str(self._console.path),
            hint="the file named above has the guest kernel's own output",
        )
