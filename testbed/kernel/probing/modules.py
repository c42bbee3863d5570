"""Which kernel modules are on the disk but not loaded, so that probing need not load them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def _names(listing: Path) -> set[str]:
    """Module names in ``modules.dep`` or ``modules.builtin``."""
    try:
        lines = listing.read_text().splitlines()
    except OSError:
        return set()
    return {_name(line.partition(":")[0]) for line in lines}


def _name(path: str) -> str:
    return Path(path).name.partition(".")[0].replace("-", "_")


class Modules:
    """The running kernel's modules, as far as they can be seen.

    In a container without ``/lib/modules`` none are seen, and a probe then finds out by trying.
    """

    def __init__(self, root: Path = Path("/"), release: str | None = None) -> None:
        folder = root / "lib/modules" / (release or os.uname().release)
        self._loadable = _names(folder / "modules.dep")
        try:
            loaded = (root / "proc/modules").read_text().splitlines()
        except OSError:
            loaded = []
        self._there = {line.split()[0] for line in loaded if line}
        self._there |= _names(folder / "modules.builtin")
        try:
            forbidden = (root / "proc/sys/kernel/modules_disabled").read_text().strip()
        except OSError:
            forbidden = "0"
        self._may_load = forbidden == "0"

    def waiting(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those that would be loaded on first use; empty if any of them could not be had."""
        wanted = [name for name in names if name not in self._there]
        if not self._may_load or not all(name in self._loadable for name in wanted):
            return ()
        return tuple(wanted)
