"""Faults: what goes wrong in a lab, on demand or at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed.errors import Place
from testbed.model.impairment import Impairment

CUT = "cut"
RESTORE = "restore"
IMPAIR = "impair"
FLUSH_ADDRESSES = "flush-addresses"
SET_ADDRESSES = "set-addresses"
KILL_SERVICE = "kill-service"
RESTART_SERVICE = "restart-service"
REBOOT = "reboot"
FAULT_KINDS = (
    CUT,
    RESTORE,
    IMPAIR,
    FLUSH_ADDRESSES,
    SET_ADDRESSES,
    KILL_SERVICE,
    RESTART_SERVICE,
    REBOOT,
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    ``target`` is a link name (``cut``, ``restore``, ``impair``), a ``node:interface``
    (also ``flush-addresses``, ``set-addresses``), a ``node/service`` (``kill-service``,
    ``restart-service``) or a node (``reboot``: its services end and start again, its conntrack
    and neighbour state is gone).  ``at`` is seconds after the lab is up; None means on demand only.
    """

    kind: str
    target: str
    at: float | None = None
    impairment: Impairment | None = None
    addresses: tuple[str, ...] = ()
    place: Place | None = field(default=None, compare=False, repr=False)
