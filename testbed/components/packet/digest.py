"""A short name for a packet that is the same wherever it is seen before translation."""

from __future__ import annotations

import hashlib

from testbed.components.packet.checksum import Buffer
from testbed.components.packet.transport import TCP, TCP_CHECKSUM_AT, UDP, UDP_CHECKSUM_AT

_CHECKSUM_AT = {TCP: TCP_CHECKSUM_AT, UDP: UDP_CHECKSUM_AT}


def packet_key(ip_packet: Buffer) -> str:
    """16 hexadecimal digits that identify an IP packet at every hop before translation.

    BLAKE2b over the packet without what changes on the way: IPv4 TTL and header checksum, IPv6 hop
    limit, link padding - and the TCP or UDP checksum, which a capture inside a host sees unfinished
    when the kernel leaves it to the (virtual) network card.  ECN and DSCP count: who changes them
    makes a different packet.  Never raises: bytes that are no IP packet are hashed as they are.
    """
    version = ip_packet[0] >> 4 if len(ip_packet) else 0
    if version == 4 and len(ip_packet) >= 20:
        data = _normal_ipv4(ip_packet)
    elif version == 6 and len(ip_packet) >= 40:
        data = _normal_ipv6(ip_packet)
    else:
        data = bytearray(ip_packet)
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _normal_ipv4(packet: Buffer) -> bytearray:
    total = int.from_bytes(packet[2:4], "big")
    data = bytearray(packet[:total] if total >= 20 else packet)
    data[8] = 0
    data[10:12] = b"\0\0"
    if not (data[6] & 0x3F or data[7]):  # a whole datagram
        _clear_checksum(data, (data[0] & 0x0F) * 4, data[9])
    return data


def _normal_ipv6(packet: Buffer) -> bytearray:
    data = bytearray(packet[: 40 + int.from_bytes(packet[4:6], "big")])
    data[7] = 0
    _clear_checksum(data, 40, data[6])
    return data


def _clear_checksum(data: bytearray, transport_at: int, protocol: int) -> None:
    at = _CHECKSUM_AT.get(protocol)
    if at is not None and transport_at + at + 2 <= len(data):
        data[transport_at + at : transport_at + at + 2] = b"\0\0"
