"""Labs to explore lie here, too; their scenarios are no tests of this folder."""

from __future__ import annotations

from tests.guest.conftest import kernel

__all__ = ["kernel"]  # a fixture

collect_ignore = ["crossing", "race"]
