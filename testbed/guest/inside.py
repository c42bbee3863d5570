"""The guest's first program (pid 1): furnish the machine, run the command, power off.

The kernel starts it with a bare Python (``-I -S -B``) on a read-only view of the host's files.
"""

import os
import sys

if __name__ == "__main__":
    # A link to the folder with the package, beside the link that we were started by.  It is not
    # resolved: how long the host's paths are must not show, in a run that shall repeat.
    sys.path.insert(0, __file__.removesuffix("inside.py") + "code")

import contextlib
import json
import selectors
import signal
import struct
import time
from pathlib import Path
from typing import NoReturn

from testbed.errors import TestbedError
from testbed.guest import calls
from testbed.guest.furnish import furnish
from testbed.guest.job import Job
from testbed.guest.link import DEVICE, Kind, Link
from testbed.guest.machine import SETTLE_S

_CHUNK = 1 << 16
_AT_MOST = 16
"""Chunks read after the command's end: as much as a pipe holds."""


def main() -> NoReturn:
    """Do the job that the host sends. Never returns."""
    device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    link = Link(lambda size: os.read(device, size), lambda data: os.write(device, data))
    try:
        link.send(Kind.HELLO)
        _, content = link.receive()
        job = Job.from_json(json.loads(content))
        furnish(job.run_folder, job.mounts)
        if _time_is_virtual():
            time.sleep(max(0.0, SETTLE_S - time.monotonic()))
        link.send_json(Kind.ENDED, {"status": _run(job, link)})
    except TestbedError as error:
        link.send_json(Kind.FAILED, {"what": error.what, "where": error.where, "hint": error.hint})
    except BaseException as error:  # noqa: BLE001  # pid 1 must not end, the kernel would panic
        what = f"{type(error).__name__}: {error}"
        link.send_json(Kind.FAILED, {"what": what, "where": "inside the guest", "hint": None})
    os.sync()
    calls.power_off()
    raise AssertionError("the machine is still on")


def _time_is_virtual() -> bool:
    clock = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    return clock.read_text().strip() == "time-travel-clock"


def _run(job: Job, link: Link) -> int:
    """Run the command, pass on what it writes; its status as a shell counts it."""
    calls.interrupt_on_ctrl_alt_del()
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
    pid = _start(job, [write for _, write in pipes])
    for _, write in pipes:
        os.close(write)
    link.send(Kind.STARTED)

    with selectors.DefaultSelector() as selector:
        selector.register(woken, selectors.EVENT_READ)
        for (read, _), kind in zip(pipes, (Kind.OUTPUT, Kind.ERRORS), strict=True):
            os.set_blocking(read, False)
            selector.register(read, selectors.EVENT_READ, kind)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    numbers = os.read(woken, _CHUNK)
                    if signal.SIGINT in numbers:  # Ctrl-C at the host
                        with contextlib.suppress(ProcessLookupError):
                            os.killpg(pid, signal.SIGINT)
                elif not _pass_on(key.fd, key.data, link):
                    selector.unregister(key.fd)
            status = _reap(pid)
            if status is not None:
                break
    # Daemons that were left behind may still hold the pipes: take what is there and go.
    for (read, _), kind in zip(pipes, (Kind.OUTPUT, Kind.ERRORS), strict=True):
        for _ in range(_AT_MOST):
            if not _pass_on(read, kind, link):
                break
    return status if status >= 0 else 128 - status


def _pass_on(pipe: int, kind: Kind, link: Link) -> bool:
    """Send what a pipe has; false if it has nothing (any more)."""
    try:
        data = os.read(pipe, _CHUNK)
    except BlockingIOError:
        return False
    if data:
        link.send(kind, data)
    return bool(data)


def _reap(pid: int) -> int | None:
    """Bury whoever ended (orphans come to pid 1); the status of ``pid`` if it is among them."""
    found = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if ended == 0:
            return found
        if ended == pid:
            found = os.waitstatus_to_exitcode(status)


def _start(job: Job, outputs: list[int]) -> int:
    """Start the command in a session of its own, with nothing to read."""
    report_read, report_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDONLY)
            for standard, descriptor in enumerate((nothing, *outputs)):
                os.dup2(descriptor, standard)
            os.chdir(job.folder)
            os.execvpe(job.arguments[0], job.arguments, job.whole_environment)  # noqa: S606
        except BaseException as error:  # noqa: BLE001  # a forked child must never return
            code = error.errno if isinstance(error, OSError) and error.errno else 0
            place = getattr(error, "filename", None) or job.arguments[0]
            os.write(report_write, struct.pack("=i", code) + str(place).encode())
        os._exit(127)
    os.close(report_write)
    with os.fdopen(report_read, "rb") as pipe:
        report = pipe.read()
    if report:
        os.waitpid(pid, 0)
        (code,) = struct.unpack_from("=i", report)
        raise TestbedError(
            f"cannot run {job.arguments[0]!r} in the guest: {os.strerror(code)}",
            where=report[4:].decode(errors="replace"),
        )
    return pid


if __name__ == "__main__":
    main()
