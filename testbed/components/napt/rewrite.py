"""Writing new addresses and ports into packets, checksums kept by RFC 1624."""

from __future__ import annotations

import struct
from typing import NamedTuple

from testbed.components.packet.checksum import adjust, adjust_udp, difference
from testbed.components.packet.ipv4 import IPv4Header
from testbed.components.packet.transport import (
    ICMP_CHECKSUM_AT,
    ICMP_IDENTIFIER_AT,
    TCP,
    TCP_CHECKSUM_AT,
    UDP,
    UDP_CHECKSUM_AT,
)

CHECKSUM_AND_ADDRESSES = struct.Struct("!HII")
"""The end of the fixed IPv4 header, from its checksum on."""

_PORTS = struct.Struct("!HH")
_WORD = struct.Struct("!H")


class Rewrite(NamedTuple):
    """The addresses and ports a packet shall have.

    ``address_delta`` and ``transport_delta`` are the checksum differences that come with it: of the
    addresses alone, and of all that the transport checksum covers.  For ICMP queries both ports are
    the identifier.
    """

    source: int
    source_port: int
    destination: int
    destination_port: int
    address_delta: int
    transport_delta: int


def rewrite_packet(
    packet: bytes, header: IPv4Header, change: Rewrite, identification: int | None = None
) -> bytes:
    """A whole packet or first fragment, TCP, UDP or ICMP query, with ``change`` applied.

    ``identification``: the new IPv4 identification, if that changes too.  The transport header must
    have been read, and so be present.
    """
    out = bytearray(packet)
    delta = change.address_delta
    if identification is not None:
        delta += _set_identification(out, header.identification, identification)
    CHECKSUM_AND_ADDRESSES.pack_into(
        out, 10, adjust(header.checksum, delta), change.source, change.destination
    )
    rewrite_transport(out, header.header_length, len(out), header.protocol, change)
    return bytes(out)


def rewrite_transport(out: bytearray, at: int, end: int, protocol: int, change: Rewrite) -> None:
    """Write the ports into the transport header at ``at``, and its checksum if it is present."""
    if protocol == TCP:
        _PORTS.pack_into(out, at, change.source_port, change.destination_port)
        at += TCP_CHECKSUM_AT
        if at + 2 <= end:
            (old,) = _WORD.unpack_from(out, at)
            _WORD.pack_into(out, at, adjust(old, change.transport_delta))
    elif protocol == UDP:
        _PORTS.pack_into(out, at, change.source_port, change.destination_port)
        at += UDP_CHECKSUM_AT
        if at + 2 <= end:
            (old,) = _WORD.unpack_from(out, at)
            _WORD.pack_into(out, at, adjust_udp(old, change.transport_delta))
    else:
        _WORD.pack_into(out, at + ICMP_IDENTIFIER_AT, change.source_port)
        (old,) = _WORD.unpack_from(out, at + ICMP_CHECKSUM_AT)
        _WORD.pack_into(out, at + ICMP_CHECKSUM_AT, adjust(old, change.transport_delta))


def rewrite_addresses(
    packet: bytes,
    header: IPv4Header,
    source: int,
    destination: int,
    identification: int | None = None,
) -> bytes:
    """A packet with new addresses and an untouched payload (a later fragment)."""
    out = bytearray(packet)
    delta = difference(header.source, source) + difference(header.destination, destination)
    if identification is not None:
        delta += _set_identification(out, header.identification, identification)
    CHECKSUM_AND_ADDRESSES.pack_into(out, 10, adjust(header.checksum, delta), source, destination)
    return bytes(out)


def _set_identification(out: bytearray, old: int, new: int) -> int:
    _WORD.pack_into(out, 4, new)
    return difference(old, new)
