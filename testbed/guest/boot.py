"""Start a guest, run a command in it, bring back what it says and how it ended."""

from __future__ import annotations

import json
import os
import select
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

from testbed.guest import ending, launch
from testbed.guest.console import Console, press_ctrl_alt_del
from testbed.guest.errors import GuestError, GuestStuckError, HostTroubleError
from testbed.guest.job import Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.link import Inbox, Kind, Link, LinkClosedError
from testbed.guest.machine import Machine
from testbed.guest.progress import Progress, ProgressFile
from testbed.guest.watchdog import LOOK_EVERY_S, PATIENCE_S, Watchdog

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
    patience_s: float = PATIENCE_S,
) -> GuestResult:
    """Boot a guest, run a command in it, wait for its end.

    Args:
        kernel: see ``kernel_build.ensure_kernel``.
        job: the command.
        run_folder: the one folder that the guest can write to; made if it is not there.
        machine: memory, clock and seed; 1 GB, real time and the host's randomness by default.
        output: called with ``Kind.OUTPUT`` or ``Kind.ERRORS`` and the bytes as they come;
            standard output and standard error of this process by default.
        patience_s: CPU seconds that a program may compute under the virtual clock without a
            system call before it counts as stuck.

    Raises:
        GuestStuckError: virtual time stood still; names the program that computed.
        GuestError: the guest did not come up, ended before the command did, or had too little
            memory.
    """
    with Guest(kernel, job, run_folder, machine or Machine(), patience_s=patience_s) as guest:
        return guest.wait(output or pass_through)


def pass_through(kind: Kind, data: bytes) -> None:
    """Write the guest's output to our own."""
    stream = sys.stdout if kind is Kind.OUTPUT else sys.stderr
    stream.buffer.write(data)
    stream.buffer.flush()


class Guest:
    """A guest that is booting or running; ends with this object, and with this process."""

    def __init__(
        self,
        kernel: GuestKernel,
        job: Job,
        run_folder: Path,
        machine: Machine,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._memory_mb = machine.memory_mb
        self._control = run_folder.resolve() / CONTROL_FOLDER
        self._console = Console(self._control / "console.log")
        self._began = time.monotonic()
        self._times: dict[Kind, float] = {}
        memory = launch.memory_folder(machine.memory_mb)
        with self._console.open() as console:
            launch.lay_control_folder(self._control, job.code)
            self._socket, theirs = socket.socketpair()
            try:
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
            except OSError as error:
                self._socket.close()
                launch.clear_control_folder(self._control)
                raise HostTroubleError(
                    f"the guest cannot be started: {error.strerror}",
                    where=str(error.filename or kernel.binary),
                    hint="it takes setpriv and prlimit, of Debian's package util-linux",
                ) from error
        self._link, self._inbox = Link(self._receive, self._socket.send), Inbox()
        self._progress = ProgressFile(self._control)
        # In real time a program may compute for as long as it likes.
        self._watchdog = (
            Watchdog(self._progress, self.pid, patience_s) if machine.clock is not None else None
        )
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

    @property
    def progress(self) -> Progress | None:
        """How far the guest is, its clock included; None before it has begun and after its end."""
        return self._progress.read()

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

        Raises:
            GuestError: see :func:`run_in_guest`.
        """
        with self._signals_passed_on():
            status = self._listen(output)
        self._await_power_off()
        if ending.ran_out_of_memory(self._console):
            raise ending.out_of_memory(self._console, "while its command ran", self._memory_mb)
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

    def look(self) -> None:
        """See whether the guest still gets anywhere: to be called now and then (every
        :data:`watchdog.LOOK_EVERY_S`) by those who wait for it themselves; :meth:`wait` does.

        Raises:
            GuestStuckError: virtual time stands still; names the program that computes.
        """
        if self._watchdog is None:
            return
        try:
            self._watchdog.look()
        except GuestStuckError as error:
            self._console.note(error.what)
            raise

    def interrupt(self) -> bool:
        """Have the command interrupted, as by Ctrl-C at its terminal; false if that failed."""
        return press_ctrl_alt_del(self._control)

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

    def _receive(self, size: int) -> bytes:
        """Wait for what the guest says, with an eye on whether it still gets anywhere."""
        heard = select.poll()
        heard.register(self._socket, select.POLLIN)
        while not heard.poll(LOOK_EVERY_S * 1000):
            self.look()
        return self._socket.recv(size)

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
        when = "before its command did" if Kind.STARTED in self._times else ending.WHILE_BOOTING
        return ending.died(self._console, status, when, self._memory_mb)
