"""The planted race is a lab of its own, and no test of this folder."""

from __future__ import annotations

from tests.guest.conftest import kernel

__all__ = ["kernel"]  # a fixture

collect_ignore = ["race"]
