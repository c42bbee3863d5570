"""Inside the guest: make of the bare machine a system that programs feel at home in.

The host's files are the lower layer of the root folder; what is written goes to memory that ends
with the machine.  Only the run folder is the host's own disk.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from testbed.guest import calls
from testbed.guest.machine import RUN
from testbed.kernel import libc

_STORE = "/tmp"
"""A folder that every system has; memory is mounted on it while the new root is made."""

_PRIVATE = libc.MS_NOSUID | libc.MS_NODEV
_VIRTUAL = _PRIVATE | libc.MS_NOEXEC

_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 1
_IFREQ = struct.Struct("16sH22x")


def furnish(run_folder: str, mounts: Iterable[tuple[str, str]] = ()) -> None:
    """Lay the root, mount what belongs into it, bring the loopback interface up.

    ``mounts`` are those of the job: a path of the host, and the one that also leads to it.

    Raises:
        KernelError: a mount was refused; says which.
    """
    _new_root()
    _mount_system()
    Path(run_folder).mkdir(parents=True, exist_ok=True)
    libc.mount("none", run_folder, "hostfs", _PRIVATE, RUN)
    for source, target in mounts:
        _show(source, target)
    _devices()
    libc.set_host_name("guest")
    _loopback_up()


def _new_root() -> None:
    libc.mount("none", "/", None, libc.MS_REC | libc.MS_PRIVATE)
    libc.mount("tmpfs", _STORE, "tmpfs", _PRIVATE, "mode=755")
    upper, work, root = (f"{_STORE}/{name}" for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        Path(folder).mkdir()
    options = f"lowerdir=/,upperdir={upper},workdir={work}"
    libc.mount("overlay", root, "overlay", 0, options)
    os.chdir(root)
    calls.pivot_root(".", ".")
    libc.unmount(".")  # the old root, which now lies on top
    os.chdir("/")


def _mount_system() -> None:
    libc.mount("proc", "/proc", "proc", _VIRTUAL)
    libc.mount("sysfs", "/sys", "sysfs", _VIRTUAL)
    libc.mount("tracefs", "/sys/kernel/tracing", "tracefs", _VIRTUAL)
    libc.mount("cgroup2", "/sys/fs/cgroup", "cgroup2", _VIRTUAL)
    libc.mount("devtmpfs", "/dev", "devtmpfs", libc.MS_NOSUID, "mode=755")
    libc.mount("tmpfs", "/run", "tmpfs", _PRIVATE, "mode=755")
    for folder in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/run/lock"):
        Path(folder).mkdir(exist_ok=True)
    options = "gid=5,mode=620,ptmxmode=666"
    libc.mount("devpts", "/dev/pts", "devpts", libc.MS_NOSUID | libc.MS_NOEXEC, options)
    libc.mount("tmpfs", "/dev/shm", "tmpfs", _PRIVATE, "mode=1777")
    libc.mount("mqueue", "/dev/mqueue", "mqueue", _VIRTUAL)


def _show(source: str, target: str) -> None:
    if Path(source).is_dir():
        Path(target).mkdir(parents=True, exist_ok=True)
    elif not Path(target).exists():
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).touch()
    libc.mount(source, target, None, libc.MS_BIND)


def _devices() -> None:
    """What udev does on other systems."""
    links = {
        "fd": "/proc/self/fd",
        "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1",
        "stderr": "/proc/self/fd/2",
        "ptmx": "pts/ptmx",
    }
    for name, target in links.items():
        device = Path("/dev", name)
        device.unlink(missing_ok=True)
        device.symlink_to(target)
    for name in ("null", "zero", "full", "random", "urandom", "tty", "net/tun"):
        Path("/dev", name).chmod(0o666)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = _IFREQ.pack(b"lo", 0)
        _, flags = _IFREQ.unpack(fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", flags | _IFF_UP))
