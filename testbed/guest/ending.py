"""Why a guest ended that should not have, or should not be believed: its kernel's own words."""

from __future__ import annotations

import re
import signal

from testbed.guest.console import Console
from testbed.guest.errors import GuestError, HostTroubleError

_PANIC = re.compile(r"Kernel panic - not syncing: (.+)")
# Without "Memory cgroup" in front: a limit that a lab set for itself is the lab's own business.
_VICTIM = re.compile(r"(?<!cgroup )[Oo]ut of memory: Killed process (\d+) \((.*?)\) total-vm")
_NO_VICTIM = re.compile(r"deadlocked on memory|no killable processes")
_MANY = 3
WHILE_BOOTING = "while it booted"
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGBUS)  # SIGBUS: no room for more of its memory


def died(console: Console, status: int, when: str, memory_mb: int) -> GuestError:
    """The error for a guest whose kernel is gone; a HostTroubleError if it is not to blame.

    Args:
        console: what the kernel said.
        status: how its process ended, as :mod:`subprocess` counts it.
        when: words for the time, for example "while it booted".
        memory_mb: how much memory the guest had.
    """
    text = console.text()
    if _VICTIM.search(text) or _NO_VICTIM.search(text):
        return out_of_memory(console, when, memory_mb)
    panic = _PANIC.search(text)
    if panic:
        what = f"the guest's kernel panicked {when}: {panic[1].strip()}"
    elif status < 0:
        what = f"the guest was killed by {signal.Signals(-status).name} {when}"
    else:
        what = f"the guest ended ({status}) {when}"
    from_outside = not panic and (status in _FROM_OUTSIDE or when == WHILE_BOOTING)
    return (HostTroubleError if from_outside else GuestError)(
        f"{what}{console.last_words()}",
        where=str(console.path),
        hint="it was ended from outside: by hand, or by the host when its own memory was used up"
        if status == -signal.SIGKILL
        else "the file named above has the guest kernel's own output",
    )


def ran_out_of_memory(console: Console) -> bool:
    """Did the guest's kernel have to end processes for want of memory?"""
    return bool(_VICTIM.search(console.text()))


def out_of_memory(console: Console, when: str, memory_mb: int) -> GuestError:
    """The error for a guest that had too little memory; names what its kernel ended."""
    victims = [f"{name} (process {pid})" for pid, name in _VICTIM.findall(console.text())]
    more = f" and {len(victims) - _MANY} more" if len(victims) > _MANY else ""
    named = ", ".join(victims[:_MANY]) + more
    return GuestError(
        f"the guest ran out of memory {when}"
        + (f", and its kernel ended {named}" if victims else ", with nothing left to end"),
        where=str(console.path),
        hint=f"it has {memory_mb} MB: give it more, or let the lab use less",
    )
