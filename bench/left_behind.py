"""After a run that failed: its lab must leave nothing, and the next run waits until that is so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import containers
from bench.rounds import ContenderError
from testbed.supervisor.channel import running_labs

_LOOK_EVERY = 0.1
_LONGEST_END = 60.0


@contextmanager
def nothing_left_of(lab: str, *, in_docker: bool) -> Iterator[None]:
    """Around a run that makes a lab of this name; one that failed, or is given up, is cleared up.

    Raises:
        ContenderError: the run's, or that something of it cannot be ended.
    """
    try:
        yield
    except BaseException as error:
        left = _await_end(lab) + (containers.await_none(lab, _LONGEST_END) if in_docker else [])
        if left:
            what = f"{error}; and it left behind: {', '.join(left)}"
            raise ContenderError(what) from error
        raise


def _await_end(lab: str) -> list[str]:
    """Wait until no lab of this name is up; it ends with the run that made it."""
    deadline = time.monotonic() + _LONGEST_END
    while lab in running_labs():
        if time.monotonic() > deadline:
            return [f"the lab {lab}"]
        time.sleep(_LOOK_EVERY)
    return []
