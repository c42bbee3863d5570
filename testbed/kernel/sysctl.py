"""Kernel settings of the network namespace this process is in."""

from __future__ import annotations

import os

from testbed.errors import KernelError


def path_of(key: str) -> str:
    """The file of a dotted key; with slashes instead of dots, interface names may hold dots."""
    return "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))


def write(key: str, value: str, *, where: str = "") -> None:
    """Set one value.

    Raises:
        KernelError: no such setting here, or not allowed, or not a value it takes.
    """
    try:
        descriptor = os.open(path_of(key), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KernelError(
            f"cannot set {key} to {value!r}: {error.strerror}",
            where=where or None,
            hint="the setting must exist in this kernel and belong to the network namespace",
        ) from error


def read(key: str) -> str:
    """The present value, without the final newline; OSError when there is none."""
    with open(path_of(key), encoding="ascii") as file:  # noqa: PTH123  # /proc, not a user's path
        return file.read().rstrip("\n")
