"""How a run in a guest sees the host: the same paths, environment and interpreter everywhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.replay.sources import CODE, INSIDE, PROJECT, Sources, Trees

_PYTHON = f"{INSIDE}/python"

ENVIRONMENT: Mapping[str, str] = {
    "PYTHONPATH": f"{INSIDE}/{CODE}",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
}


@dataclass(frozen=True, slots=True)
class View:
    """What a run finds in the guest.

    ``mounts`` are pairs of a path of the host and where it is shown; ``code`` is the folder of the
    host with the package that runs in the guest, ``python`` the interpreter as it is there.
    """

    mounts: tuple[tuple[str, str], ...]
    code: str
    python: str


def make_view(sources: Sources) -> View:
    """The view of a run on these sources, with the interpreter and packages that run here."""
    mounts = [
        (str(sources.folder / name), f"{INSIDE}/{name}")
        for name in (CODE, PROJECT)
        if (sources.folder / name).is_dir()
    ]
    python = os.path.realpath(sys.executable)
    if sys.prefix != sys.base_prefix:
        mounts.append((sys.prefix, _PYTHON))
        mounts += _without_editable_install(sources)
        python = f"{_PYTHON}/bin/{Path(sys.executable).name}"
    return View(tuple(mounts), str(sources.folder / CODE), python)


def _without_editable_install(sources: Sources) -> list[tuple[str, str]]:
    """``pip install -e`` leaves a file that leads to the checkout: an empty one is laid over it."""
    packages = Path(sys.prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    found = sorted(packages.glob("site-packages/__editable__.testbed-*.pth"))
    return [
        (str(sources.empty), f"{_PYTHON}/{path.relative_to(sys.prefix).as_posix()}")
        for path in found
    ]


def word_inside(word: str, trees: Trees, folder: Path) -> str:
    """A word of a command as it is inside: a path that is not relative may be another one there.

    A path outside the sources is used as it lies.
    """
    name, colons, rest = word.partition("::")
    path = Path(os.path.normpath(folder / name))
    if not name or not path.exists():
        return word
    inside = trees.inside(path) or trees.inside(path.resolve())
    if inside is not None and not Path(name).is_absolute():
        return word  # the working folder is the same one inside
    return f"{inside or path}{colons}{rest}"


def folder_inside(folder: Path, trees: Trees, sources: Sources) -> str:
    """The working folder inside: the nearest one above that has sources in it."""
    inside = trees.inside(folder.resolve()) or f"{INSIDE}/{CODE}"
    path = sources.folder / Path(inside).relative_to(INSIDE)
    while not path.is_dir():
        path = path.parent
    return f"{INSIDE}/{path.relative_to(sources.folder)}"


def outside_names(trees: Trees) -> tuple[tuple[str, str], ...]:
    """Pairs: a folder as it is called inside, and as a reader outside knows it."""
    python = ((_PYTHON, sys.prefix),) if sys.prefix != sys.base_prefix else ()
    return (*trees.outside(), *python)
