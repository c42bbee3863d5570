"""Make the virtual wire carry real packets.

By default a veth hands over packets of up to 64 KB with unfinished checksums, as if a network card
were to cut and complete them.  No card ever does, so captures would show what no wire carries.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct

from testbed.errors import KernelError

_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM = 0x17
_VALUE = struct.Struct("=II")
_IFREQ = struct.Struct("16sP16x")


def show_real_packets(interface: str) -> None:
    """Complete checksums and cut segments before the wire (and so before every capture).

    Switching off transmit checksumming is enough: the kernel then segments in software as well,
    since segmentation offload depends on it (``netdev_fix_features``).

    Raises:
        KernelError: the interface does not exist here or cannot be changed.
    """
    value = array.array("B", _VALUE.pack(_ETHTOOL_STXCSUM, 0))
    address, _ = value.buffer_info()
    request = _IFREQ.pack(interface.encode(), address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            fcntl.ioctl(sock, _SIOCETHTOOL, request)
        except OSError as error:
            raise KernelError(
                f"cannot switch off transmit checksumming: {error.strerror}", where=interface
            ) from error
