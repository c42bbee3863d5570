"""IPv4 in IPv6 (RFC 2473), with the DSCP copied and ECN kept truthful (RFC 2983, RFC 6040)."""

from __future__ import annotations

from testbed.components.packet.checksum import adjust
from testbed.components.packet.ipv4 import CHECKSUM_AT, IPv4Header
from testbed.components.packet.ipv6 import HEADER, IPv6Header
from testbed.components.packet.transport import IPIP

OVERHEAD = 40
"""Bytes the tunnel adds to each packet."""

_ECN = 0x03
_ECT_0, _ECT_1, _CE = 2, 1, 3


def encapsulate(packet: bytes, source: bytes, destination: bytes, hop_limit: int = 64) -> bytes:
    """The IPv4 ``packet`` behind an IPv6 header whose traffic class is the packet's TOS byte.

    Copying ECN is RFC 6040's normal mode.  No encapsulation limit option is added: there is no
    nesting here, and other CEs do not send it.
    """
    return (
        HEADER.pack(0x60000000 | packet[1] << 20, len(packet), IPIP, hop_limit, source, destination)
        + packet
    )


def propagate_ecn(outer: IPv6Header, inner: IPv4Header, packet: bytes) -> bytes | None:
    """The decapsulated ``packet`` with the congestion mark the tunnel put on the outer header.

    RFC 6040 sec. 4.2, figure 4.  ``None``: the packet must be dropped, because the path marked
    congestion (CE) and the sender cannot understand the mark (Not-ECT).
    """
    marked = outer.version_class_flow >> 20 & _ECN
    if marked in {0, _ECT_0}:
        return packet
    was = inner.tos & _ECN
    if marked == _CE:
        if was == 0:
            return None
        now = _CE
    else:
        now = _ECT_1 if was == _ECT_0 else was
    if now == was:
        return packet
    changed = bytearray(packet)
    changed[1] = inner.tos & ~_ECN | now
    changed[CHECKSUM_AT : CHECKSUM_AT + 2] = adjust(inner.checksum, now - was).to_bytes(2, "big")
    return bytes(changed)
