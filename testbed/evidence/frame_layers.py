"""Find the IP packets in a captured frame: the outer one and those it carries whole."""

from __future__ import annotations

import struct

from testbed.evidence.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW

_ETHERTYPE_AT = 12
_VLAN_TAGS = frozenset({0x8100, 0x88A8})
_IP = frozenset({0x0800, 0x86DD})
_PPPOE_SESSION = 0x8864  # RFC 2516
_PPP_IP = frozenset({0x0021, 0x0057})  # RFC 1332, RFC 5072
_IPIP = frozenset({4, 41})  # RFC 2003, RFC 2473
_IPV6_HEADER = 40
_IPV4_HEADER = 20
_DEPTH = 3


def ip_packets(data: bytes, link_type: int) -> list[bytes]:
    """The IP packet of a frame, then the one tunnelled in it, and so on; empty if there is none.

    Each ends where the frame ends, link padding included.
    """
    start = _network_layer(data, link_type)
    found: list[bytes] = []
    while start is not None and start < len(data) and len(found) < _DEPTH:
        packet = data[start:]
        found.append(packet)
        inner = _tunnelled(packet)
        start = None if inner is None else start + inner
    return found


def _network_layer(data: bytes, link_type: int) -> int | None:
    """Where the IP header begins."""
    if link_type == LINKTYPE_RAW:
        return 0
    if link_type != LINKTYPE_ETHERNET:
        return None
    at = _ETHERTYPE_AT
    while len(data) >= at + 2:
        (kind,) = struct.unpack_from("!H", data, at)
        if kind in _VLAN_TAGS:
            at += 4
            continue
        if kind in _IP:
            return at + 2
        if kind == _PPPOE_SESSION and len(data) >= at + 10:
            (protocol,) = struct.unpack_from("!H", data, at + 8)
            return at + 10 if protocol in _PPP_IP else None
        return None
    return None


def _tunnelled(packet: bytes) -> int | None:
    """Where the packet inside begins, for IP in IP without fragmentation or extension headers."""
    version = packet[0] >> 4
    if version == 6 and len(packet) > _IPV6_HEADER and packet[6] in _IPIP:
        return _IPV6_HEADER
    if version == 4 and len(packet) > _IPV4_HEADER and packet[9] in _IPIP:
        (fragment,) = struct.unpack_from("!H", packet, 6)
        header = (packet[0] & 0x0F) * 4
        return header if header >= _IPV4_HEADER and not fragment & 0x3FFF else None
    return None


def ip_length(head: bytes) -> int:
    """The length an IP packet states of itself, from its first bytes; at least those given."""
    version = head[0] >> 4 if head else 0
    stated = 0
    if version == 4 and len(head) >= 4:
        (stated,) = struct.unpack_from("!H", head, 2)
    elif version == 6 and len(head) >= 6:
        stated = _IPV6_HEADER + struct.unpack_from("!H", head, 4)[0]
    return max(stated, len(head))
