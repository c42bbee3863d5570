"""What can go wrong with a guest."""

from __future__ import annotations

from testbed.errors import TestbedError


class GuestError(TestbedError):
    """A guest could not be started, or ended before its command did."""


class HostTroubleError(GuestError):
    """The host could not run a guest, or ended it: nothing is known of what was to run in it."""


class GuestStuckError(GuestError):
    """A program in a guest with a virtual clock computes without end, so time stands still."""


class GuestKernelError(GuestError):
    """The guest kernel is not there and cannot be made; the hint says what would help."""
