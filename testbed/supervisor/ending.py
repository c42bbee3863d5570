"""Ending a lab that does not listen any more: its first process is killed, and all else with it."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

from testbed.errors import LabError
from testbed.kernel.channel import Channel

_LONGEST_END = 30.0


def kill(channel: Channel, lab: str) -> Path | None:
    """Kill the supervisor at the other end of the connection; returns when its lab has gone.

    It is process 1 of the lab's own pid namespace, so the kernel ends everything in the lab; that
    it is one is made sure of first.  Captures and logs end where they are.

    Returns:
        the lab's run folder, if it could be found out.

    Raises:
        LabError: the process is no lab's supervisor, or does not end.
    """
    pid, _ = channel.peer()
    try:
        supervisor = os.pidfd_open(pid)
    except OSError:
        return None  # it has ended meanwhile
    try:
        # From here on the descriptor stands for this process, whoever gets its number later.
        if not _is_first_of_a_lab(pid):
            raise LabError(
                f"process {pid}, which holds the name of lab {lab!r}, is no supervisor of a lab",
                hint="look at it with ps; nothing was done to it",
            )
        folder = _run_folder(pid)
        signal.pidfd_send_signal(supervisor, signal.SIGKILL)
        poll = select.poll()
        poll.register(supervisor, select.POLLIN)
        if not poll.poll(_LONGEST_END * 1000):
            raise LabError(
                f"lab {lab!r} was killed (process {pid}) but has not ended in {_LONGEST_END:g} s",
                hint="a process of it may wait for a device: see ps for state D",
            )
    except ProcessLookupError:
        return None
    finally:
        os.close(supervisor)
    return folder


def _is_first_of_a_lab(pid: int) -> bool:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    numbers = fields.get("NSpid", "").split()
    return fields.get("Name") == "testbed-lab" and len(numbers) > 1 and numbers[-1] == "1"


def _run_folder(pid: int) -> Path | None:
    """Its standard output is ``logs/lab.log`` of the run folder."""
    try:
        log = Path(f"/proc/{pid}/fd/1").readlink()
    except OSError:
        return None
    return log.parent.parent if log.name == "lab.log" else None
