"""Starting a program in namespaces, as a child of this process."""

from __future__ import annotations

import json
import os
import signal
from typing import NoReturn

from testbed.backends.place import Command
from testbed.errors import ServiceError
from testbed.kernel import libc


def spawn(node: str, network: int, mounts: int, command: Command) -> int:
    """Start the program in the node's namespaces; returns its pid (in the lab).

    It leads a session of its own, with ``descriptors[0]`` as its terminal if ``terminal``.

    Raises:
        ServiceError: the program cannot be executed, with the reason.
    """
    report_read, report_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _become(node, network, mounts, command, report_write)
    os.close(report_write)
    with os.fdopen(report_read, "rb") as pipe:
        report = pipe.read()
    if report:
        os.waitpid(pid, 0)
        failure = json.loads(report)
        program = command.arguments[0]
        raise ServiceError(
            f"cannot run {program!r}: {failure['error']}",
            where=node,
            hint=f"is {program!r} installed? testbed doctor names the Debian packages",
        )
    return pid


def _become(node: str, network: int, mounts: int, command: Command, report: int) -> NoReturn:
    """In the child: enter the namespaces and turn into the program. Never returns."""
    try:
        for number in range(1, signal.NSIG):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                try:
                    signal.signal(number, signal.SIG_DFL)
                except (OSError, ValueError):
                    continue  # the numbers that libc keeps for itself
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.setsid()
        libc.setns(mounts, libc.CLONE_NEWNS)
        libc.setns(network, libc.CLONE_NEWNET)
        libc.unshare(libc.CLONE_NEWUTS)
        libc.set_host_name(node)
        _take_descriptors(command.descriptors)
        if command.terminal:
            _take_terminal()
        try:
            os.chdir(command.folder)
        except OSError:
            os.chdir("/")
        os.execvpe(command.arguments[0], list(command.arguments), command.environment)  # noqa: S606
    except BaseException as error:  # noqa: BLE001  # told to the parent; a child must never return
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        os.write(report, json.dumps({"error": text}).encode())
    finally:
        os._exit(127)


def _take_descriptors(descriptors: tuple[int, ...]) -> None:
    # First out of the way, so that none is overwritten before it was moved.
    moved = [os.dup(descriptor) for descriptor in descriptors]
    while moved and min(moved) < len(descriptors):
        moved = [os.dup(descriptor) for descriptor in moved]
    for number, descriptor in enumerate(moved):
        os.dup2(descriptor, number)
        os.close(descriptor)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
