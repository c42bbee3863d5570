"""Where built kernels are kept: ``$XDG_CACHE_HOME/testbed/guest-kernel/KEY/``, outside the tree.

A kernel's folder appears there by renaming, complete with its manifest, or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from testbed.guest.errors import GuestKernelError

BINARY = "linux"
CONFIG = "config"
MANIFEST = "manifest.json"

_LOOK_EVERY = 0.2

Progress = Callable[[str], None]


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/testbed/guest-kernel``, ``~/.cache/...`` by default."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "testbed" / "guest-kernel"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a built kernel.  Times are in seconds, the size in bytes."""

    key: str
    made_of: dict[str, Any]
    release: str
    size: int
    sha256: str
    compiled_files: int
    cpu_s: float
    wall_s: float

    def to_json(self) -> dict[str, Any]:
        """As it is written to ``manifest.json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class GuestKernel:
    """A kernel that can be booted."""

    binary: Path
    manifest: Manifest

    @property
    def key(self) -> str:
        """The key it was built for."""
        return self.manifest.key

    @property
    def config(self) -> Path:
        """The final configuration, as the build left it."""
        return self.binary.with_name(CONFIG)


def digest(binary: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with binary.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def look_up(key: str, cache: Path) -> GuestKernel | None:
    """The kernel with this key, or None if it was not built yet.

    Raises:
        GuestKernelError: what lies there is not what was built; the hint says how to go on.
    """
    folder = cache / key
    if not folder.is_dir():
        return None
    hint = f"remove it and build it again: rm -r {folder}; testbed kernel build"
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        there = digest(folder / BINARY)
    except (OSError, ValueError, TypeError) as error:
        raise GuestKernelError(
            f"the cached guest kernel is not complete: {error}", where=str(folder), hint=hint
        ) from error
    if manifest.key != key or manifest.sha256 != there:
        what = "belongs to another key" if manifest.key != key else "is not the one that was built"
        raise GuestKernelError(f"the cached guest kernel {what}", where=str(folder), hint=hint)
    return GuestKernel(folder / BINARY, manifest)


class BuildLock:
    """Held by the one build that goes on; others read in it how far that is."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def say(self, text: str) -> None:
        """Leave word of the progress for those who wait."""
        data = text.encode()
        os.pwrite(self.descriptor, data, 0)
        os.ftruncate(self.descriptor, len(data))


@contextmanager
def only_build(cache: Path, progress: Progress) -> Iterator[BuildLock]:
    """Be the only build in this cache; waits for another one, and passes its progress on.

    The lock is the kernel's (flock): it ends with the processes that hold it, however they end.
    """
    cache.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(cache / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        said = None
        while not _taken(descriptor):
            text = os.pread(descriptor, 200, 0).decode(errors="replace")
            if text != said:
                progress(f"waiting for another build ({text or 'it has just begun'})")
                said = text
            time.sleep(_LOOK_EVERY)
        lock = BuildLock(descriptor)
        lock.say("")
        yield lock
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
