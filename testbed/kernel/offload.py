"""What an interface leaves to its (virtual) card: checksums and cutting or joining segments.

Source: ethtool(8) features, ``linux/ethtool.h``.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import socket
import struct

from testbed.errors import KernelError

_SIOCETHTOOL = 0x8946

# Name: the commands that read and that set it.
_FEATURES = {
    "tx_checksum": (0x16, 0x17),
    "scatter_gather": (0x18, 0x19),
    "tso": (0x1E, 0x1F),
    "gso": (0x23, 0x24),
    "gro": (0x2B, 0x2C),
}


def _ethtool(interface: str, command: int, value: int) -> int:
    payload = ctypes.create_string_buffer(struct.pack("=II", command, value), 8)
    request = array.array(
        "B", struct.pack("@16sP16x", interface.encode()[:15], ctypes.addressof(payload))
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        fcntl.ioctl(asking.fileno(), _SIOCETHTOOL, request)
    result: int = struct.unpack("=II", payload.raw)[1]
    return result


def offload(interface: str) -> dict[str, bool]:
    """Which of the features are on for an interface of the present namespace.

    Raises:
        KernelError: no such interface.
    """
    try:
        return {
            name: bool(_ethtool(interface, reading, 0)) for name, (reading, _) in _FEATURES.items()
        }
    except OSError as error:
        raise KernelError(
            f"could not read the offload settings of {interface}: {error.strerror}",
            where=interface,
        ) from error


def set_offload(
    interface: str,
    *,
    tx_checksum: bool | None = None,
    tso: bool | None = None,
    gso: bool | None = None,
    gro: bool | None = None,
) -> None:
    """Turn offloads of an interface of the present namespace on or off; None leaves one alone.

    With ``tx_checksum`` off every frame leaves as it would on a wire: whole checksums, and no
    longer than the MTU, since the card's cutting of segments depends on it and the kernel then
    does it in software before the frame is sent (and captured).  It costs throughput.

    Raises:
        KernelError: no such interface, no privilege, or the interface cannot change it.
    """
    wanted = {"tx_checksum": tx_checksum, "tso": tso, "gso": gso, "gro": gro}
    for name, value in wanted.items():
        if value is None:
            continue
        try:
            _ethtool(interface, _FEATURES[name][1], int(value))
        except OSError as error:
            hints = {
                errno.EPERM: "CAP_NET_ADMIN is needed in the network namespace",
                errno.ENODEV: f"the namespace has no interface {interface}",
                errno.EOPNOTSUPP: "this kind of interface has no such setting",
            }
            raise KernelError(
                f"could not turn {name} {'on' if value else 'off'} on {interface}: "
                f"{error.strerror}",
                where=interface,
                hint=hints.get(error.errno or 0),
            ) from error
