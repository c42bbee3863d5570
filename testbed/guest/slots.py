"""How many guests run at a time on this machine: by default one per CPU.

A guest computes on one CPU.  More of them than CPUs would only make each other slow, and a slow
guest looks as if it stood still.  A place is a name in the kernel's table of abstract sockets: the
same for all users of a network namespace (a container has places of its own), and free again when
the process that holds it ends, however it ends.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from testbed.guest.errors import GuestError

_NAME = "\0testbed-guest-{}"
_LOOK_EVERY_S = 0.1


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


class Slots:
    """The places for guests on this machine.

    Args:
        jobs: how many places there are; as many as CPUs by default, and never fewer: who asks for
            fewer guests at a time begins fewer.
        name: what places are called, with ``{}`` for the number (tests have their own).
    """

    def __init__(self, jobs: int | None = None, *, name: str | None = None) -> None:
        if jobs is not None and jobs < 1:
            raise GuestError(f"{jobs} guests at a time would never get done", hint="at least 1")
        self.limit = max(cpus(), jobs or 0)
        self._name = name or _NAME

    @contextmanager
    def one(
        self, waiting: Callable[[], None], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[bool]:
        """Hold a place; waits for one.

        Args:
            waiting: called once if there is none at first.
            stopped: asked while waiting; when it says yes, the wait ends and the result is false.
        """
        taken = self._take()
        if taken is None:
            waiting()
        while taken is None and not stopped():
            time.sleep(_LOOK_EVERY_S)
            taken = self._take()
        try:
            yield taken is not None
        finally:
            if taken is not None:
                taken.close()

    def _take(self) -> socket.socket | None:
        for number in range(self.limit):
            place = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                place.bind(self._name.format(number))
            except OSError as error:
                place.close()
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return place
        return None
