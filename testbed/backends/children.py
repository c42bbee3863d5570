"""Child processes of the lab: as pid 1 it reaps everything, also what daemons leave behind."""

from __future__ import annotations

import asyncio
import os
import signal

from testbed.backends.place import Process


class Children:
    """Ends of child processes, as futures."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[int, asyncio.Future[int]] = {}
        loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def watch(self, pid: int) -> asyncio.Future[int]:
        """The exit code of a child just started (negative: the signal that ended it)."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._waiting[pid] = future
        return future

    def reap(self) -> None:
        """Collect every child that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            future = self._waiting.pop(pid, None)
            if future is not None and not future.done():
                future.set_result(os.waitstatus_to_exitcode(status))


_LONGEST_DEATH = 2.0
"""Seconds for a killed process to end.  One in a container that is paused does not, and one that
waits for a broken device does not, either; they end with the lab."""


async def end_group(process: Process, number: int, patience: float) -> int:
    """Ask a process group to end, insist after ``patience`` seconds; returns the exit code.

    One that was killed and does not end is taken for killed.
    """
    process.signal_group(number)
    try:
        status = await asyncio.wait_for(asyncio.shield(process.ended), patience)
    except TimeoutError:
        process.signal_group(signal.SIGKILL)
        try:
            status = await asyncio.wait_for(asyncio.shield(process.ended), _LONGEST_DEATH)
        except TimeoutError:
            status = -signal.SIGKILL
    process.signal_group(signal.SIGKILL)  # helpers it may have left in its group
    return status
