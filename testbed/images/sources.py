"""The images as ``images/`` of the checkout describes them: files in, a key out.

The key of an image is a hash of all that goes into it: its files, and the base it is built on.  As
its tag (``testbed/NAME:KEY``) it says whether an image that is there is the one described here.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.images import REPOSITORY
from testbed.images.errors import ImageError
from testbed.model.checks.suggest import did_you_mean

BASE = "base"
"""The image that the others are built on."""

OWN = "testbed"
"""The image that holds the project itself."""

WHEELS = "images/testbed/wheels"
"""Where, in the context of that image, fetched Python packages lie."""

_KEY_DIGITS = 16
_OWN_CODE = ("testbed", "topologies")
_OWN_FILES = ("pyproject.toml", "README.md")
_LEFT_OUT = ("__pycache__",)
_PIN = re.compile(r"[a-z0-9][a-z0-9.+-]*=[0-9A-Za-z.+:~-]+")

Files = Mapping[str, Path]
"""Paths in a build context, and where their contents are."""


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/testbed``, ``~/.cache/testbed`` by default."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "testbed"


def project_folder() -> Path:
    """The checkout that holds this package.

    Raises:
        ImageError: it is installed without one, so there is nothing to build images from.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / "images" / BASE / "Dockerfile").is_file():
        raise ImageError(
            "there are no descriptions of images here",
            where=str(folder / "images"),
            hint="images are built from a checkout of the project",
        )
    return folder


def image_names(project: Path) -> tuple[str, ...]:
    """The images that are described, ``base`` first."""
    found = {file.parent.name for file in (project / "images").glob("*/Dockerfile")}
    return (BASE, *sorted(found - {BASE}))


def chosen(project: Path, names: Iterable[str]) -> tuple[str, ...]:
    """These images in the order in which they are built, with the base they need; all, if none.

    Raises:
        ImageError: there is no image of that name.
    """
    known = image_names(project)
    wanted = set(names)
    for name in wanted - set(known):
        raise ImageError(f"no image is called {name!r}", hint=did_you_mean(name, known, "images"))
    return tuple(name for name in known if not wanted or name in wanted | {BASE})


def context_files(project: Path, name: str) -> dict[str, Path]:
    """What an image is built from, by its path in the checkout; wheels are not among it."""
    folders = [f"images/{name}"]
    files = ["images/install-packages"]
    if name == OWN:
        folders.extend(_OWN_CODE)
        files.extend(_OWN_FILES)
    found = {path: project / path for path in files}
    for folder in folders:
        for path in sorted((project / folder).rglob("*")):
            inside = path.relative_to(project)
            if path.is_file() and not any(part in _LEFT_OUT for part in inside.parts):
                found[inside.as_posix()] = path
    return {path: file for path, file in found.items() if not path.startswith(f"{WHEELS}/")}


def key_of(files: Files, base: str) -> str:
    """The key of an image made of these files on a base, which is told by its identifier."""
    whole = hashlib.sha256(f"base {base}\n".encode())
    for path in sorted(files):
        content = files[path].read_bytes()
        mode = "x" if _executable(files[path]) else "-"
        whole.update(f"{path} {mode} {hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()[:_KEY_DIGITS]


def context_archive(files: Files) -> bytes:
    """The files as the tar archive that an engine builds from.

    Owners and times are the same on every machine, so that an engine finds what it has built.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path in sorted(files):
            content = files[path].read_bytes()
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = 0o755 if _executable(files[path]) else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def _executable(file: Path) -> bool:
    return bool(file.stat().st_mode & stat.S_IXUSR)


def tag_of(name: str, key: str) -> str:
    """The tag of an image with this key."""
    return f"{REPOSITORY}/{name}:{key}"


@dataclass(frozen=True, slots=True)
class PackageList:
    """Debian packages of one set: what is wanted, and every version that this comes down to."""

    folder: Path

    @property
    def wanted_file(self) -> Path:
        """Names, one a line; written by people."""
        return self.folder / "packages.txt"

    @property
    def lock_file(self) -> Path:
        """``name=version`` of them and of what they need; written by ``make lock-images``."""
        return self.folder / "packages.lock"

    def wanted(self) -> tuple[str, ...]:
        """The packages that are asked for by name."""
        lines = (line.split("#")[0].strip() for line in self.wanted_file.read_text().splitlines())
        return tuple(line for line in lines if line)

    def pinned(self) -> dict[str, str]:
        """Versions by package.

        Raises:
            ImageError: a line is not ``name=version``, or there is no such file.
        """
        if not self.lock_file.is_file():
            raise ImageError(
                "no versions are pinned", where=str(self.lock_file), hint="make lock-images"
            )
        pins = {}
        for number, line in enumerate(self.lock_file.read_text().splitlines(), start=1):
            if line.startswith("#"):
                continue
            if not _PIN.fullmatch(line):
                raise ImageError(
                    f"expected name=version, not {line!r}",
                    where=f"{self.lock_file}:{number}",
                    hint="make lock-images writes this file",
                )
            name, _, version = line.partition("=")
            pins[name] = version
        return pins


def package_lists(project: Path) -> tuple[PackageList, ...]:
    """Every set of packages under ``images/``, the one of ``base`` first."""
    folders = {file.parent for file in (project / "images").rglob("packages.txt")}
    base = project / "images" / BASE
    return tuple(PackageList(folder) for folder in (base, *sorted(folders - {base})))
