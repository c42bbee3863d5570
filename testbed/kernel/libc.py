"""The few system calls that Python 3.11 has no name for, with errors that say what failed."""

from __future__ import annotations

import ctypes
import os

from testbed.errors import KernelError

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x4_0000
MNT_DETACH = 0x2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """unshare(2): leave the present namespaces for new ones."""
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int = 0) -> None:
    """setns(2): enter the namespace that the descriptor refers to."""
    _check(_libc.setns(descriptor, kind), "setns")


def mount(
    source: str, target: str, kind: str | None = None, flags: int = 0, options: str | None = None
) -> None:
    """mount(2).

    Raises:
        KernelError: the mount was refused; says which.
    """
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() if options else None,
    )
    if result != 0:
        number = ctypes.get_errno()
        raise KernelError(
            f"cannot mount {kind or source} on {target}: {os.strerror(number)}",
            hint="a lab needs its own mount namespace; inside a container this wants CAP_SYS_ADMIN",
        )


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2), lazily unless told otherwise."""
    _check(_libc.umount2(target.encode(), flags), f"unmount {target}")


def set_host_name(name: str) -> None:
    """sethostname(2) in the present UTS namespace."""
    data = name.encode()
    _check(_libc.sethostname(data, len(data)), "sethostname")


def set_process_name(name: str) -> None:
    """prctl(PR_SET_NAME): what ``ps`` and ``top`` call this process (15 bytes)."""
    _check(_libc.prctl(15, name.encode(), 0, 0, 0), "prctl(PR_SET_NAME)")
