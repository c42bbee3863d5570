"""Debian's kernel source: which version, and where its archive is.

A machine stays with a version: that of the installed package, else that of the archive fetched
before, else the newest that apt knows.  So a refreshed package list does not set off a build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.guest.errors import GuestKernelError

_FILE = re.compile(r"(?P<package>[^_]+)_(?P<version>[^_]+)_all\.deb")


@dataclass(frozen=True, slots=True)
class Source:
    """A version of the package; ``archive`` is the tar file or the package that holds it, if any
    of them is on this machine already."""

    package: str
    version: str
    archive: Path | None = None


def find_source(package: str, store: Path, *, newest: bool = False) -> Source:
    """The source to build from.  ``store`` is where fetched packages are kept.

    Args:
        package: the name of Debian's package.
        store: a folder; may be missing.
        newest: what apt has counts more than what was fetched before.

    Raises:
        GuestKernelError: there is none to be had on this machine.
    """
    installed = _installed(package)
    if installed is not None:
        return installed
    fetched = _fetched(package, store)
    if fetched is not None and not newest:
        return fetched
    candidate = _candidate(package)
    if candidate is not None:
        return fetched if fetched and fetched.version == candidate.version else candidate
    if fetched is not None:
        return fetched
    raise GuestKernelError(
        f"Debian's package {package} is neither installed nor known to apt",
        hint="as root: apt-get update && apt-get install --no-install-recommends "
        f"{package} (it is in Debian 12's security updates and in Debian 13)",
    )


def _installed(package: str) -> Source | None:
    archive = Path(f"/usr/src/{package}.tar.xz")
    if not archive.is_file() or not shutil.which("dpkg-query"):
        return None
    answer = _ask("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package)
    status, _, version = answer.partition(" ")
    return Source(package, version, archive) if status == "installed" else None


def _fetched(package: str, store: Path) -> Source | None:
    found = []
    for file in sorted(store.glob(f"{package}_*.deb")):
        name = _FILE.fullmatch(file.name)
        if name:
            # apt writes the colon of an epoch as %3a
            found.append(Source(package, name["version"].replace("%3a", ":"), file))
    return found[-1] if found else None


def _candidate(package: str) -> Source | None:
    if not shutil.which("apt-cache"):
        return None
    for line in _ask("apt-cache", "policy", package).splitlines():
        label, _, version = line.strip().partition(": ")
        if label == "Candidate" and version != "(none)":
            return Source(package, version)
    return None


def _ask(*command: str) -> str:
    environment = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    ).stdout


def fetch(source: Source, store: Path, run: Callable[[list[str], Path], None]) -> Source:
    """Fetch the package with ``apt-get download`` (needs no rights; apt checks its signature).

    ``run`` runs a command in a folder and raises when it fails.  The package appears in ``store``
    only when it is complete; older ones are removed.
    """
    store.mkdir(parents=True, exist_ok=True)
    coming = store / "coming"
    shutil.rmtree(coming, ignore_errors=True)
    coming.mkdir()
    options = ["-o", "APT::Sandbox::User=", "-o", "Dpkg::Use-Pty=0"]
    run(["apt-get", *options, "download", f"{source.package}={source.version}"], coming)
    (package,) = coming.glob("*.deb")
    for old in store.glob(f"{source.package}_*.deb"):
        old.unlink()
    kept = package.rename(store / package.name)
    coming.rmdir()
    return Source(source.package, source.version, kept)


# What a guest has no use for and what takes most of the room: 1.3 of 1.7 GB.  Kconfig and make
# read the files of these folders that describe the build, so only sources are left out.
_LEFT_OUT = (
    "Documentation",
    "drivers/accel",
    "drivers/clk",
    "drivers/gpu",
    "drivers/iio",
    "drivers/infiniband",
    "drivers/media",
    "drivers/net/ethernet",
    "drivers/net/wireless",
    "drivers/pinctrl",
    "drivers/scsi",
    "drivers/staging",
    "drivers/usb",
    "drivers/video",
    "sound",
    "tools/testing",
    "tools/perf",
    *(
        f"arch/{name}"
        for name in (
            *("alpha", "arc", "arm", "arm64", "csky", "hexagon", "loongarch", "m68k"),
            *("microblaze", "mips", "nios2", "openrisc", "parisc", "powerpc", "riscv"),
            *("s390", "sh", "sparc", "xtensa"),
        )
    ),
)
_KINDS = ("c", "h", "S", "dts", "dtsi", "json", "rst", "svg")


def unpack(source: Source, folder: Path, run: Callable[[list[str], Path], None]) -> Path:
    """Unpack the archive in ``folder``; returns the tree's own folder."""
    archive = source.archive
    assert archive is not None, "fetch it first"
    if archive.suffix == ".deb":
        run(["dpkg-deb", "-x", str(archive), "package"], folder)
        archive = folder / f"package/usr/src/{source.package}.tar.xz"
    left_out = [
        f"--exclude={source.package}/{part}/*.{kind}" for part in _LEFT_OUT for kind in _KINDS
    ]
    run(["tar", "-x", "--wildcards", *left_out, "-f", str(archive)], folder)
    shutil.rmtree(folder / "package", ignore_errors=True)
    return folder / source.package
