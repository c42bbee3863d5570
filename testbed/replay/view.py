"""How a run in a guest sees the host: the same paths, environment and interpreter everywhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
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
    host with the package that runs in the guest; ``python`` is the interpreter
    there, ``folder`` the working folder, ``arguments`` the command's own with the paths it has
    inside; ``paths`` are pairs of a folder inside and the one of the host that a reader knows.
    """

    mounts: tuple[tuple[str, str], ...]
    code: str
    python: str
    folder: str
    arguments: tuple[str, ...]
    paths: tuple[tuple[str, str], ...]


def make_view(sources: Sources, trees: Trees, arguments: Iterable[str]) -> View:
    """The view of a command that is started in this folder with these arguments."""
    mounts = [
        (str(sources.folder / name), f"{INSIDE}/{name}")
        for name in (CODE, PROJECT)
        if (sources.folder / name).is_dir()
    ]
    python = os.path.realpath(sys.executable)
    paths = list(trees.outside())
    if sys.prefix != sys.base_prefix:
        mounts.append((sys.prefix, _PYTHON))
        mounts += _without_editable_install(sources)
        python = f"{_PYTHON}/bin/{Path(sys.executable).name}"
        paths.append((_PYTHON, sys.prefix))
    folder = trees.inside(Path.cwd().resolve()) or f"{INSIDE}/{CODE}"
    inside = tuple(_inside(argument, trees) for argument in arguments)
    return View(
        tuple(mounts),
        str(sources.folder / CODE),
        python,
        _existing(folder, sources),
        inside,
        tuple(paths),
    )


def _without_editable_install(sources: Sources) -> list[tuple[str, str]]:
    """``pip install -e`` leaves a file that leads to the checkout: an empty one is laid over it."""
    packages = Path(sys.prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    found = sorted(packages.glob("site-packages/__editable__.testbed-*.pth"))
    return [
        (str(sources.empty), f"{_PYTHON}/{path.relative_to(sys.prefix).as_posix()}")
        for path in found
    ]


def _inside(argument: str, trees: Trees) -> str:
    """A path among the arguments as it is inside; one outside the sources is used as it lies."""
    name, colons, rest = argument.partition("::")
    path = Path(os.path.normpath(Path.cwd() / name))
    if not name or not path.exists():
        return argument
    inside = trees.inside(path) or trees.inside(path.resolve())
    if inside is not None and not Path(name).is_absolute():
        return argument  # the working folder is the same one inside
    return f"{inside or path}{colons}{rest}"


def _existing(folder: str, sources: Sources) -> str:
    """A working folder without sources in it is not in the copy."""
    path = sources.folder / Path(folder).relative_to(INSIDE)
    while not path.is_dir():
        path = path.parent
    return f"{INSIDE}/{path.relative_to(sources.folder)}"
