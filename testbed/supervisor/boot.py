"""Bringing a lab's supervisor into the world: fork, own namespaces, pid 1.

The owner forks pid 1 of the lab; it claims the lab's name and leaves the host's other namespaces.
Who is not really root cannot do that himself: there a first child leaves them all (through a user
namespace if need be) and forks once more.  Nothing is executed anew, so a small lab is up in tens
of milliseconds.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from testbed.errors import LabError
from testbed.kernel import libc, namespaces
from testbed.kernel.channel import Channel
from testbed.kernel.faces import report_failure
from testbed.supervisor import channel as channels
from testbed.supervisor.init import run
from testbed.supervisor.spec import LabSpec

_NAMESPACES = libc.CLONE_NEWNS | libc.CLONE_NEWNET | libc.CLONE_NEWIPC | libc.CLONE_NEWUTS
_children: set[int] = set()
"""Supervisors that this process forked itself and has yet to reap."""


def start(spec: LabSpec) -> Channel:
    """Start a lab's supervisor; it reports its progress over the returned channel.

    Raises:
        LabError: its namespaces cannot be made.
    """
    reap()
    ours, theirs = Channel.pair()
    owner = os.pidfd_open(os.getpid())
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        with _explained():
            try:
                _children.add(_fork_first(spec, theirs, owner))
            except PermissionError:
                os.waitpid(_fork_twice(spec, theirs, owner), 0)
    except BaseException:
        ours.close()
        raise
    finally:
        os.close(owner)
        theirs.close()
    return ours


def reap() -> None:
    """Take note of supervisors that have ended, so that none stays in the host's process table."""
    for pid in tuple(_children):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid  # not ours: this process was forked from the one that started it
        if ended:
            _children.discard(pid)


def _fork_first(spec: LabSpec, boot: Channel, owner: int) -> int:
    """The child is pid 1 from the beginning. Returns its pid; PermissionError for who may not."""
    with namespaces.next_child_in_new_processes():
        pid = os.fork()
        if pid == 0:
            _be_child(spec, boot, owner, _live_as_first)
    return pid


def _fork_twice(spec: LabSpec, boot: Channel, owner: int) -> int:
    """Everybody's way. Returns the pid of the child that forks pid 1 and ends."""
    pid = os.fork()
    if pid == 0:
        _be_child(spec, boot, owner, _fork_first_inside)
    return pid


_Life = Callable[[LabSpec, Channel, socket.socket, int], None]


def _be_child(spec: LabSpec, boot: Channel, owner: int, life: _Life) -> NoReturn:
    """In the first child. Never returns."""
    try:
        gc.freeze()  # what the owner made is the owner's to finalise
        os.setsid()
        outside = {channel.fileno() for channel in spec.outside.values()}
        detach(spec.run_folder, keep={boot.fileno(), owner, *outside})
        life(spec, boot, channels.listen(spec.name), owner)
    except BaseException as error:  # noqa: BLE001  # told to the owner; a child must never return
        report_failure(boot, error)
    finally:
        os._exit(0)


def _live_as_first(spec: LabSpec, boot: Channel, listener: socket.socket, owner: int) -> None:
    with _explained():
        libc.unshare(_NAMESPACES)
    libc.set_process_name("testbed-lab")
    run(spec, boot, listener, owner, "")


def _fork_first_inside(spec: LabSpec, boot: Channel, listener: socket.socket, owner: int) -> None:
    limits = ""
    if os.geteuid() != 0:
        limits = namespaces.become_root_of_user_namespace()
    with _explained():
        libc.unshare(_NAMESPACES | libc.CLONE_NEWPID)
    if os.fork() == 0:
        libc.set_process_name("testbed-lab")
        run(spec, boot, listener, owner, limits)


@contextmanager
def _explained() -> Iterator[None]:
    """Say what it means when a namespace is refused."""
    try:
        yield
    except OSError as error:
        raise LabError(
            f"cannot make the lab's namespaces: {error.strerror}",
            hint="as root in a container this needs CAP_SYS_ADMIN; see testbed doctor",
        ) from error


def detach(run_folder: Path, keep: set[int]) -> None:
    """Let go of everything inherited: terminal, signal handlers, descriptors."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        log = os.open(run_folder / "logs" / "lab.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError:
        log = os.dup(nothing)  # a full disk must not stop a lab; the journal tells of it
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # Whatever the owner had made of these (pytest captures them) is not for us.
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    kept = sorted({0, 1, 2, *keep})
    for low, high in zip(kept, [*kept[1:], 1 << 20], strict=True):
        os.closerange(low + 1, high)
    os.chdir("/")
    namespaces.raise_descriptor_limit()
