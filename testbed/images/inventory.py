"""Which of the described images an engine has, and whether they are as described now."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.images import REPOSITORY, reference
from testbed.images.sources import context_files, image_names, key_of

if TYPE_CHECKING:
    from docker import DockerClient


@dataclass(frozen=True, slots=True)
class Entry:
    """An image of ours.  ``state`` is ``built``, ``outdated`` or ``not built``; size in bytes."""

    name: str
    state: str
    key: str | None = None
    size: int | None = None
    title: str = ""
    capabilities: str = ""
    devices: str = ""

    def to_json(self) -> dict[str, Any]:
        """As ``testbed images list --json`` has it."""
        return asdict(self)


def list_built(client: DockerClient, project: Path) -> list[Entry]:
    """Every image that is described, ``base`` first."""
    return [_entry(client, project, name) for name in image_names(project)]


def _entry(client: DockerClient, project: Path, name: str) -> Entry:
    from docker.errors import ImageNotFound

    try:
        image = client.images.get(reference(name))
    except ImageNotFound:
        return Entry(name, "not built")
    labels = image.labels
    key = labels.get(f"{REPOSITORY}.key", "")
    described = key_of(context_files(project, name), labels.get(f"{REPOSITORY}.base", ""))
    return Entry(
        name=name,
        state="built" if key == described else "outdated",
        key=key,
        size=int(image.attrs["Size"]),
        title=labels.get("org.opencontainers.image.description", ""),
        capabilities=labels.get(f"{REPOSITORY}.capabilities", ""),
        devices=labels.get(f"{REPOSITORY}.devices", ""),
    )
