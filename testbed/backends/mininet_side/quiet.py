"""Mininet as a guest: what it would change outside of its lab is kept from happening.

``Mininet.init`` raises limits of the whole machine (``fs.file-max``, ``kernel.pty.max``), hosts
with a CPU limit make control groups in the machine's hierarchy, and a missing program ends the
process.  None of that belongs into a lab.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mininet import log as mininet_log
from mininet.net import Mininet
from mininet.node import CPULimitedHost

from testbed.errors import LabError

_DESCRIPTORS = 16384


class _Complaints(logging.Handler):
    """Keeps what Mininet logs as an error: often all it says before it gives up."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [line for line in record.getMessage().splitlines() if line.strip()]


complaints = _Complaints()


def settle_in() -> None:
    """Before anything of Mininet is used: no limits of the machine are raised, errors are kept."""
    Mininet.inited = True
    mininet_log.setLogLevel("info")
    mininet_log.lg.addHandler(complaints)
    # mnexec closes every descriptor there may be, one by one: a million takes it long.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, _DESCRIPTORS), most))
    CPULimitedHost.init = classmethod(_refuse_control_groups)


def _refuse_control_groups(cls: Any) -> None:
    raise LabError(
        f"{cls.__name__} limits the CPU by control groups of the whole machine, "
        "which a lab leaves alone",
        hint="use mininet.node.Host for this host",
    )


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Whatever Mininet, or a file that it runs, does to give up becomes one error.

    Raises:
        LabError: with the last that Mininet said of it.
    """
    complaints.lines.clear()
    try:
        yield
    except SystemExit as error:
        said = " ".join(complaints.lines[-4:]) or str(error.code or "it did not say why")
        raise LabError(f"Mininet gave up {doing}: {said}") from error
