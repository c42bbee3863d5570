"""Images made of this machine's own programs, so that these tests need nothing but an engine."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sysconfig
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from docker import DockerClient

_PROGRAMS = (
    *("sh", "cat", "ls", "env", "id", "hostname", "sleep", "kill", "stat", "test", "mkdir", "rm"),
    *(
        "touch",
        "printf",
        "echo",
        "true",
        "false",
        "tty",
        "stty",
        "dirname",
        "chmod",
        "grep",
        "mknod",
    ),
    *("mknod", "ip", "ping", "tail", "head", "sed"),
)
PYTHON = "/usr/bin/python3"
_EMPTY = ("/tmp", "/etc", "/root", "/var/lib", "/run", "/usr/local/bin", "/opt/own", "/sys")
_LEFT_OUT = ("test", "__pycache__", "idlelib", "ensurepip", "dist-packages")


def _program(name: str) -> Path:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert found is not None, f"{name} is not on this machine"
    return Path(found)


def _libraries(program: Path) -> Iterable[Path]:
    """What the dynamic linker would load, itself included."""
    answer = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    for line in answer.stdout.splitlines():
        for word in line.split():
            if word.startswith("/"):
                yield Path(word)


def _archive(folders: Sequence[str], *, python: bool) -> bytes:
    """A root with a shell, the programs above and perhaps Python, as tar."""
    programs = [_program(name) for name in _PROGRAMS]
    content: dict[str, Path] = {}
    if python:
        programs.append(Path(PYTHON))
        standard = Path(sysconfig.get_path("stdlib", vars={"base": "/usr"}))
        for path in standard.rglob("*"):
            if path.is_file() and not set(path.parts) & set(_LEFT_OUT):
                content[str(path)] = path
                if path.suffix == ".so":
                    content |= {str(each): each for each in _libraries(path)}
    for program in programs:
        content[str(program)] = program
        content |= {str(library): library for library in _libraries(program)}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", dereference=True) as archive:
        for folder in (*_EMPTY, *folders):
            entry = tarfile.TarInfo(folder.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name in ("bin", "sbin"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(entry)
        for name, source in sorted(content.items()):
            archive.add(source, arcname=name.lstrip("/"), recursive=False)
    return data.getvalue()


def import_image(
    client: DockerClient,
    name: str,
    changes: Sequence[str] = (),
    *,
    folders: Sequence[str] = (),
    python: bool = False,
) -> str:
    """Make an image of them, and of more (empty) folders; returns what it is called.

    Its name is this test process's own: another one may use the engine at the same time.
    """
    repository, tag = f"testbed-test/{name}", f"of-{os.getpid()}"
    client.api.import_image_from_data(
        _archive(folders, python=python), repository=repository, tag=tag, changes=list(changes)
    )
    return f"{repository}:{tag}"
