"""Device nodes, socket families, generic netlink families, file systems, namespaces."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from testbed.errors import KernelError
from testbed.kernel import libc
from testbed.kernel.netlink import NetlinkSocket, Request
from testbed.kernel.netlink_codec import text
from testbed.kernel.probing.context import Context, Method

_TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_PPP = Path("/dev/ppp")
OPENVSWITCH_FAMILY = "ovs_datapath"
_AF_PPPOX = 24
_NETLINK_GENERIC = 16
_GENERIC_CONTROL = 16
_GET_FAMILY = 3
_FAMILY_NAME = 2
_SCRATCH = Path("/run")
_TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_DROP_EVENT = "events/skb/kfree_skb/format"


def _open_device(path: Path) -> int:
    """Open a device node; an error tells a missing node, permission and driver apart."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        reasons = {
            errno.ENOENT: f"there is no {path} (in a container: pass it in with --device {path})",
            errno.EACCES: f"this user may not open {path}",
            errno.EPERM: f"this process may not open {path} (a device rule of the container?)",
            errno.ENODEV: f"{path} is there, but the kernel has no driver for it",
            errno.ENXIO: f"{path} is there, but the kernel has no driver for it",
        }
        raise KernelError(
            reasons.get(error.errno or 0, f"could not open {path}: {error.strerror}")
        ) from error


def tun(context: Context) -> str:
    """Make a TUN interface."""
    del context
    device = _open_device(_TUN)
    try:
        request = struct.pack("16sH22x", b"probe0", _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(device, _TUNSETIFF, request)
    except OSError as error:
        raise KernelError(f"could not make a TUN interface: {error.strerror}") from error
    finally:
        os.close(device)
    return ""


def ppp(context: Context) -> str:
    """Open the PPP device."""
    del context
    os.close(_open_device(_PPP))
    return ""


def _socket(family: int, kind: int, protocol: int, what: str) -> Method:
    def method(context: Context) -> str:
        del context
        try:
            socket.socket(family, kind, protocol).close()
        except OSError as error:
            raise KernelError(f"could not open {what}: {error.strerror}") from error
        return ""

    return method


pppoe = _socket(_AF_PPPOX, socket.SOCK_STREAM, 0, "a PPPoE socket")
packet_socket = _socket(socket.AF_PACKET, socket.SOCK_RAW, 0, "a packet socket")


def find_generic_family(name: str) -> None:
    """Ask the kernel for a generic netlink family.

    Raises:
        KernelError: it has none of that name.
    """
    body = struct.pack("=BBH", _GET_FAMILY, 1, 0) + text(_FAMILY_NAME, name)
    with NetlinkSocket(_NETLINK_GENERIC) as generic:
        generic.run(Request(_GENERIC_CONTROL, 0, body, f"find the generic netlink family {name}"))


def _generic_family(name: str) -> Method:
    def method(context: Context) -> str:
        del context
        find_generic_family(name)
        return ""

    return method


l2tp = _generic_family("l2tp")
openvswitch = _generic_family(OPENVSWITCH_FAMILY)


def _in_child(work: Callable[[], None]) -> None:
    """Run ``work`` in a child of our own; an OSError it meets is raised here."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        number = 0
        try:
            work()
        except OSError as error:
            number = error.errno or errno.EIO
        finally:
            os.write(writing, struct.pack("=I", number))
            os._exit(0)
    os.close(writing)
    data = os.read(reading, 4)
    os.close(reading)
    os.waitpid(pid, 0)
    (number,) = struct.unpack("=I", data) if len(data) == 4 else (errno.EIO,)
    if number:
        raise OSError(number, os.strerror(number))


def user_namespaces(context: Context) -> str:
    """Make a user namespace with a network namespace in it."""
    try:
        _in_child(lambda: libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNET))
    except OSError as error:
        raise KernelError(f"could not make a user namespace: {error.strerror}") from error
    return "tried as root; ordinary users may be held back by sysctl" if context.is_root else ""


def network_namespaces(context: Context) -> str:
    """We are in one; those a lab needs besides are made once more."""
    del context
    kinds = libc.CLONE_NEWNET | libc.CLONE_NEWNS | libc.CLONE_NEWPID
    try:
        _in_child(lambda: libc.unshare(kinds | libc.CLONE_NEWUTS | libc.CLONE_NEWIPC))
    except OSError as error:
        raise KernelError(f"could not make namespaces: {error.strerror}") from error
    return ""


def overlayfs(context: Context) -> str:
    """Mount an overlay on a scratch file system of our own."""
    libc.mount("tmpfs", str(_SCRATCH), "tmpfs", 0, "size=1m")
    try:
        for name in ("lower", "upper", "work", "merged"):
            (_SCRATCH / name).mkdir()
        options = ",".join(
            f"{key}={_SCRATCH / name}"
            for key, name in (("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work"))
        )
        if not context.is_root:
            options += ",userxattr"
        libc.mount("overlay", str(_SCRATCH / "merged"), "overlay", 0, options)
        (_SCRATCH / "merged" / "file").write_text("written")
        libc.unmount(str(_SCRATCH / "merged"))
    finally:
        libc.unmount(str(_SCRATCH))
    return ""


def drop_reasons(context: Context) -> str:
    """Read the description of the event that tells why the kernel dropped a packet."""
    for folder in _TRACEFS:
        if (folder / _DROP_EVENT).exists():
            return _reasons_in(folder)
    if not context.is_root:
        raise KernelError("the kernel's trace events can be seen by root only")
    libc.mount("tracefs", str(_SCRATCH), "tracefs")
    try:
        return _reasons_in(_SCRATCH)
    finally:
        libc.unmount(str(_SCRATCH))


def _reasons_in(folder: Path) -> str:
    if " reason;" not in (folder / _DROP_EVENT).read_text():
        raise KernelError("this kernel tells that a packet is dropped, but not why")
    return ""
