"""Guests and kept sources for these tests."""

from __future__ import annotations

from tests.guest.conftest import kernel

__all__ = ["kernel"]  # a fixture
