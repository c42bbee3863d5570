"""The base where there is no image registry: a Debian root made by mmdebstrap on this machine.

It has what ``debian:bookworm-slim`` has: the essential and required packages and apt, their
documentation left out, and Debian's own archive as the source of more.  Nothing of the machine that
made it is in it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.images import REPOSITORY
from testbed.images.errors import ImageError
from testbed.images.sources import tag_of

if TYPE_CHECKING:
    from docker import DockerClient

Progress = Callable[[str], None]

SUITE = "bookworm"
NAME = "root"

_LEFT_OUT = ("/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/doc/*")
_RECIPE = (
    "--variant=minbase",
    "--format=tar",
    # /bin is /usr/bin from the start; else a package with all of Perl would make it so.
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    "--include=usr-is-merged",
    *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=Dir::Cache::pkgcache ""',
    '--aptopt=Dir::Cache::srcpkgcache ""',
    # mmdebstrap lends the root this machine's names; nobody gets to see them.
    '--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"',
    SUITE,
)
_SAID_AT_END = 15


def root_reference() -> str:
    """What the root that this recipe makes is called in an engine."""
    return tag_of(NAME, hashlib.sha256("\n".join(_RECIPE).encode()).hexdigest()[:16])


def ensure_root(client: DockerClient, progress: Progress, *, anew: bool = False) -> str:
    """The identifier of the root in this engine; it is made if it is not there (30 seconds).

    Args:
        client: the engine.
        progress: told what is being done.
        anew: make it even if it is there, of today's packages.

    Raises:
        ImageError: it cannot be made.
    """
    from docker.errors import ImageNotFound

    reference = root_reference()
    if not anew:
        try:
            return str(client.images.get(reference).id)
        except ImageNotFound:
            pass
    with tempfile.TemporaryDirectory(prefix="testbed-root-") as folder:
        archive = Path(folder) / "root.tar"
        _make(archive, progress)
        progress("handing it to the engine")
        client.api.import_image_from_file(
            str(archive),
            repository=f"{REPOSITORY}/{NAME}",
            tag=reference.rpartition(":")[2],
            changes=[f"LABEL {REPOSITORY}.image={NAME}", "CMD bash"],
        )
    return str(client.images.get(reference).id)


def _make(archive: Path, progress: Progress) -> None:
    program = shutil.which("mmdebstrap")
    if program is None:
        raise ImageError(
            "mmdebstrap is not on this machine",
            hint="apt-get install mmdebstrap, or take a base from a registry: "
            "--base debian:bookworm-slim",
        )
    progress(f"mmdebstrap makes a Debian root ({SUITE})")
    said: list[str] = []
    with subprocess.Popen(
        [program, *_RECIPE, str(archive)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                said.append(line.rstrip())
                if line.startswith("I: "):
                    progress(line[3:].rstrip())
        except BaseException:
            process.terminate()  # it removes what it has made so far
            raise
    if process.returncode != 0:
        end = "\n    ".join(said[-_SAID_AT_END:])
        raise ImageError(
            f"mmdebstrap could not make a root (exit code {process.returncode}):\n    {end}",
            hint="it needs Debian's archive and its keys (package debian-archive-keyring)",
        )
