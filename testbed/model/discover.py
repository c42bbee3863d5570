"""Finding topologies: by name in ``topologies/`` folders, or by path.

A topology is ``topologies/NAME/topology.py`` with ``topology()`` or ``TOPOLOGY``, or a file
beside such folders (``NAME.yaml``, ``NAME.json``, ``NAME.clab.yml``), or any path to one of these.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from zlib import crc32

from testbed.errors import Place, Problem, TestbedError
from testbed.model.builder import relative
from testbed.model.checks.suggest import did_you_mean
from testbed.model.topology import Topology
from testbed.model.validate import require_valid

FOLDER = "topologies"
_FILES = ("topology.py", "topology.yaml", "topology.yml", "topology.json", "topology.clab.yml")
_SUFFIXES = (".clab.yml", ".clab.yaml", ".yaml", ".yml", ".json", ".py")


@dataclass(frozen=True, slots=True)
class Listed:
    """A topology that can be asked for by name; ``error`` says why it cannot be used."""

    name: str
    title: str
    path: Path
    error: TestbedError | None = None


def default_search() -> tuple[Path, ...]:
    """``topologies/`` here or in the nearest folder above, then in the checkout of this package."""
    here = Path.cwd()
    near = next((f / FOLDER for f in (here, *here.parents) if (f / FOLDER).is_dir()), None)
    own = Path(__file__).resolve().parents[2] / FOLDER
    folders = [folder for folder in (near, own if own.is_dir() else None) if folder is not None]
    return tuple(dict.fromkeys(folder.resolve() for folder in folders))


def find_topology(
    name_or_path: str | Path,
    search: Sequence[Path] | None = None,
    notice: Callable[[Problem], None] | None = None,
) -> Topology:
    """The checked topology of that name in the search folders, or at that path.

    ``notice`` is told what a file of another program's says and a topology cannot: it is left out.

    Raises:
        TestbedError: there is none (with the nearest name), or its Python file fails (with line).
        TopologyError: it is not valid, with every problem.
    """
    folders = default_search() if search is None else tuple(search)
    return _load(_locate(str(name_or_path), folders), notice)


def find_file(name_or_path: str | Path, search: Sequence[Path] | None = None) -> Path:
    """The file of the topology of that name, or at that path; it may not exist.

    Raises:
        TestbedError: no topology is called so.
    """
    folders = default_search() if search is None else tuple(search)
    return _locate(str(name_or_path), folders)


def load_module(path: Path) -> ModuleType:
    """A topology's Python file as a module, for what it says besides its topology.

    Raises:
        TestbedError: it fails, with its author's line.
    """
    return _run(path.resolve(), relative(str(path)))


def list_topologies(search: Sequence[Path] | None = None) -> list[Listed]:
    """Every topology in the search folders, by name; of equal names the first folder's.

    A topology that cannot be loaded is in the list with its error.
    """
    folders = default_search() if search is None else tuple(search)
    found = []
    for name, path in sorted(_named(folders).items()):
        try:
            found.append(Listed(name, _load(path).title, path))
        except TestbedError as error:
            found.append(Listed(name, "", path, error))
    return found


def topology_names(search: Sequence[Path] | None = None) -> list[str]:
    """The names :func:`list_topologies` has, without loading any topology."""
    return sorted(_named(default_search() if search is None else tuple(search)))


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Names and files, nothing loaded."""
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.name.startswith((".", "_")):
                continue
            if path.is_dir():
                file = next((path / name for name in _FILES if (path / name).is_file()), None)
                if file is not None:
                    found.setdefault(path.name, file)
                continue
            suffix = next((item for item in _SUFFIXES if path.name.endswith(item)), None)
            if suffix is not None and suffix != ".py":
                found.setdefault(path.name.removesuffix(suffix), path)
    return found


def _locate(wanted: str, folders: Sequence[Path]) -> Path:
    known = _named(folders)
    if wanted in known:
        return known[wanted]
    path = Path(wanted)
    looks_like_path = len(path.parts) > 1 or wanted.endswith(_SUFFIXES) or wanted in (".", "..")
    try:
        if path.is_dir() and looks_like_path:
            file = next((path / name for name in _FILES if (path / name).is_file()), None)
            if file is None:
                raise TestbedError(
                    "there is no topology in this folder",
                    where=wanted,
                    hint=f"it needs one of {', '.join(_FILES)}",
                )
            return file
        if looks_like_path or path.is_file():
            return path
    except ValueError:  # a NUL in the path
        pass
    searched = ", ".join(relative(str(folder)) for folder in folders) or "no folder"
    raise TestbedError(
        f"there is no topology {wanted!r} (looked in {searched})",
        hint=did_you_mean(wanted, sorted(known), "topologies"),
    )


def _load(path: Path, notice: Callable[[Problem], None] | None = None) -> Topology:
    if path.suffix == ".py":
        return _load_python(path)
    # Only now: the YAML reader takes longer to import than most topologies take to load.
    from testbed.model.files import load_topology

    return load_topology(path, notice)


def _load_python(path: Path) -> Topology:
    where = relative(str(path))
    if not path.is_file():
        raise TestbedError("there is no such file", where=where)
    module = _run(path.resolve(), where)
    made = getattr(module, "topology", None)
    if callable(made):
        with _author_errors(path.resolve(), where):
            made = made()
    else:
        made = getattr(module, "TOPOLOGY", None)
    if not isinstance(made, Topology):
        what = "topology() gave" if hasattr(module, "topology") else "TOPOLOGY is"
        what = f"{what} a {type(made).__name__}, not a Topology"
        if made is None and not hasattr(module, "topology"):
            what = "the file defines neither topology() nor TOPOLOGY"
        hint = "define a function topology() that returns Builder(...).build()"
        raise TestbedError(what, where=where, hint=hint)
    return require_valid(made, {})


def _run(path: Path, where: str) -> ModuleType:
    """The module, in a package of its own made of its folder: ``from . import`` works in it."""
    package = f"_testbed_topology_{crc32(str(path).encode()):08x}"
    name = f"{package}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TestbedError("Python cannot load this file", where=where)
    module = importlib.util.module_from_spec(spec)
    _forget(package)
    parent = ModuleType(package)
    parent.__path__ = [str(path.parent)]
    sys.modules[package] = parent
    sys.modules[name] = module  # dataclasses and pickle look their module up
    try:
        with _author_errors(path, where), _importable(path.parent):
            spec.loader.exec_module(module)
    except BaseException:
        _forget(package)
        raise
    return module


def _forget(package: str) -> None:
    """Loading again means the files as they are now, helpers included."""
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """While it loads, ``from topologies.NAME import ...`` works as it does in the tests beside."""
    root = str(folder.parent.parent)
    sys.path.insert(0, root)
    try:
        yield
    finally:
        if root in sys.path:
            sys.path.remove(root)


@contextmanager
def _author_errors(path: Path, where: str) -> Iterator[None]:
    """Errors of the author's code as one clear error with the author's line, no traceback."""
    try:
        yield
    except TestbedError:
        raise
    except SyntaxError as error:
        place = Place(where if error.filename == str(path) else str(error.filename), error.lineno)
        raise TestbedError(f"not valid Python: {error.msg}", where=place) from error
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno for f in reversed(frames) if f.filename == str(path)), None)
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise TestbedError(f"the topology file failed: {text}", where=Place(where, line)) from error
