"""ICMP (RFC 792) and ICMPv6 (RFC 4443) errors: building them and reading the packet they quote."""

from __future__ import annotations

import struct
from typing import NamedTuple

from testbed.components.packet import ipv6
from testbed.components.packet.checksum import Buffer, checksum, pseudo_header_sum
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.ipv4 import (
    OFFSET_MASK,
    IPv4Header,
    build_ipv4,
    is_unicast_source,
    parse_quoted_ipv4,
)
from testbed.components.packet.ipv6 import IPv6Header, parse_quoted_ipv6
from testbed.components.packet.transport import ICMP, ICMP_HEADER, ICMPV6

ECHO_REPLY = 0
UNREACHABLE = 3
SOURCE_QUENCH = 4
REDIRECT = 5
ECHO_REQUEST = 8
TIME_EXCEEDED = 11
PARAMETER_PROBLEM = 12
TIMESTAMP = 13
TIMESTAMP_REPLY = 14

HOST_UNREACHABLE = 1
PROTOCOL_UNREACHABLE = 2
PORT_UNREACHABLE = 3
FRAGMENTATION_NEEDED = 4
ADMINISTRATIVELY_PROHIBITED = 13

QUERY_REQUESTS = frozenset((ECHO_REQUEST, TIMESTAMP, 15, 17))
QUERY_REPLIES = frozenset((ECHO_REPLY, TIMESTAMP_REPLY, 16, 18))
"""Messages with an identifier (echo, timestamp, information, address mask; RFC 5508 sec. 2)."""
QUERIES = QUERY_REQUESTS | QUERY_REPLIES
ERRORS = frozenset((UNREACHABLE, SOURCE_QUENCH, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM))

V6_UNREACHABLE = 1
V6_PACKET_TOO_BIG = 2
V6_TIME_EXCEEDED = 3
V6_PARAMETER_PROBLEM = 4
V6_ECHO_REQUEST = 128
V6_ECHO_REPLY = 129
_V6_REDIRECT = 137

_ICMPV4_ERROR_SIZE = 576
"""RFC 1812 sec. 4.3.2.3: quote as much as fits, the whole error at most 576 bytes."""
_ICMPV6_ERROR_SIZE = 1280
"""RFC 4443 sec. 2.4 (c): the minimum IPv6 MTU."""
_INTERNETWORK_CONTROL = 0xC0
"""RFC 1812 sec. 4.3.2.5: precedence 6 for ICMP errors."""

_HEAD = struct.Struct("!BBHI")


class QuotedIPv4(NamedTuple):
    """The IPv4 packet inside an ICMP error; all offsets count from the start of the whole packet.

    ``transport_at``..``end`` is what is present of its payload.
    """

    header: IPv4Header
    offset: int
    transport_at: int
    end: int


class QuotedIPv6(NamedTuple):
    """The IPv6 packet inside an ICMPv6 error; offsets as in :class:`QuotedIPv4`.

    ``payload_at`` is where the bytes after the fixed header begin.
    """

    header: IPv6Header
    offset: int
    payload_at: int
    end: int


def quoted_ipv4(packet: Buffer, icmp_at: int, end: int) -> QuotedIPv4:
    """The packet quoted by the ICMP error whose header stands at ``icmp_at``.

    Raises:
        MalformedPacketError: the quoted header is cut off or broken.
    """
    offset = icmp_at + ICMP_HEADER
    header = parse_quoted_ipv4(packet[offset:end])
    return QuotedIPv4(
        header, offset, offset + header.header_length, min(end, offset + header.total_length)
    )


def quoted_ipv6(packet: Buffer, icmp_at: int, end: int) -> QuotedIPv6:
    """The packet quoted by the ICMPv6 error whose header stands at ``icmp_at``.

    Raises:
        MalformedPacketError: the quoted header is cut off or broken.
    """
    offset = icmp_at + ICMP_HEADER
    header = parse_quoted_ipv6(packet[offset:end])
    payload_at = offset + ipv6.HEADER_LENGTH
    return QuotedIPv6(header, offset, payload_at, min(end, payload_at + header.payload_length))


def may_answer_ipv4(packet: Buffer, header: IPv4Header) -> bool:
    """Whether an ICMP error may be sent about this packet (RFC 1812 sec. 4.3.2.7).

    Not about an ICMP error, a fragment other than the first, a packet to broadcast or multicast,
    or one whose source does not name a single host.
    """
    if header.flags_offset & OFFSET_MASK or not is_unicast_source(header.source):
        return False
    if header.destination >> 28 >= 14:  # multicast, class E, broadcast
        return False
    if header.protocol == ICMP:
        at = header.header_length
        return at < len(packet) and packet[at] in QUERIES
    return True


def build_icmpv4_error(
    original: Buffer,
    *,
    source: int,
    destination: int,
    icmp_type: int,
    code: int,
    rest: int = 0,
    ttl: int = 64,
) -> bytes:
    """An ICMP error from ``source`` that quotes ``original``, sent to ``destination``.

    ``rest`` is the second 32-bit word of the ICMP header (the next-hop MTU for fragmentation
    needed, RFC 1191 sec. 4).  The caller has asked ``may_answer_ipv4``.
    """
    quote = bytes(original[: _ICMPV4_ERROR_SIZE - 20 - ICMP_HEADER])
    message = bytearray(_HEAD.pack(icmp_type, code, 0, rest) + quote)
    message[2:4] = checksum(message).to_bytes(2, "big")
    return build_ipv4(source, destination, ICMP, message, ttl=ttl, tos=_INTERNETWORK_CONTROL)


def may_answer_ipv6(packet: Buffer, header: IPv6Header, *, too_big: bool = False) -> bool:
    """Whether an ICMPv6 error may be sent about this packet (RFC 4443 sec. 2.4 (e)).

    Packet too big is the one error that may answer a multicast packet.
    """
    if header.source[0] == 0xFF or not any(header.source):
        return False
    if header.destination[0] == 0xFF and not too_big:
        return False
    try:
        upper = ipv6.upper_layer(packet, header)
    except MalformedPacketError:
        return False
    if upper.protocol != ICMPV6:
        return True
    if upper.fragment is not None and upper.fragment.offset:
        return False
    kind = packet[upper.offset] if upper.offset < len(packet) else 0
    return kind >= 128 and kind != _V6_REDIRECT


def build_icmpv6_error(
    original: Buffer,
    *,
    source: bytes,
    destination: bytes,
    icmp_type: int,
    code: int,
    rest: int = 0,
    hop_limit: int = 64,
) -> bytes:
    """An ICMPv6 error from ``source`` that quotes ``original``, sent to ``destination``.

    ``rest`` is the second word of the ICMPv6 header (the MTU for packet too big).  The caller has
    asked ``may_answer_ipv6``.
    """
    quote = bytes(original[: _ICMPV6_ERROR_SIZE - ipv6.HEADER_LENGTH - ICMP_HEADER])
    message = bytearray(_HEAD.pack(icmp_type, code, 0, rest) + quote)
    set_icmpv6_checksum(message, source, destination)
    return ipv6.build_ipv6(source, destination, ICMPV6, message, hop_limit=hop_limit)


def set_icmpv6_checksum(message: bytearray, source: bytes, destination: bytes) -> None:
    """Compute an ICMPv6 message's checksum in place (RFC 4443 sec. 2.3)."""
    message[2:4] = b"\0\0"
    pseudo = pseudo_header_sum(
        int.from_bytes(source, "big"), int.from_bytes(destination, "big"), ICMPV6, len(message)
    )
    message[2:4] = checksum(message, pseudo).to_bytes(2, "big")
