"""One line for a captured frame: link headers, then the IP packet in it."""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.evidence.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW
from testbed.evidence.report.ip_words import CutShortError, Frame, describe_ip, fields, piece

_IPV4, _IPV6, _ARP, _PPPOE = 0x0800, 0x86DD, 0x0806, 0x8864
_VLAN_TAGS = (0x8100, 0x88A8)
_PPP_IP = (0x0021, 0x0057)  # RFC 1332, RFC 5072


def describe_frame(data: bytes, link_type: int = LINKTYPE_ETHERNET) -> Frame:
    """The frame in one line. Never raises."""
    try:
        if link_type == LINKTYPE_RAW:
            return describe_ip(data)
        if link_type == LINKTYPE_ETHERNET:
            return _ethernet(data)
    except CutShortError:
        return Frame(f"{len(data)} bytes, cut short")
    return Frame(f"link type {link_type}, {len(data)} bytes")


def _ethernet(data: bytes) -> Frame:
    at, words = 12, ""
    (kind,) = fields("H", data, at)
    while kind in _VLAN_TAGS:
        tag, kind = fields("HH", data, at + 2)
        words += f"VLAN {tag & 0x0FFF} "
        at += 4
    body = data[at + 2 :]
    if kind in (_IPV4, _IPV6):
        inner = describe_ip(body)
        return Frame(words + inner.summary, inner.background)
    if kind == _PPPOE:
        (protocol,) = fields("H", body, 6)
        if protocol in _PPP_IP:
            return Frame(f"{words}PPPoE {describe_ip(body[8:]).summary}")
        return Frame(f"{words}PPPoE, PPP protocol 0x{protocol:04x}")
    if kind == _ARP:
        return Frame(words + _arp(body), background=True)
    return Frame(f"{words}EtherType 0x{kind:04x}, {len(body)} bytes", background=True)


def _arp(data: bytes) -> str:
    hardware, protocol, _, _, operation = fields("HHBBH", data)
    if (hardware, protocol) != (1, _IPV4):
        return f"ARP for hardware {hardware}, protocol 0x{protocol:04x}"
    sender, target = IPv4Address(piece(data, 14, 4)), IPv4Address(piece(data, 24, 4))
    if operation == 1:
        return f"ARP who has {target}? tell {sender}"
    if operation == 2:
        return f"ARP {sender} is at {piece(data, 8, 6).hex(':')}"
    return f"ARP operation {operation}"
