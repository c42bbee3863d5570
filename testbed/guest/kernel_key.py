"""The key of a guest kernel: two machines with the same key build the same kernel."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed.guest.errors import GuestKernelError
from testbed.guest.kernel_recipe import Recipe

PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the build looks for programs, whatever the caller's own path is."""

TOOLS: tuple[tuple[str, str], ...] = (
    ("gcc", "gcc"),
    ("ld", "binutils"),
    ("strip", "binutils"),
    ("make", "make"),
    ("patch", "patch"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("m4", "m4"),
    ("bc", "bc"),
    ("xz", "xz-utils"),
    ("tar", "tar"),
)
"""Programs that the build runs, and the Debian packages that bring them."""

HEADERS = ("/usr/include/stdio.h", "libc6-dev")
"""A file of the C library's headers, and its package."""


@dataclass(frozen=True, slots=True)
class KernelKey:
    """What a kernel is made of: package version, configuration, patches, compiler."""

    source: str
    symbols: tuple[tuple[str, str], ...]
    patches: tuple[tuple[str, str], ...]
    compiler: str

    @classmethod
    def make(cls, recipe: Recipe, version: str, compiler: str) -> KernelKey:
        """The key of a recipe with this version of the source, built by this compiler."""
        patches = tuple((name, _digest(text)) for name, text in recipe.patches)
        symbols = tuple(sorted(recipe.symbols.items()))
        return cls(f"{recipe.package} {version}", symbols, patches, compiler)

    def to_json(self) -> dict[str, object]:
        """The parts, the configuration as its hash."""
        return {
            "source": self.source,
            "config": _digest(json.dumps(self.symbols)),
            "patches": dict(self.patches),
            "compiler": self.compiler,
        }

    def __str__(self) -> str:
        return _digest(json.dumps(self.to_json(), sort_keys=True))[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def find_compiler() -> str:
    """The compiler's and the linker's own words for their versions.

    Raises:
        GuestKernelError: one of them is missing.
    """
    check_tools(("gcc", "ld"))
    return "; ".join(_first_line(name, "--version") for name in ("gcc", "ld"))


def _first_line(*command: str) -> str:
    environment = {"LC_ALL": "C", "PATH": PATH}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return answer.stdout.partition("\n")[0].strip()


def check_tools(wanted: tuple[str, ...] | None = None) -> None:
    """See that the build's programs are there.

    Args:
        wanted: only these of :data:`TOOLS`; all, and the headers, by default.

    Raises:
        GuestKernelError: some are not; names them all, and the Debian packages that bring them.
    """
    missing = {
        name: package
        for name, package in TOOLS
        if (wanted is None or name in wanted) and shutil.which(name, path=PATH) is None
    }
    header, package = HEADERS
    if wanted is None and not Path(header).exists():
        missing[header] = package
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise GuestKernelError(
            f"building the guest kernel needs {', '.join(missing)}, which this machine has not",
            hint=f"as root: apt-get install --no-install-recommends {packages}",
        )
