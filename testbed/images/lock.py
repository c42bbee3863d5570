"""Pinning: which versions of which Debian packages the images are made of.

``packages.txt`` in a folder under ``images/`` names what is wanted; the lock beside it has what apt
would install for it on the bare base, every dependency included.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.images.errors import ImageError
from testbed.images.sources import BASE, PackageList, package_lists

if TYPE_CHECKING:
    from docker import DockerClient

_HEAD = "# Written by make lock-images: packages.txt and all it needs, as the archive had it.\n"
_SECTION = "== "
_NEW = re.compile(r"Inst (?P<name>[^\s:]+)\S* \((?P<version>\S+) ")


def lock_packages(client: DockerClient, project: Path, base: str) -> dict[Path, dict[str, str]]:
    """Write every lock anew; returns the pins by lock file.

    Args:
        client: an engine that has the base.
        project: the checkout.
        base: the bare Debian base the images stand on.

    Raises:
        ImageError: apt cannot install what is wanted.
    """
    lists = package_lists(project)
    everywhere = PackageList(project / "images" / BASE).wanted()
    wanted = [tuple(dict.fromkeys((*everywhere, *packages.wanted()))) for packages in lists]
    sections = _ask_apt(client, base, wanted)
    pins = {}
    for packages, section in zip(lists, sections, strict=True):
        found = dict(sorted((m["name"], m["version"]) for m in _NEW.finditer(section)))
        missing = [name for name in packages.wanted() if name not in found]
        _require_in_base(missing, section)
        pins[packages.lock_file] = found
    for file, versions in pins.items():
        lines = "".join(f"{name}={version}\n" for name, version in versions.items())
        file.write_text(_HEAD + lines)
    return pins


def _require_in_base(missing: Sequence[str], section: str) -> None:
    for name in missing:
        if f"{name} is already the newest version" not in section:
            raise ImageError(f"apt would not install {name}:\n{section}")


def _ask_apt(client: DockerClient, base: str, wanted: Sequence[Sequence[str]]) -> list[str]:
    """What ``apt-get install`` would do for each set, as it prints it."""
    from docker.errors import ContainerError

    script = ["set -e", "apt-get -q -o Acquire::Check-Valid-Until=false update >/dev/null"]
    for packages in wanted:
        script.append(f"echo '{_SECTION}'")
        script.append(f"apt-get -s install --no-install-recommends {' '.join(packages)} 2>&1")
    try:
        output: Any = client.containers.run(
            base,
            ["sh", "-c", "\n".join(script)],
            network_mode="host",
            remove=True,
            environment={"LC_ALL": "C"},
            stderr=True,
        )
    except ContainerError as error:
        raise ImageError(f"apt cannot install what is wanted: {error}") from None
    return str(output, "utf-8", "replace").split(f"{_SECTION}\n")[1:]
