"""Files that a containerlab file binds into its nodes: read, because a lab keeps its own copies."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

MAX_BYTES = 1024 * 1024  # of one file
MAX_FILES = 200  # below one folder

Bound = list[tuple[str, str]]


class Unbindable(Exception):
    """Why what is bound cannot be a text file of a node."""


def read_bind(text: str, folder: Path) -> Bound:
    """``source:target[:mode]`` as ``(path in the node, content)``; a folder gives all files in it.

    Args:
        text: the bind; its source is relative to ``folder``.
        folder: where the containerlab file is.

    Raises:
        Unbindable: with the reason.
    """
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[0]:
        raise Unbindable("it is not of the form source:target or source:target:mode")
    if parts[0].startswith(("/", "~")):  # a person's keys, say, which no record should have
        raise Unbindable("it is a file of a machine, not of the lab; copy it beside the lab's file")
    source, target = folder / parts[0], parts[1]
    if "__clabDir__" in parts[0] or "__clabNodeDir__" in parts[0]:
        raise Unbindable("it is a file that containerlab itself makes")
    if not target.startswith("/") or posixpath.normpath(target) in ("/", "//"):
        raise Unbindable(f"{target!r} is not the absolute path of a file")
    target = posixpath.normpath(target)
    if target.split("/")[1] in ("proc", "sys", "dev"):
        raise Unbindable(f"{target} belongs to the kernel")
    if source.is_dir():
        return list(_below(source, target))
    return [(target, _content(source))]


def _below(folder: Path, target: str) -> Iterator[tuple[str, str]]:
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            files.append(path)
        if len(files) > MAX_FILES:
            raise Unbindable(f"there are more than {MAX_FILES} files below {folder}")
    for path in files:
        yield f"{target}/{path.relative_to(folder).as_posix()}", _content(path)


def _content(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise Unbindable(f"{path} is no regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise Unbindable(f"there is no file {path}") from None
    except OSError as error:
        raise Unbindable(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise Unbindable(f"{path} is larger than {MAX_BYTES // 1024} KiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Unbindable(f"{path} is not UTF-8 text") from None
