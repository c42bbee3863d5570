"""IPsec in the kernel: security associations are really added, so the algorithms are really there.

Source: ``linux/xfrm.h``.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

from testbed.errors import KernelError
from testbed.kernel.netlink import NLM_F_CREATE, NetlinkSocket, Request
from testbed.kernel.netlink_codec import attribute
from testbed.kernel.probing.context import Context

_NETLINK_XFRM = 6
_NEW_SA = 0x10
_GET_SA_COUNTS = 0x23
_AUTH_TRUNCATED, _ENCRYPTION, _ENCAPSULATION, _AEAD = 20, 2, 4, 18
_ESP = 50
_TUNNEL_MODE = 1
_FOREVER = 0xFFFFFFFFFFFFFFFF
_ESP_IN_UDP = 2
_NAT_TRAVERSAL_PORT = 4500
_SPI = 0x1000

# A throw-away namespace sees these keys, no packet ever does.
_GCM = attribute(_AEAD, struct.pack("=64sII", b"rfc4106(gcm(aes))", 160, 128) + bytes(20))
_CBC = attribute(_ENCRYPTION, struct.pack("=64sI", b"cbc(aes)", 128) + bytes(16))
_SHA256 = attribute(_AUTH_TRUNCATED, struct.pack("=64sII", b"hmac(sha256)", 256, 128) + bytes(32))
_UDP = attribute(
    _ENCAPSULATION,
    struct.pack("=H", _ESP_IN_UDP)
    + struct.pack("!HH2x16x", _NAT_TRAVERSAL_PORT, _NAT_TRAVERSAL_PORT),
)


def _association(source: str, destination: str, spi: int) -> bytes:
    """``struct xfrm_usersa_info`` of an ESP tunnel."""
    far, near = ip_address(destination), ip_address(source)
    family = socket.AF_INET if far.version == 4 else socket.AF_INET6
    selector = bytes(56)  # everything
    identity = struct.pack("=16s", far.packed) + struct.pack("!IB3x", spi, _ESP)
    lifetimes = struct.pack("=4Q", *[_FOREVER] * 4) + bytes(32)
    counters = bytes(32 + 12)
    tail = struct.pack("=IIHBBB7x", 0, 1, family, _TUNNEL_MODE, 32, 0)
    return selector + identity + near.packed.ljust(16, b"\0") + lifetimes + counters + tail


_KINDS = (
    ("AES-GCM", "192.0.2.1", "192.0.2.2", _GCM),
    ("AES-CBC with HMAC-SHA-256", "192.0.2.1", "192.0.2.2", _CBC + _SHA256),
    ("AES-GCM over IPv6", "2001:db8::1", "2001:db8::2", _GCM),
    ("AES-CBC with HMAC-SHA-256 over IPv6", "2001:db8::1", "2001:db8::2", _CBC + _SHA256),
    ("ESP in UDP", "192.0.2.1", "192.0.2.2", _CBC + _SHA256 + _UDP),
)


def xfrm(context: Context) -> str:
    """Ask how many security associations there are."""
    del context
    with NetlinkSocket(_NETLINK_XFRM) as ipsec:
        ipsec.run(Request(_GET_SA_COUNTS, 0, struct.pack("=I", 0), "use XFRM, the IPsec core"))
    return ""


def esp(context: Context) -> str:
    """Add security associations; there is ESP when one can be added for IPv4 and for IPv6."""
    del context
    works: list[str] = []
    refused: list[str] = []
    families: set[str] = set()
    with NetlinkSocket(_NETLINK_XFRM) as ipsec:
        for number, (name, source, destination, algorithms) in enumerate(_KINDS):
            body = _association(source, destination, _SPI + number) + algorithms
            try:
                ipsec.run(Request(_NEW_SA, NLM_F_CREATE, body, f"add an ESP association ({name})"))
            except KernelError as error:
                refused.append(f"{name}: {error.what.rpartition(': ')[2]}")
            else:
                works.append(name)
                families.add(source)
    if len(families) < 2:
        raise KernelError(f"no ESP ({'; '.join(refused)})")
    without = f"; not {'; '.join(refused)}" if refused else ""
    return f"{', '.join(works)}{without}"
