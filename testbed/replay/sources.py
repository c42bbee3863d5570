"""The sources of a run: a copy that nobody edits while the run goes on, kept to replay it.

A copy is known by the digest of its files' names and contents, and lies in
``$XDG_CACHE_HOME/testbed/sources/``.  Beside each Python file is its compiled form, so that loading
a module takes the same system calls in a fresh checkout and in an old one.
"""

from __future__ import annotations

import hashlib
import os
import py_compile
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import testbed
from testbed.replay.errors import ReplayError

INSIDE = "/opt/testbed"
"""Where a run's files lie in every guest, wherever the host has them."""

CODE, PROJECT = "code", "project"
"""The two trees: this package with what lies beside it, and the user's folder if it is another."""

_TOPOLOGIES = "topologies"
_SETTINGS = ("pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg", "conftest.py", "__init__.py")
_LEFT_OUT = ("__pycache__", ".git", ".venv", "node_modules")
_EMPTY = "empty"
_STAMP = 1_735_689_600  # the start of virtual time: no file of the copy is younger than the run
_KEPT = 20
_YOUNG_S = 3600.0


@dataclass(frozen=True, slots=True)
class Trees:
    """Where the sources are on this machine: the roots of the two trees, and what of them is used.

    ``project`` is None when the user's folder belongs to the code's own tree, or to none.
    """

    code: Path
    project: Path | None
    parts: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path, words: Iterable[str] = ()) -> Trees:
        """Those of a command that is started in a folder; its words may name files."""
        code = Path(testbed.__file__).resolve().parents[1]
        here = folder.resolve()
        above = (here, *here.parents)
        marks = (_TOPOLOGIES, *_SETTINGS[:2])
        root = next((folder for folder in above if any((folder / m).exists() for m in marks)), None)
        project = None if root is None or root.resolve() == code else root.resolve()
        base = project or code
        parts = {_TOPOLOGIES}
        for word in words:
            path = Path(os.path.normpath(here / word.partition("::")[0]))
            if path.exists() and path != base and path.is_relative_to(base):
                parts.add(path.relative_to(base).parts[0])
        return cls(code, project, tuple(sorted(parts)))

    def files(self) -> Iterator[tuple[str, Path]]:
        """Name within the copy and place of every file, in the order of the names."""
        found: dict[str, Path] = {}
        found |= _tree(CODE, self.code, ["testbed"])
        if self.project is None:
            found |= _tree(CODE, self.code, [*_SETTINGS, *self.parts])
        else:
            found |= _tree(CODE, self.code, [*_SETTINGS, _TOPOLOGIES] if _is_checkout() else [])
            found |= _tree(PROJECT, self.project, [*_SETTINGS, *self.parts])
        yield from sorted(found.items())

    def inside(self, path: Path) -> str | None:
        """Where a path of this machine is in the guest's copy; None if it is in neither tree."""
        trees = ((PROJECT, self.project), (CODE, self.code))
        for name, root in trees:
            if root is not None and path.is_relative_to(root):
                return f"{INSIDE}/{name}/{path.relative_to(root)}".removesuffix("/.")
        return None

    def outside(self) -> tuple[tuple[str, str], ...]:
        """Folders in the guest, and those of this machine that they are copies of."""
        trees = ((CODE, self.code), (PROJECT, self.project))
        return tuple((f"{INSIDE}/{name}", str(root)) for name, root in trees if root is not None)


def _is_checkout() -> bool:
    return (Path(testbed.__file__).resolve().parents[1] / "pyproject.toml").exists()


def _tree(name: str, root: Path, parts: Iterable[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for part in parts:
        top = root / part
        if top.is_file():
            found[f"{name}/{part}"] = top
        for folder, folders, files in os.walk(top):
            folders[:] = [one for one in folders if one not in _LEFT_OUT]
            for file in files:
                path = Path(folder, file)
                if path.suffix != ".pyc" and path.is_file():
                    found[f"{name}/{path.relative_to(root).as_posix()}"] = path
    return found


@dataclass(frozen=True, slots=True)
class Sources:
    """A copy of the sources.  ``folder`` has :data:`CODE` and maybe :data:`PROJECT` in it."""

    digest: str
    folder: Path

    @property
    def empty(self) -> Path:
        """An empty file, to be laid over another."""
        return self.folder / _EMPTY


def store() -> Path:
    """``$XDG_CACHE_HOME/testbed/sources``, ``~/.cache/...`` by default."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "testbed" / "sources"


def look_up(digest: str) -> Sources | None:
    """The kept copy with this digest, if it is there."""
    folder = _folder_of(digest)
    if not folder.is_dir():
        return None
    os.utime(folder)  # it was used: see _prune
    return Sources(digest, folder)


def take(trees: Trees) -> Sources:
    """A copy of the sources as they are now.

    Raises:
        ReplayError: they cannot be read, or there is no room for the copy.
    """
    try:
        contents = [(name, path.read_bytes()) for name, path in trees.files()]
        whole = hashlib.sha256()
        for name, content in contents:
            whole.update(f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode())
        digest = whole.hexdigest()[:16]
        kept = look_up(digest)
        if kept is not None:
            return kept
        store().mkdir(parents=True, exist_ok=True)
        folder = _folder_of(digest)
        coming = Path(tempfile.mkdtemp(prefix="coming-", dir=store()))
        try:
            _write(coming, contents)
            coming.chmod(0o755)
            if not folder.is_dir():
                coming.rename(folder)
        except FileExistsError:  # another run was quicker
            pass
        finally:
            shutil.rmtree(coming, ignore_errors=True)
        _prune()
    except OSError as error:
        raise ReplayError(
            f"cannot keep a copy of the sources: {error.strerror}",
            where=str(error.filename or store()),
            hint="choose another place for caches: XDG_CACHE_HOME=FOLDER",
        ) from error
    return Sources(digest, folder)


def _folder_of(digest: str) -> Path:
    return store() / f"{digest}-{sys.implementation.cache_tag}"


def _write(top: Path, contents: list[tuple[str, bytes]]) -> None:
    for name, content in contents:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if path.suffix == ".py":
            _compile(path, f"{INSIDE}/{name}")
    (top / _EMPTY).touch()
    for folder, folders, files in os.walk(top):
        for file in (*folders, *files):
            os.utime(Path(folder, file), (_STAMP, _STAMP))


def _compile(path: Path, name: str) -> None:
    cached = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    try:
        py_compile.compile(str(path), str(cached), name, doraise=True, invalidation_mode=unchecked)
    except py_compile.PyCompileError:
        return  # whoever imports it will say what is wrong with it


def _prune() -> None:
    """Remove copies that were not used for long, if there are many."""
    found = []
    for folder in store().iterdir():
        try:
            found.append((folder.stat().st_mtime, folder))
        except FileNotFoundError:
            continue
    long_ago = time.time() - _YOUNG_S
    for used, folder in sorted(found, reverse=True)[_KEPT:]:
        if used < long_ago:
            shutil.rmtree(folder, ignore_errors=True)
