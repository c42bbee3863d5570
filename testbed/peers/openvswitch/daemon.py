"""ovsdb-server and ovs-vswitchd started, told their bridge and ports, and ended with us.

Everything of theirs lies in the node's own ``/run/openvswitch``, where Open vSwitch's own programs
(``ovs-vsctl``, ``ovs-ofctl``, ``ovs-appctl``) look for it: they work in the node as they are.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from testbed.components.notify import notify
from testbed.errors import MissingFeatureError, TestbedError
from testbed.events import Emitter, Note
from testbed.kernel.probing.devices import OPENVSWITCH_FAMILY, find_generic_family

HOME = Path("/run/openvswitch")
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
KERNEL, USER, ANY = DATAPATHS = ("kernel", "user", "any")

_PACKAGE = "it comes with Debian's package openvswitch-switch"
_QUIET = ("-vconsole:warn", "-vsyslog:off", "-vfile:off")
_PATIENCE_S = 15
_NO_CPU_BEFORE_S = 10.1
"""In the first 10 s of a kernel's life ovs-vswitchd finds no CPU (count_cpu_cores() in its
lib/ovs-thread.c) and starts no thread for the kernel's datapath.  Only a guest is that young."""
_LOOK_EVERY_S = 0.005


class OpenVSwitchError(TestbedError):
    """Open vSwitch cannot be started or configured, or ended by itself."""


def run(datapath: str, bridge: str, ports: Sequence[str], emitter: Emitter) -> None:
    """Be the switch until SIGTERM.

    Raises:
        MissingFeatureError: the kernel's datapath was asked for, and it has none.
        OpenVSwitchError: it cannot be had.
    """
    trouble = None if datapath == USER else why_no_kernel_datapath()
    if datapath == KERNEL and trouble is not None:
        raise MissingFeatureError(
            f"this kernel has no datapath of Open vSwitch: {trouble}",
            hint='modprobe openvswitch, --kernel guest, or "ovs-user" as the kind of the switch',
        )
    chosen = USER if datapath == USER or trouble is not None else KERNEL
    with _asked_to_end() as asked, running(with_kernel=chosen == KERNEL) as daemons:
        _do("ovs-vsctl", f"--timeout={_PATIENCE_S}", *configuration(chosen, bridge, ports))
        _check(bridge, ports)
        why = "" if trouble is None else f" (no datapath in the kernel: {trouble})"
        emitter.emit(Note(f"Open vSwitch {version()}, {chosen} datapath{why}"))
        notify("READY=1")
        _stay(asked, *daemons)


@contextmanager
def running(*, with_kernel: bool) -> Iterator[tuple[subprocess.Popen[bytes], ...]]:
    """The database and the daemon, empty, where Open vSwitch's own programs look for them.

    Args:
        with_kernel: the kernel's datapath is going to be used.

    Raises:
        OpenVSwitchError: they cannot be started.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    database = HOME / "conf.db"
    database.unlink(missing_ok=True)
    _do("ovsdb-tool", "create", str(database), SCHEMA)
    remote = HOME / "db.sock"
    remote.unlink(missing_ok=True)
    words = ("ovsdb-server", str(database), f"--remote=punix:{remote}", "--pidfile")
    with _daemon(*words) as server:
        _await(remote.exists, server, "ovsdb-server does not listen")
        _do("ovs-vsctl", "--no-wait", "init")
        if with_kernel:
            time.sleep(max(0.0, _NO_CPU_BEFORE_S - time.monotonic()))
        with _daemon("ovs-vswitchd", f"unix:{remote}", "--pidfile") as switch:
            yield server, switch


def why_no_kernel_datapath() -> str | None:
    """Why the kernel, in this network namespace, has no datapath of Open vSwitch; None: it has."""
    try:
        find_generic_family(OPENVSWITCH_FAMILY)
    except TestbedError as error:
        return error.what
    return None


def configuration(datapath: str, bridge: str, ports: Sequence[str]) -> list[str]:
    """The words for ovs-vsctl: a bridge that learns addresses by itself, and its ports."""
    kind = "netdev" if datapath == USER else "system"
    words = ["--", "add-br", bridge]
    words += ["--", "set", "bridge", bridge, f"datapath_type={kind}", "fail_mode=standalone"]
    for number, port in enumerate(ports):
        # linux-noop: the port's queueing discipline is the engine's, which impairs links by it.
        words += ["--", f"--id=@q{number}", "create", "qos", "type=linux-noop"]
        words += ["--", "add-port", bridge, port, "--", "set", "port", port, f"qos=@q{number}"]
    return words


def version() -> str:
    """The version of ovs-vswitchd."""
    return _do("ovs-vswitchd", "--version").split()[3]


def _check(bridge: str, ports: Sequence[str]) -> None:
    """See that every port is in the datapath: ovs-vsctl only warns of one that is not."""
    for port in ports:
        words = ("--timeout=5", "--if-exists", "get", "interface", port, "error")
        trouble = _do("ovs-vsctl", *words).strip().strip('"')
        if trouble not in ("", "[]"):
            raise OpenVSwitchError(f"it cannot have the port {port}: {trouble}", where=bridge)


def _do(*words: str) -> str:
    try:
        done = subprocess.run(words, check=False, capture_output=True, text=True)
    except OSError as error:
        raise OpenVSwitchError(
            f"cannot run {words[0]}: {error.strerror}", where=words[0], hint=_PACKAGE
        ) from error
    if done.returncode:
        said = done.stderr.strip() or f"exit status {done.returncode}"
        raise OpenVSwitchError(f"{' '.join(words[:3])}...: {said}")
    return done.stdout


@contextmanager
def _daemon(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon in the foreground, ended with the block."""
    try:
        process = subprocess.Popen([*words, *_QUIET], stdin=subprocess.DEVNULL)
    except OSError as error:
        raise OpenVSwitchError(
            f"cannot run {words[0]}: {error.strerror}", where=words[0], hint=_PACKAGE
        ) from error
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(condition: Callable[[], bool], process: subprocess.Popen[bytes], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if process.poll() is not None:
            raise OpenVSwitchError(f"{otherwise}: it ended (status {process.returncode})")
        if time.monotonic() > deadline:
            raise OpenVSwitchError(f"{otherwise} after {_PATIENCE_S} s")
        time.sleep(_LOOK_EVERY_S)


@contextmanager
def _asked_to_end() -> Iterator[int]:
    """A descriptor that can be read once SIGTERM or SIGINT has come."""
    heard, tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        yield heard
    finally:
        signal.set_wakeup_fd(before)
        os.close(heard)
        os.close(tell)


def _stay(asked: int, *daemons: subprocess.Popen[bytes]) -> None:
    """Wait until we are asked to end.

    Raises:
        OpenVSwitchError: a daemon has ended by itself.
    """
    poll = select.poll()
    poll.register(asked, select.POLLIN)
    ends = {os.pidfd_open(daemon.pid): daemon for daemon in daemons}
    for end in ends:
        poll.register(end, select.POLLIN)
    try:
        ready = {number for number, _ in poll.poll()}
    finally:
        for end in ends:
            os.close(end)
    for end, daemon in ends.items():
        if end in ready and asked not in ready:
            words = daemon.args
            assert isinstance(words, list)
            raise OpenVSwitchError(f"{words[0]} ended by itself (status {daemon.wait()})")
