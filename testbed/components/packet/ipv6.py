"""IPv6 headers and the extension header chain (RFC 8200)."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from testbed.components.packet.checksum import Buffer
from testbed.components.packet.errors import MalformedPacketError

HEADER = struct.Struct("!IHBB16s16s")
HEADER_LENGTH = 40
HOP_LIMIT_AT = 7

HOP_BY_HOP = 0
ROUTING = 43
FRAGMENT = 44
DESTINATION_OPTIONS = 60
NO_NEXT_HEADER = 59
_SKIPPED = frozenset((HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS))
_MOST_EXTENSIONS = 8

FRAGMENT_HEADER = struct.Struct("!BBHI")


class IPv6Header(NamedTuple):
    """The fixed IPv6 header; addresses are their 16 bytes."""

    version_class_flow: int
    payload_length: int
    next_header: int
    hop_limit: int
    source: bytes
    destination: bytes

    @property
    def traffic_class(self) -> int:
        """DSCP and ECN, as IPv4's TOS byte."""
        return self.version_class_flow >> 20 & 0xFF


class FragmentHeader(NamedTuple):
    """A fragment header (RFC 8200 sec. 4.5); ``offset`` in bytes, ``position`` in the packet."""

    position: int
    next_header: int
    offset: int
    more: bool
    identification: int


class UpperLayer(NamedTuple):
    """What follows the extension headers: its protocol, where it begins, the fragment if it is one.

    ``next_header_at`` is where the number ``protocol`` itself stands.
    """

    protocol: int
    offset: int
    next_header_at: int
    fragment: FragmentHeader | None


_make = IPv6Header._make
_unpack = HEADER.unpack_from


def parse_ipv6(packet: Buffer) -> IPv6Header:
    """Read and check the fixed header.  Bytes after the payload length (padding) are allowed.

    Raises:
        MalformedPacketError: short, wrong version, or less present than the payload length says.
    """
    size = len(packet)
    if size < HEADER_LENGTH:
        raise MalformedPacketError(f"IPv6 header of {size} bytes")
    header = _make(_unpack(packet))
    if header[0] >> 28 != 6:
        raise MalformedPacketError(f"IP version {header[0] >> 28} instead of 6")
    if HEADER_LENGTH + header[1] > size:
        raise MalformedPacketError(
            f"IPv6 payload length {header[1]} with {size - HEADER_LENGTH} bytes present"
        )
    return header


def parse_quoted_ipv6(packet: Buffer) -> IPv6Header:
    """As ``parse_ipv6`` for a packet quoted in an ICMPv6 error, of which the end may be missing."""
    if len(packet) < HEADER_LENGTH:
        raise MalformedPacketError(f"quoted IPv6 header of {len(packet)} bytes")
    header = _make(_unpack(packet))
    if header[0] >> 28 != 6:
        raise MalformedPacketError(f"quoted IP version {header[0] >> 28} instead of 6")
    return header


def upper_layer(packet: Buffer, header: IPv6Header) -> UpperLayer:
    """Walk the extension headers to the upper layer, or to the first fragment header's payload.

    Raises:
        MalformedPacketError: a header is cut off, or there are more than eight of them.
    """
    protocol = header.next_header
    offset = HEADER_LENGTH
    next_header_at = 6
    end = min(len(packet), HEADER_LENGTH + header.payload_length)
    fragment = None
    for _ in range(_MOST_EXTENSIONS):
        if protocol in _SKIPPED:
            if offset + 8 > end:
                raise MalformedPacketError("IPv6 extension header cut off")
            length = (packet[offset + 1] + 1) * 8
            if offset + length > end:
                raise MalformedPacketError("IPv6 extension header cut off")
        elif protocol == FRAGMENT:
            if fragment is not None:
                raise MalformedPacketError("two IPv6 fragment headers")
            fragment = _fragment_header(packet, offset, end)
            length = 8
        else:
            return UpperLayer(protocol, offset, next_header_at, fragment)
        next_header_at = offset
        protocol = packet[offset]
        offset += length
        if fragment is not None and fragment.offset:
            # What follows is the middle of something, not a header.
            return UpperLayer(protocol, offset, next_header_at, fragment)
    raise MalformedPacketError(f"more than {_MOST_EXTENSIONS} IPv6 extension headers")


def _fragment_header(packet: Buffer, offset: int, end: int) -> FragmentHeader:
    if offset + FRAGMENT_HEADER.size > end:
        raise MalformedPacketError("IPv6 fragment header cut off")
    protocol, _, word, identification = FRAGMENT_HEADER.unpack_from(packet, offset)
    return FragmentHeader(offset, protocol, word & 0xFFF8, bool(word & 1), identification)


def build_ipv6(
    source: bytes,
    destination: bytes,
    next_header: int,
    payload: Buffer,
    *,
    hop_limit: int = 64,
    traffic_class: int = 0,
    flow_label: int = 0,
) -> bytes:
    """An IPv6 packet with ``payload`` behind the fixed header.

    Raises:
        MalformedPacketError: a field or the payload does not fit.
    """
    if len(source) != 16 or len(destination) != 16:
        raise MalformedPacketError("an IPv6 address has 16 bytes")
    try:
        head = HEADER.pack(
            0x60000000 | traffic_class << 20 | flow_label,
            len(payload),
            next_header,
            hop_limit,
            source,
            destination,
        )
    except struct.error as error:
        raise MalformedPacketError(f"field out of range: {error}") from error
    return head + payload


def address_text(address: bytes) -> str:
    """The canonical text of a 16-byte address (RFC 5952)."""
    return socket.inet_ntop(socket.AF_INET6, address)
