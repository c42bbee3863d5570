"""What a probe gets to work with, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.kernel.rtnl import RouteSocket

VETH = 10
"""Index of one end of a veth pair that stands ready, where the kernel has veth."""


@dataclass(frozen=True, slots=True)
class Context:
    """A throw-away network and mount namespace, and a route socket in it.

    ``is_root``: the process is root on the host, not just in a user namespace.
    """

    kernel: RouteSocket
    is_root: bool


Method = Callable[[Context], str]
"""Uses the feature once.  Returns a detail worth telling, perhaps empty.

Raises:
    TestbedError, OSError: the feature is not there; the text says why.
"""
