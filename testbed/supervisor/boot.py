"""Bringing a lab's supervisor into the world: fork, own namespaces, pid 1.

The owner forks a process that claims the lab's name, leaves the host's namespaces (through a user
namespace if it is not root) and forks once more: that child is pid 1 of the lab.  Nothing is
executed anew, so a small lab is up in tens of milliseconds.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from testbed.errors import LabError
from testbed.kernel import libc, namespaces
from testbed.supervisor import channel as channels
from testbed.supervisor.channel import Channel
from testbed.supervisor.faces import report_failure
from testbed.supervisor.init import run
from testbed.supervisor.spec import LabSpec

_NAMESPACES = (
    libc.CLONE_NEWNS | libc.CLONE_NEWNET | libc.CLONE_NEWPID | libc.CLONE_NEWIPC | libc.CLONE_NEWUTS
)


def start(spec: LabSpec) -> Channel:
    """Start a lab's supervisor; it reports its progress over the returned channel."""
    ours, theirs = Channel.pair()
    owner = os.pidfd_open(os.getpid())
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        pid = os.fork()
        if pid == 0:
            _leave_the_host(spec, theirs, owner)
    finally:
        os.close(owner)
    theirs.close()
    os.waitpid(pid, 0)  # it only makes the lab's pid 1 and ends
    return ours


def _leave_the_host(spec: LabSpec, boot: Channel, owner: int) -> NoReturn:
    """In the first child. Never returns."""
    try:
        gc.freeze()  # what the owner made is the owner's to finalise
        os.setsid()
        _detach(spec.run_folder, keep={boot.fileno(), owner})
        listener = channels.listen(spec.name)
        limits = ""
        if os.geteuid() != 0:
            limits = namespaces.become_root_of_user_namespace()
        _unshare()
        if os.fork() == 0:
            libc.set_process_name("testbed-lab")
            run(spec, boot, listener, owner, limits)
    except BaseException as error:  # noqa: BLE001  # told to the owner; a child must never return
        report_failure(boot, error)
    finally:
        os._exit(0)


def _unshare() -> None:
    try:
        libc.unshare(_NAMESPACES)
    except OSError as error:
        raise LabError(
            f"cannot make the lab's namespaces: {error.strerror}",
            hint="as root in a container this needs CAP_SYS_ADMIN; see testbed doctor",
        ) from error


def _detach(run_folder: Path, keep: set[int]) -> None:
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
