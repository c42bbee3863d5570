"""A node's own view of the file system.

Programs in a node see the host's files, but what they write to ``/etc``, ``/var``, ``/tmp`` and
``/srv`` lands in memory that dies with the lab, ``/run`` is empty and their own, and ``/sys`` shows
the node's interfaces.  So several daemons of one kind run side by side and the host stays clean.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping
from pathlib import Path

from testbed.errors import KernelError
from testbed.kernel import libc

OVERLAID = ("/etc", "/var", "/tmp", "/srv")
WRITABLE = (*OVERLAID, "/run")
_LAB_STORE = "/run/testbed-lab"
_LAB_RUN_FOLDER = f"{_LAB_STORE}/run-folder"


def private_lab_view(run_folder: Path) -> None:
    """In the lab's fresh mount namespace: cut the ties to the host, new /proc, empty /run."""
    libc.mount("none", "/", None, libc.MS_REC | libc.MS_PRIVATE)
    libc.mount("proc", "/proc", "proc", libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC)
    keep = os.open(run_folder, os.O_PATH | os.O_CLOEXEC)
    try:
        libc.mount("tmpfs", "/run", "tmpfs", libc.MS_NOSUID | libc.MS_NODEV, "mode=755")
        Path(_LAB_RUN_FOLDER).mkdir(parents=True)
        # By descriptor: the run folder may lie under the /run that was just covered.
        libc.mount(f"/proc/self/fd/{keep}", _LAB_RUN_FOLDER, None, libc.MS_BIND)
    finally:
        os.close(keep)


def node_view(
    node: str,
    run_folder: Path,
    files: Mapping[str, str],
    *,
    private: Collection[str] = (),
) -> str | None:
    """In a node's fresh mount namespace (and its network namespace): lay its own view.

    ``files`` are the node's own text files by path; those in ``private`` only their owner may read.
    Returns what could not be had (``/sys`` in
    some containers), None when all is there.

    Raises:
        KernelError: a mount was refused, or a file lies where a node cannot have its own.
    """
    for path in files:
        if not path.startswith(tuple(f"{folder}/" for folder in WRITABLE)):
            raise KernelError(
                f"cannot lay a file at {path}",
                where=node,
                hint=f"a node's own files lie under {', '.join(WRITABLE)}",
            )
    libc.mount("none", "/", None, libc.MS_REC | libc.MS_PRIVATE)
    missing = None
    try:
        libc.mount("sysfs", "/sys", "sysfs", libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC)
    except KernelError as error:
        if not _sys_is_ours():  # who made this namespace may have mounted it already
            missing = f"/sys shows the host's interfaces, not the node's ({error.what})"
    for folder in OVERLAID:
        if Path(folder).is_dir():
            _overlay(Path(f"{_LAB_STORE}/{node}{folder}"), folder, files, private)
    _show_run_folder(run_folder)
    for path, content in files.items():
        if path.startswith("/run/"):
            _write(Path(path), content, path in private)
    return missing


def _sys_is_ours() -> bool:
    """Does /sys show the interfaces of the present network namespace?"""
    folder = Path("/sys/class/net")
    try:
        shown = {(int(path.read_text()), path.parent.name) for path in folder.glob("*/ifindex")}
    except (OSError, ValueError):
        return False
    return shown == set(socket.if_nameindex())


def _overlay(store: Path, folder: str, files: Mapping[str, str], private: Collection[str]) -> None:
    upper, work = store / "upper", store / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    upper.chmod(Path(folder).stat().st_mode & 0o7777)
    if Path(folder).stat().st_uid != 0:
        # An ordinary user's root: folders of the host's root cannot be copied up to be written in,
        # so the upper layer has folders of its own in front of them, one level deep.
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                (upper / entry.name).mkdir()
                (upper / entry.name).chmod(entry.stat().st_mode & 0o7777)
    # Into the upper layer before the mount, for the same reason.
    for path, content in files.items():
        if path.startswith(f"{folder}/"):
            _write(upper / Path(path).relative_to(folder), content, path in private)
    libc.mount(
        "overlay",
        folder,
        "overlay",
        libc.MS_NOSUID | libc.MS_NODEV,
        f"lowerdir={folder},upperdir={upper},workdir={work}",
    )


def _write(path: Path, content: str, private: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600 if private else 0o666)  # before there is anything to read in it
    path.write_text(content, encoding="utf-8")


def _show_run_folder(run_folder: Path) -> None:
    """The run folder is the one place where a node writes to the real disk."""
    keep = os.open(_LAB_RUN_FOLDER, os.O_PATH | os.O_CLOEXEC)
    try:
        libc.mount("tmpfs", "/run", "tmpfs", libc.MS_NOSUID | libc.MS_NODEV, "mode=755")
        run_folder.mkdir(parents=True, exist_ok=True)
        libc.mount(f"/proc/self/fd/{keep}", str(run_folder), None, libc.MS_BIND)
    finally:
        os.close(keep)
