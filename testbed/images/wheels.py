"""The Python packages of the image ``testbed``, fetched by this machine's pip.

So whatever index, proxy and certificates pip is set up with here are used, and none of that gets
into a build.  The packages are those of ``images/testbed/requirements.lock``, told by their hashes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from testbed.images.errors import ImageError
from testbed.images.sources import OWN, WHEELS, cache_folder

Progress = Callable[[str], None]

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_PYTHON = "3.11"  # Debian 12's
_C_LIBRARIES = ("manylinux_2_36", "manylinux_2_28", "manylinux_2_17", "manylinux2014")
_SAID_AT_END = 8


def fetch_wheels(project: Path, architecture: str, progress: Progress) -> dict[str, Path]:
    """The wheels for an engine's machine, by their path in the build context.

    They are kept in ``$XDG_CACHE_HOME/testbed/wheels/`` for the next build.

    Args:
        project: the checkout.
        architecture: the engine's, in Docker's words (``amd64``).
        progress: told what is being done.

    Raises:
        ImageError: pip could not fetch them.
    """
    lock = project / "images" / OWN / "requirements.lock"
    machine = _MACHINES.get(architecture, architecture)
    key = hashlib.sha256(lock.read_bytes() + machine.encode()).hexdigest()[:16]
    folder = cache_folder() / "wheels" / key
    if not folder.is_dir():
        progress("fetching Python packages")
        folder.parent.mkdir(parents=True, exist_ok=True)
        _fetch(lock, machine, folder)
    return {f"{WHEELS}/{wheel.name}": wheel for wheel in sorted(folder.glob("*.whl"))}


def _fetch(lock: Path, machine: str, folder: Path) -> None:
    platforms = [word for name in _C_LIBRARIES for word in ("--platform", f"{name}_{machine}")]
    new = tempfile.mkdtemp(prefix="new-", dir=folder.parent)
    try:
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", new),
            *("--no-deps", "--require-hashes", "--only-binary", ":all:"),
            *("--python-version", _PYTHON, "--implementation", "cp", *platforms),
            *("--disable-pip-version-check", "--requirement", str(lock)),
        ]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            end = "\n    ".join(done.stderr.splitlines()[-_SAID_AT_END:])
            raise ImageError(
                f"pip could not fetch the packages of the image {OWN}:\n    {end}", where=str(lock)
            )
        with suppress(OSError):  # another build was faster
            Path(new).rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
