"""Topology files as text: every way in which a path can fail to be one, as one clear error."""

from __future__ import annotations

from pathlib import Path

from testbed.errors import TestbedError

MAX_BYTES = 4 * 1024 * 1024


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        TestbedError: not there, a folder, not readable, too large, empty, or not UTF-8 text.
    """
    where = str(path)
    try:
        if path.is_dir():
            raise TestbedError("this is a folder", where=where, hint="name a file in it")
        if path.exists() and not path.is_file():
            raise TestbedError("this is not a regular file", where=where)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise TestbedError("there is no such file", where=where) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise TestbedError(f"cannot be read: {reason}", where=where) from None
    if len(data) > MAX_BYTES:
        raise TestbedError(
            f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB, the most a topology may be",
            where=where,
            hint="write large labs in Python (topology.py)",
        )
    if not data.strip():
        raise TestbedError("the file is empty", where=where, hint='begin with "name: my-lab"')
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TestbedError(
            f"byte 0x{data[error.start]:02x} in line {line} is not UTF-8",
            where=where,
            hint="save the file as UTF-8 text",
        ) from None
