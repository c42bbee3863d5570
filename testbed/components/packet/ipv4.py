"""IPv4 headers (RFC 791): strict parsing, building, and the few fields a router changes."""

from __future__ import annotations

import struct
from typing import NamedTuple

from testbed.components.packet.checksum import Buffer, adjust, checksum
from testbed.components.packet.errors import MalformedPacketError

HEADER = struct.Struct("!BBHHHBBHII")
MINIMUM_HEADER = 20
DONT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000
OFFSET_MASK = 0x1FFF
FRAGMENT_MASK = MORE_FRAGMENTS | OFFSET_MASK

SOURCE_AT = 12
"""Where the source address stands; the destination follows it."""
DESTINATION_AT = 16
CHECKSUM_AT = 10

_HIGHEST_ADDRESS = 0xFFFFFFFF


class IPv4Header(NamedTuple):
    """The fixed part of an IPv4 header, field by field; addresses are integers."""

    version_ihl: int
    tos: int
    total_length: int
    identification: int
    flags_offset: int
    ttl: int
    protocol: int
    checksum: int
    source: int
    destination: int

    @property
    def header_length(self) -> int:
        """Bytes of header, options included."""
        return (self.version_ihl & 0x0F) * 4

    @property
    def dont_fragment(self) -> bool:
        """The DF bit."""
        return bool(self.flags_offset & DONT_FRAGMENT)

    @property
    def more_fragments(self) -> bool:
        """The MF bit."""
        return bool(self.flags_offset & MORE_FRAGMENTS)

    @property
    def fragment_offset(self) -> int:
        """Where this fragment's payload begins in the datagram, in bytes."""
        return (self.flags_offset & OFFSET_MASK) * 8

    @property
    def is_fragment(self) -> bool:
        """Whether this is a part of a datagram: MF is set or the offset is not 0."""
        return bool(self.flags_offset & FRAGMENT_MASK)


_make = IPv4Header._make
_unpack = HEADER.unpack_from


def parse_ipv4(packet: Buffer) -> IPv4Header:
    """Read and check the header of an IPv4 packet.

    Bytes after the total length (link padding) are allowed; ``trim_ipv4`` cuts them off.

    Raises:
        MalformedPacketError: short, wrong version, wrong lengths or wrong header checksum.
    """
    size = len(packet)
    if size < MINIMUM_HEADER:
        raise MalformedPacketError(f"IPv4 header of {size} bytes")
    header = _make(_unpack(packet))
    version_ihl = header[0]
    length = MINIMUM_HEADER if version_ihl == 0x45 else _header_length(version_ihl)
    total = header[2]
    if not length <= total <= size:
        raise MalformedPacketError(
            f"IPv4 total length {total} with a header of {length} and {size} bytes present"
        )
    if int.from_bytes(packet[:length], "big") % 0xFFFF:
        raise MalformedPacketError("IPv4 header checksum")
    return header


def parse_quoted_ipv4(packet: Buffer) -> IPv4Header:
    """Read the header of an IPv4 packet quoted in an ICMP error, of which the end may be missing.

    The header itself must be whole; the total length may exceed what is present.

    Raises:
        MalformedPacketError: short, wrong version or wrong header length.
    """
    size = len(packet)
    if size < MINIMUM_HEADER:
        raise MalformedPacketError(f"quoted IPv4 header of {size} bytes")
    header = _make(_unpack(packet))
    length = _header_length(header[0])
    if length > size:
        raise MalformedPacketError(f"quoted IPv4 header of {length} bytes, {size} present")
    if header[2] < length:
        raise MalformedPacketError(f"quoted IPv4 total length {header[2]} below its header")
    return header


def _header_length(version_ihl: int) -> int:
    if version_ihl >> 4 != 4:
        raise MalformedPacketError(f"IP version {version_ihl >> 4} instead of 4")
    length = (version_ihl & 0x0F) * 4
    if length < MINIMUM_HEADER:
        raise MalformedPacketError(f"IPv4 header length {length}")
    return length


def trim_ipv4(packet: bytes, header: IPv4Header) -> bytes:
    """The packet without link padding."""
    return packet if len(packet) == header.total_length else packet[: header.total_length]


def build_ipv4(
    source: int,
    destination: int,
    protocol: int,
    payload: Buffer,
    *,
    ttl: int = 64,
    identification: int = 0,
    flags_offset: int = 0,
    tos: int = 0,
) -> bytes:
    """An IPv4 packet without options; ``flags_offset`` is the raw 16-bit flags and offset word.

    Raises:
        MalformedPacketError: a field or the payload does not fit.
    """
    try:
        head = bytearray(
            HEADER.pack(
                0x45,
                tos,
                MINIMUM_HEADER + len(payload),
                identification,
                flags_offset,
                ttl,
                protocol,
                0,
                source,
                destination,
            )
        )
    except struct.error as error:
        raise MalformedPacketError(f"field out of range: {error}") from error
    set_header_checksum(head)
    return bytes(head) + payload


def set_header_checksum(packet: bytearray) -> None:
    """Compute the header checksum anew; the header length field must be right."""
    end = (packet[0] & 0x0F) * 4
    packet[CHECKSUM_AT : CHECKSUM_AT + 2] = b"\0\0"
    packet[CHECKSUM_AT : CHECKSUM_AT + 2] = checksum(packet[:end]).to_bytes(2, "big")


def decrement_ttl(packet: bytearray) -> None:
    """Take one from the TTL, which must be above 0, with its checksum (RFC 1141)."""
    packet[8] -= 1
    # The TTL is the high byte of its word, so the sum falls by 0x0100.
    old = int.from_bytes(packet[CHECKSUM_AT : CHECKSUM_AT + 2], "big")
    packet[CHECKSUM_AT : CHECKSUM_AT + 2] = adjust(old, -0x0100).to_bytes(2, "big")


def address_text(address: int) -> str:
    """The dotted form of an IPv4 address given as an integer."""
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def is_unicast_source(address: int) -> bool:
    """Whether an address may be a packet's source on the network.

    Not 0.0.0.0/8, 127/8, multicast, class E or broadcast (RFC 1122 sec. 3.2.1.3, RFC 1812
    sec. 5.3.7).
    """
    top = address >> 24
    return 0 < top < 224 and top != 127 and address != _HIGHEST_ADDRESS
