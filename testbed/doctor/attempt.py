"""Do once what every lab does, and say how far that went.

Settings that forbid a lab come in many forms (sysctls, security modules, seccomp filters, device
modes, container runtimes), and new ones keep coming.  So the doctor does not guess from settings:
it runs this module as a process of its own, which leaves the host's namespaces just as a lab does
and tries the things that a lab cannot do without.  All of it ends with the process.  (The kernel
may load its ``tun`` and ``overlay`` modules for it, as it does for every lab.)

Printed: one JSON object, step name to "" (it worked) or to what was refused.  Steps behind a
failed one that they build on are absent.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from testbed.errors import TestbedError
from testbed.kernel import libc, mounts, namespaces, sysctl

USER_NAMESPACE = "user namespace"
NAMESPACES = "namespaces"
ROOT_FOLDER = "root folder"
MOUNTS = "mounts"
SYS_VIEW = "sys view"
OVERLAY = "overlay"
TUN = "tun"
PACKET_SOCKET = "packet socket"
IPV6 = "ipv6"
FORWARDING = "forwarding"

_ALL = (
    libc.CLONE_NEWNS | libc.CLONE_NEWNET | libc.CLONE_NEWPID | libc.CLONE_NEWIPC | libc.CLONE_NEWUTS
)
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


class Attempt:
    """Collects what each step came to."""

    def __init__(self) -> None:
        self.results: dict[str, str] = {}

    def step(self, name: str, action: Callable[[], str | None]) -> bool:
        """Run a step; true if it worked.  ``action`` may return what was refused instead."""
        try:
            refused = action() or ""
        except TestbedError as error:
            refused = error.what
        except OSError as error:
            refused = error.strerror or str(error)
        self.results[name] = refused
        return not refused


def main(folder: Path) -> None:
    """Run the steps and print the result.

    ``folder`` stands for the run folder.  It is the caller's to make and to remove: this process
    leaves for a mount namespace where something lies on top of it.
    """
    attempt = Attempt()
    ordinary = os.geteuid() != 0
    if (not ordinary or attempt.step(USER_NAMESPACE, _user_namespace)) and attempt.step(
        NAMESPACES, lambda: libc.unshare(_ALL)
    ):
        attempt.results |= _as_first_process(lambda: _inside(folder))
    json.dump(attempt.results, sys.stdout)


def _user_namespace() -> None:
    namespaces.become_root_of_user_namespace()


def _as_first_process(body: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Run ``body`` as pid 1 of the new pid namespace and bring its result back."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.write(writer, json.dumps(body()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        text = answers.read()
    _, status = os.waitpid(pid, 0)
    if status != 0 or not text:
        return {MOUNTS: f"the first process of the lab ended with wait status {status}"}
    results: dict[str, str] = json.loads(text)
    return results


def _inside(folder: Path) -> dict[str, str]:
    attempt = Attempt()
    if not attempt.step(ROOT_FOLDER, _root_folder):
        return attempt.results  # from here on it would be another machine's files
    if attempt.step(MOUNTS, lambda: mounts.private_lab_view(folder)):
        # A node's view: overlays, and a /sys of its own.
        attempt.results[SYS_VIEW] = ""
        attempt.step(OVERLAY, lambda: _node_view(attempt, folder))
    attempt.step(TUN, _tun)
    attempt.step(PACKET_SOCKET, _packet_socket)
    attempt.step(IPV6, _ipv6)
    attempt.step(FORWARDING, lambda: sysctl.write("net.ipv4.ip_forward", "1"))
    return attempt.results


def _root_folder() -> str | None:
    """Entering a mount namespace, as a lab does for each node, leads out of a chroot."""
    here = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        before = Path("/").stat()
        libc.setns(here, libc.CLONE_NEWNS)
        inside = os.path.samestat(before, Path("/").stat())
    finally:
        os.close(here)
    return None if inside else "this is a chroot, and entering a node's mounts would leave it"


def _node_view(attempt: Attempt, folder: Path) -> None:
    attempt.results[SYS_VIEW] = mounts.node_view("doctor", folder, {}) or ""


def _tun() -> None:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        request = struct.pack("16sH22x", b"doctor", _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(device, _TUNSETIFF, request)
    finally:
        os.close(device)


def _packet_socket() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()


def _ipv6() -> str | None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM):
        pass
    if not Path("/proc/sys/net/ipv6").is_dir():
        return "the kernel has IPv6 switched off"
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
