"""The one who cleans up when a keeper is killed: a child of it that waits for nothing else.

Without it, a container that a killed keeper had made but not yet started would stay until the next
``testbed gc``: nothing runs in it that could notice, and so nothing that could end it.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from testbed.backends.docker_keeper import leftovers
from testbed.backends.docker_keeper.engine import open_engine
from testbed.kernel import libc
from testbed.kernel.channel import Channel

PROCESS_NAME = "testbed-guard"

_ALL_WELL = b"."
_ROUNDS, _ROUND_S = 3, 1.0
"""The engine may still be making what the keeper asked for last."""


@contextmanager
def guarded(lab_id: str, channel: Channel) -> Iterator[None]:
    """Should this process be killed meanwhile, what the lab has in the engine is removed.

    Args:
        lab_id: the lab's.
        channel: to the lab; not for the guard.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    guard = os.fork()
    if guard == 0:
        os.close(writing)
        channel.close()
        _guard(reading, lab_id)
    os.close(reading)
    try:
        yield
    finally:
        try:
            os.write(writing, _ALL_WELL)
        except BrokenPipeError:
            print("the guard was killed: nothing would have cleaned up after this process")  # noqa: T201
        os.close(writing)
        os.waitpid(guard, 0)


def _guard(reading: int, lab_id: str) -> NoReturn:
    """In the child.  Never returns."""
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        libc.set_process_name(PROCESS_NAME)
        if os.read(reading, 1) != _ALL_WELL:
            client = open_engine()
            for _ in range(_ROUNDS):
                leftovers.remove(client, leftovers.find(client, lab_id))
                time.sleep(_ROUND_S)
    except BaseException as error:  # noqa: BLE001  # into the log; a child must never return
        traceback.print_exception(error)
    finally:
        os._exit(0)
