"""Several guests at a time, each with a job of its own, watched by one thread."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from testbed.guest.boot import Guest, GuestResult
from testbed.guest.job import Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.link import Kind
from testbed.guest.machine import Machine
from testbed.guest.slots import Slots, cpus


@dataclass(frozen=True, slots=True)
class Task:
    """A job for a guest: ``name`` is for people, ``folder`` the guest's run folder."""

    name: str
    job: Job
    folder: Path
    machine: Machine


@dataclass(frozen=True, slots=True)
class Said:
    """A task's command wrote something."""

    task: Task
    kind: Kind
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """A task is over: with a result, with an error, or (neither) it was never begun."""

    task: Task
    result: GuestResult | None = None
    error: BaseException | None = None


class GuestTeam:
    """Runs tasks in guests, so many at a time.  Leaving the context ends every guest at once.

    Args:
        kernel: what to boot.
        tasks: begun in this order; each needs a folder of its own.
        jobs: guests at a time; one per CPU by default.
        say: told, in words, when a guest must wait for those of others on this machine.
    """

    def __init__(
        self,
        kernel: GuestKernel,
        tasks: Sequence[Task],
        *,
        jobs: int | None = None,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._kernel, self._waiting, self._say = kernel, deque(tasks), say
        self._open = len(tasks)
        self._slots = Slots(jobs)
        self._news: SimpleQueue[Said | Ended] = SimpleQueue()
        self._lock = threading.Lock()
        self._stopping = False
        self._running: dict[str, tuple[Guest, int]] = {}
        self._spoke: set[str] = set()
        count = min(len(tasks), jobs or cpus())
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        for worker in self._workers:
            if worker.ident is not None:
                worker.join()

    def news(self, look_every_s: float | None = None) -> Iterator[Said | Ended | None]:
        """What happens, as it happens; ends when every task has.

        Gives None whenever nothing happened for so long.
        """
        while self._open:
            try:
                one = self._news.get(timeout=look_every_s)
            except Empty:
                yield None
                continue
            self._open -= isinstance(one, Ended)
            yield one

    def begin_no_more(self) -> None:
        """Let those that run go on; the rest is over without having begun."""
        with self._lock:
            self._stopping = True

    def interrupt(self) -> None:
        """As Ctrl-C at each command's terminal; what has said nothing yet is ended at once."""
        with self._lock:
            self._stopping = True
            for name, (guest, process) in self._running.items():
                if name in self._spoke:
                    guest.interrupt()
                else:
                    _kill(process)

    def kill(self) -> None:
        """End every guest, as a power cut would."""
        with self._lock:
            self._stopping = True
            for _, process in self._running.values():
                _kill(process)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                task = self._waiting.popleft()
            self._news.put(self._do(task))

    def _do(self, task: Task) -> Ended:
        try:
            with self._slots.one(lambda: self._tell_of_waiting(task), self._stopped) as there:
                return Ended(task, self._run(task) if there else None)
        except BaseException as error:  # noqa: BLE001  # the watching thread decides
            return Ended(task, error=error)

    def _stopped(self) -> bool:
        return self._stopping

    def _tell_of_waiting(self, task: Task) -> None:
        self._say(
            f"{task.name} waits: {self._slots.limit} guests run on this machine already "
            "(one per CPU; --jobs allows more)"
        )

    def _run(self, task: Task) -> GuestResult | None:
        with contextlib.ExitStack() as stack:
            with self._lock:
                if self._stopping:
                    return None
                guest = stack.enter_context(
                    Guest(self._kernel, task.job, task.folder, task.machine)
                )
                process = os.pidfd_open(guest.pid)
                stack.callback(os.close, process)
                self._running[task.name] = guest, process
            stack.callback(self._forget, task)

            def output(kind: Kind, data: bytes) -> None:
                self._spoke.add(task.name)
                self._news.put(Said(task, kind, data))

            return guest.wait(output)

    def _forget(self, task: Task) -> None:
        with self._lock:
            self._running.pop(task.name, None)


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
