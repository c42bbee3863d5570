"""What can go wrong with repeating a run."""

from __future__ import annotations

from testbed.errors import TestbedError


class ReplayError(TestbedError):
    """A run cannot be repeated, or its folder cannot be read."""
