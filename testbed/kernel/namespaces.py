"""Namespaces owned by descriptors: they live as long as somebody holds them, and no longer."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import MissingFeatureError
from testbed.kernel import libc

_SELF_NET = "/proc/self/ns/net"
_SELF_MOUNT = "/proc/self/ns/mnt"
_NEXT_PROCESSES = "/proc/thread-self/ns/pid_for_children"


def new_network() -> int:
    """Make a network namespace, enter it, and return the descriptor that keeps it alive."""
    libc.unshare(libc.CLONE_NEWNET)
    return os.open(_SELF_NET, os.O_RDONLY | os.O_CLOEXEC)


def current_network() -> int:
    """A descriptor of the network namespace this process is in."""
    return os.open(_SELF_NET, os.O_RDONLY | os.O_CLOEXEC)


def enter_network(descriptor: int) -> None:
    """Move this (single-threaded) process into a network namespace."""
    libc.setns(descriptor, libc.CLONE_NEWNET)


@contextmanager
def inside_network(descriptor: int, back: int) -> Iterator[None]:
    """Be in the namespace ``descriptor`` for a while, then return to ``back``."""
    libc.setns(descriptor, libc.CLONE_NEWNET)
    try:
        yield
    finally:
        libc.setns(back, libc.CLONE_NEWNET)


@contextmanager
def new_mount_namespace() -> Iterator[int]:
    """Make a mount namespace, be in it for a while; yields the descriptor that keeps it alive."""
    back = os.open(_SELF_MOUNT, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc.unshare(libc.CLONE_NEWNS)
        try:
            yield os.open(_SELF_MOUNT, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            libc.setns(back, libc.CLONE_NEWNS)
    finally:
        os.close(back)


@contextmanager
def next_child_in_new_processes() -> Iterator[None]:
    """A child that this thread forks meanwhile is pid 1 of a process namespace of its own.

    The caller itself stays where it is.

    Raises:
        PermissionError: no rights over the present process namespace, which a later child must be
            able to be in again; nothing has changed then.
    """
    back = os.open(_NEXT_PROCESSES, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc.setns(back, libc.CLONE_NEWPID)  # where we are already: shows whether we may come back
        libc.unshare(libc.CLONE_NEWPID)
        try:
            yield
        finally:
            libc.setns(back, libc.CLONE_NEWPID)
    finally:
        os.close(back)


def become_root_of_user_namespace() -> str:
    """Enter a new user namespace as its root; returns what this user cannot have there.

    Only the caller is mapped, which needs no set-uid helper.

    Raises:
        MissingFeatureError: this kernel does not let this user have a user namespace.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        libc.unshare(libc.CLONE_NEWUSER)
    except OSError as error:
        raise MissingFeatureError(
            f"user {uid} may not make a user namespace ({error.strerror})",
            hint="run as root, or allow it: sysctl kernel.unprivileged_userns_clone=1 "
            "(and, on kernels with AppArmor, kernel.apparmor_restrict_unprivileged_userns=0)",
        ) from error
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1\n")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1\n")
    return (
        "only one user exists inside: a daemon that changes to a user of its own fails, "
        "so it must be told to stay root"
    )


def raise_descriptor_limit() -> None:
    """Allow as many descriptors as the hard limit does: a node costs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        if os.geteuid() == 0:
            hard = max(hard, 1 << 20)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def find_program(name: str) -> str | None:
    """Full path of a program, also where ordinary users' PATH does not look (``/usr/sbin``)."""
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    return shutil.which(name, path=path)
