"""Cutting packets into fragments: IPv4 (RFC 791 sec. 3.2) and IPv6 (RFC 8200 sec. 4.5)."""

from __future__ import annotations

from testbed.components.packet import ipv6
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.ipv4 import (
    DONT_FRAGMENT,
    MINIMUM_HEADER,
    MORE_FRAGMENTS,
    OFFSET_MASK,
    parse_ipv4,
    set_header_checksum,
)

_UNIT = 8
_COPIED = 0x80


def fragment_ipv4(packet: bytes, mtu: int) -> list[bytes]:
    """Cut an IPv4 packet into fragments of at most ``mtu`` bytes.

    A packet that fits comes back alone and unchanged.  A fragment is cut into smaller fragments of
    the same datagram.  Options follow RFC 791: all in the first fragment, those with the copied
    flag in the others.  The DF bit is the caller's business; the fragments do not carry it.

    Raises:
        MalformedPacketError: not an IPv4 packet, broken options, or no room for 8 bytes of payload.
    """
    header = parse_ipv4(packet)
    total = header.total_length
    if total <= mtu:
        return [packet[:total]]
    first_header = packet[: header.header_length]
    later_header = first_header
    if header.header_length > MINIMUM_HEADER and not header.flags_offset & OFFSET_MASK:
        later_header = _with_copied_options(first_header)
    unit_at = header.flags_offset & OFFSET_MASK
    payload = packet[header.header_length : total]
    fragments: list[bytes] = []
    done = 0
    while done < len(payload):
        head = bytearray(first_header if done == 0 else later_header)
        room = mtu - len(head)
        rest = len(payload) - done
        size = rest if rest <= room else room // _UNIT * _UNIT
        if size <= 0:
            raise MalformedPacketError(f"no room for a fragment within {mtu} bytes")
        last = done + size == len(payload) and not header.more_fragments
        word = unit_at + done // _UNIT | (0 if last else MORE_FRAGMENTS)
        word |= header.flags_offset & ~(DONT_FRAGMENT | MORE_FRAGMENTS | OFFSET_MASK)
        head[2:4] = (len(head) + size).to_bytes(2, "big")
        head[6:8] = word.to_bytes(2, "big")
        set_header_checksum(head)
        fragments.append(bytes(head) + payload[done : done + size])
        done += size
    return fragments


def _with_copied_options(header: bytes) -> bytes:
    """The header with only those options that every fragment carries."""
    kept = bytearray()
    at = MINIMUM_HEADER
    while at < len(header):
        kind = header[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        length = header[at + 1] if at + 1 < len(header) else 0
        if length < 2 or at + length > len(header):
            raise MalformedPacketError("IPv4 option length")
        if kind & _COPIED:
            kept += header[at : at + length]
        at += length
    kept += bytes(-len(kept) % 4)
    return bytes([0x40 | (MINIMUM_HEADER + len(kept)) // 4]) + header[1:MINIMUM_HEADER] + kept


def fragment_ipv6(packet: bytes, mtu: int, identification: int) -> list[bytes]:
    """Cut an IPv6 packet without extension headers into fragments of at most ``mtu`` bytes.

    A packet that fits comes back alone and unchanged.  Only the packet's source may do this
    (RFC 8200 sec. 5), for example the entry of a tunnel.

    Raises:
        MalformedPacketError: not an IPv6 packet, extension headers, or no room for a fragment.
    """
    header = ipv6.parse_ipv6(packet)
    end = ipv6.HEADER_LENGTH + header.payload_length
    if end <= mtu:
        return [packet[:end]]
    upper = ipv6.upper_layer(packet, header)
    if upper.offset != ipv6.HEADER_LENGTH:
        raise MalformedPacketError("fragmenting behind IPv6 extension headers")
    room = (mtu - ipv6.HEADER_LENGTH - ipv6.FRAGMENT_HEADER.size) // _UNIT * _UNIT
    if room <= 0:
        raise MalformedPacketError(f"no room for a fragment within {mtu} bytes")
    payload = packet[ipv6.HEADER_LENGTH : end]
    fragments = []
    for at in range(0, len(payload), room):
        piece = payload[at : at + room]
        more = at + room < len(payload)
        head = ipv6.FRAGMENT_HEADER.pack(header.next_header, 0, at | more, identification)
        fragments.append(
            packet[:4]
            + (len(head) + len(piece)).to_bytes(2, "big")
            + bytes((ipv6.FRAGMENT, header.hop_limit))
            + packet[8 : ipv6.HEADER_LENGTH]
            + head
            + piece
        )
    return fragments
