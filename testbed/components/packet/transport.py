"""TCP, UDP, ICMP and ICMPv6 fields, read and written in place.

Functions take the packet, the offset of the transport header and the end of the IP payload, so that
nothing is copied.  They check what they read and raise :class:`MalformedPacketError` only.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from testbed.components.packet.checksum import Buffer, adjust, difference
from testbed.components.packet.errors import MalformedPacketError

ICMP = 1
IPIP = 4
TCP = 6
UDP = 17
ICMPV6 = 58

PROTOCOL_NAMES = {ICMP: "ICMP", IPIP: "IPv4", TCP: "TCP", UDP: "UDP", ICMPV6: "ICMPv6"}

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

TCP_HEADER = 20
UDP_HEADER = 8
ICMP_HEADER = 8

TCP_CHECKSUM_AT = 16
UDP_CHECKSUM_AT = 6
ICMP_CHECKSUM_AT = 2
ICMP_IDENTIFIER_AT = 4

_PORTS = struct.Struct("!HH")
_UDP = struct.Struct("!HHH")
_TCP = struct.Struct("!HHIIBB")
_TCP_BRIEF = struct.Struct("!HHxxxxxxxxBB")
_ICMP = struct.Struct("!BBHHH")
_WORD = struct.Struct("!H")


class TcpFields(NamedTuple):
    """The TCP fields a NAPT looks at (RFC 9293 sec. 3.1)."""

    source_port: int
    destination_port: int
    sequence: int
    acknowledgement: int
    data_offset: int
    flags: int


class IcmpFields(NamedTuple):
    """The first eight bytes of an ICMP message (RFC 792); ICMPv6 has the same shape.

    ``identifier`` and ``sequence`` are the two halves of the rest of the header, whatever they mean
    for this type.
    """

    type: int
    code: int
    checksum: int
    identifier: int
    sequence: int


def read_ports(packet: Buffer, offset: int, end: int) -> tuple[int, int]:
    """Source and destination port of TCP or UDP; needs only their first four bytes.

    Raises:
        MalformedPacketError: fewer than four bytes are there.
    """
    if offset + 4 > end:
        raise MalformedPacketError("transport header without ports")
    source, destination = _PORTS.unpack_from(packet, offset)
    return source, destination


def read_tcp(packet: Buffer, offset: int, end: int, *, fragment: bool = False) -> TcpFields:
    """The TCP header's fields; its fixed part must be whole, and its options unless ``fragment``.

    Raises:
        MalformedPacketError: the header is cut off or its data offset is impossible.
    """
    if offset + TCP_HEADER > end:
        raise MalformedPacketError(f"TCP header of {max(0, end - offset)} bytes")
    source, destination, sequence, acknowledgement, data_offset, flags = _TCP.unpack_from(
        packet, offset
    )
    length = (data_offset >> 4) * 4
    if length < TCP_HEADER or (length > end - offset and not fragment):
        raise MalformedPacketError(f"TCP data offset {length}")
    return TcpFields(source, destination, sequence, acknowledgement, length, flags)


def read_tcp_brief(
    packet: Buffer, offset: int, end: int, *, fragment: bool = False
) -> tuple[int, int, int]:
    """Source port, destination port and flags, with the checks of ``read_tcp``, for the fast path.

    Raises:
        MalformedPacketError: the header is cut off or its data offset is impossible.
    """
    if offset + TCP_HEADER > end:
        raise MalformedPacketError(f"TCP header of {max(0, end - offset)} bytes")
    source, destination, data_offset, flags = _TCP_BRIEF.unpack_from(packet, offset)
    length = (data_offset >> 4) * 4
    if length < TCP_HEADER or (length > end - offset and not fragment):
        raise MalformedPacketError(f"TCP data offset {length}")
    return source, destination, flags


def read_udp(packet: Buffer, offset: int, end: int, *, fragment: bool = False) -> tuple[int, int]:
    """Source and destination port of UDP; the header must be whole and its length possible.

    In a first ``fragment`` the length speaks of the whole datagram, so only its minimum is checked.

    Raises:
        MalformedPacketError: the header is cut off or its length is impossible.
    """
    if offset + UDP_HEADER > end:
        raise MalformedPacketError(f"UDP header of {max(0, end - offset)} bytes")
    source, destination, length = _UDP.unpack_from(packet, offset)
    if length < UDP_HEADER or (length > end - offset and not fragment):
        raise MalformedPacketError(f"UDP length {length} with {end - offset} bytes present")
    return source, destination


def read_icmp(packet: Buffer, offset: int, end: int) -> IcmpFields:
    """The eight bytes every ICMP message begins with.

    Raises:
        MalformedPacketError: fewer than eight bytes are there.
    """
    if offset + ICMP_HEADER > end:
        raise MalformedPacketError(f"ICMP header of {max(0, end - offset)} bytes")
    return IcmpFields._make(_ICMP.unpack_from(packet, offset))


def clamp_mss(packet: bytearray, offset: int, end: int, limit: int) -> bool:
    """Lower the MSS option of a TCP SYN in place to ``limit``; True when it was changed.

    Never raises the value and never adds the option (RFC 879: without it the peer uses 536).  A
    segment without SYN, or whose options are broken, is left alone: it is not ours to judge.
    ``packet[offset:end]`` must have passed ``read_tcp``.
    """
    if not packet[offset + 13] & SYN:
        return False
    stop = min(end, offset + (packet[offset + 12] >> 4) * 4)
    at = offset + TCP_HEADER
    while at < stop:
        kind = packet[at]
        if kind == 0:
            return False
        if kind == 1:
            at += 1
            continue
        if at + 2 > stop or packet[at + 1] < 2 or at + packet[at + 1] > stop:
            return False
        if kind == 2 and packet[at + 1] == 4:
            return _lower_mss(packet, offset, at, limit)
        at += packet[at + 1]
    return False


def _lower_mss(packet: bytearray, offset: int, at: int, limit: int) -> bool:
    (old,) = _WORD.unpack_from(packet, at + 2)
    if old <= limit:
        return False
    _WORD.pack_into(packet, at + 2, limit)
    delta = difference(old, limit)
    if (at + 2 - offset) & 1:
        # The value straddles two checksum words, so its bytes weigh the other way round.
        delta = delta * 256 % 0xFFFF
    (old_checksum,) = _WORD.unpack_from(packet, offset + TCP_CHECKSUM_AT)
    _WORD.pack_into(packet, offset + TCP_CHECKSUM_AT, adjust(old_checksum, delta))
    return True
