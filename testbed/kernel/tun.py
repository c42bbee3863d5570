"""A TUN device: IP packets that the kernel routes to it are read here, and the other way round.

Source: Documentation/networking/tuntap.rst.  The device belongs to the network namespace the
process is in when it is opened, and goes away when it is closed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.errors import KernelError, MissingFeatureError

NODE = Path("/dev/net/tun")
LARGEST_PACKET = 65535 + 40
"""A whole IPv6 packet: 40 bytes of header and 65535 of payload."""

_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_IFREQ = struct.Struct("16sH22x")
_LONGEST_NAME = 15

_HINTS = {
    errno.ENOENT: "load the tun module (modprobe tun), or give the container --device /dev/net/tun",
    errno.ENODEV: "load the tun module (modprobe tun)",
    errno.ENXIO: "load the tun module (modprobe tun)",
    errno.EACCES: "make /dev/net/tun readable and writable for this user",
    errno.EPERM: "run as root or with CAP_NET_ADMIN in this network namespace, and let containers "
    "use the device (--device /dev/net/tun --cap-add NET_ADMIN)",
}


class TunDevice:
    """An open TUN device without packet information, non-blocking."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self.name = name

    @classmethod
    def create(cls, name: str) -> TunDevice:
        """Make the device in the present network namespace.

        Raises:
            MissingFeatureError: this machine or user has no TUN devices.
            KernelError: the name is taken or too long, or the kernel refused for another reason.
        """
        if not 0 < len(name.encode()) <= _LONGEST_NAME:
            raise KernelError(
                f"{name!r} cannot be the name of an interface",
                hint=f"use 1 to {_LONGEST_NAME} characters",
            )
        try:
            descriptor = os.open(NODE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _refused(f"cannot open {NODE}", error) from error
        try:
            request = _IFREQ.pack(name.encode(), _IFF_TUN | _IFF_NO_PI)
            fcntl.ioctl(descriptor, _TUNSETIFF, request)
        except OSError as error:
            os.close(descriptor)
            if error.errno in {errno.EBUSY, errno.EINVAL}:
                raise KernelError(
                    f"cannot make the TUN device {name}: {error.strerror}",
                    where=name,
                    hint="another process has a device of that name here; stop it first",
                ) from error
            raise _refused(f"cannot make the TUN device {name}", error) from error
        return cls(descriptor, name)

    @property
    def index(self) -> int:
        """The interface index."""
        return socket.if_nametoindex(self.name)

    def fileno(self) -> int:
        """The descriptor, to wait on."""
        return self._descriptor

    def read(self) -> bytes | None:
        """The next packet the kernel sent to the device; None when there is none.

        Raises:
            KernelError: the device is gone.
        """
        try:
            return os.read(self._descriptor, LARGEST_PACKET)
        except BlockingIOError:
            return None
        except OSError as error:
            raise KernelError(
                f"cannot read from the TUN device: {error.strerror}",
                where=self.name,
                hint="somebody deleted the device, or set it down; start the service again",
            ) from error

    def write(self, packet: bytes) -> None:
        """Hand a packet to the kernel as if it had come in through the device.

        Raises:
            OSError: the kernel does not take it (no IP packet, no memory, the device is down).
        """
        os.write(self._descriptor, packet)

    def close(self) -> None:
        """Close it; the device and its routes go."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _refused(what: str, error: OSError) -> KernelError | MissingFeatureError:
    hint = _HINTS.get(error.errno or 0)
    text = f"{what}: {error.strerror}"
    if hint is None:
        return KernelError(text)
    return MissingFeatureError(text, hint=hint)
