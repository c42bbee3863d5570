"""One line for an IP packet: addresses, ports, flags; tunnelled and quoted packets inside it.

Made for reading, not for judging: it believes lengths and ignores checksums, and where bytes are
missing it says so instead of failing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from testbed.evidence.report.icmp_names import (
    ICMP_ERRORS,
    ICMPV6_ERRORS,
    ICMPV6_HOUSEKEEPING,
    icmp_name,
    icmpv6_name,
)

_ICMP, _IN_IPV4, _TCP, _UDP, _IN_IPV6, _ICMPV6 = 1, 4, 6, 17, 41, 58
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _NO_NEXT, _DESTINATION = 0, 43, 44, 59, 60
_EXTENSIONS = (_HOP_BY_HOP, _ROUTING, _DESTINATION)
_NAMES = {
    _ICMP: "ICMP",
    2: "IGMP",
    _IN_IPV4: "IPv4",
    _TCP: "TCP",
    _UDP: "UDP",
    _IN_IPV6: "IPv6",
    47: "GRE",
    50: "ESP",
    51: "AH",
    _ICMPV6: "ICMPv6",
    _NO_NEXT: "no payload",
    89: "OSPF",
    115: "L2TPv3",
    132: "SCTP",
}
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
_ECHO = {_ICMP: (0, 8), _ICMPV6: (128, 129)}
_MAXIMUM_SEGMENT_SIZE = 2
_DEPTH = 4  # packets in packets that are followed


class CutShortError(Exception):
    """The bytes end before the header does."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame in words; ``background`` is what runs by itself on every link (ARP, ND, MLD)."""

    summary: str
    background: bool = False


def fields(layout: str, data: bytes, at: int = 0) -> tuple[int, ...]:
    """Integers in network byte order; CutShortError when the bytes do not suffice."""
    try:
        return struct.unpack_from("!" + layout, data, at)
    except struct.error:
        raise CutShortError from None


def piece(data: bytes, at: int, count: int) -> bytes:
    """``count`` bytes; CutShortError when there are fewer."""
    if len(data) < at + count:
        raise CutShortError
    return data[at : at + count]


@dataclass(frozen=True, slots=True)
class _Packet:
    """An IP packet after its headers: ``length`` bytes of payload by its header, ``body`` here."""

    source: str
    target: str
    protocol: int
    length: int
    body: bytes
    tail: str
    later_fragment: bool = False


def describe_ip(packet: bytes, depth: int = 0) -> Frame:
    """The packet in one line.

    Raises:
        CutShortError: even its IP header is not whole.
    """
    version = packet[0] >> 4 if packet else 0
    if version not in (4, 6):
        return Frame(f"no IP packet, {len(packet)} bytes")
    parsed = _ipv4(packet) if version == 4 else _ipv6(packet)
    words, ports, background = "", None, False
    if parsed.later_fragment:
        words = _name(parsed.protocol)
    elif parsed.protocol in (_IN_IPV4, _IN_IPV6) and depth < _DEPTH:
        inner = _inner(parsed.body, depth)
        return Frame(f"{_ends(parsed, None)} in IPv{version} | {inner.summary}")
    else:
        try:
            words, ports, background = _payload(parsed, depth)
        except CutShortError:
            words = f"{_name(parsed.protocol)} cut short"
    return Frame(f"{_ends(parsed, ports)} {words}, {parsed.tail}", background)


def _inner(packet: bytes, depth: int) -> Frame:
    try:
        return describe_ip(packet, depth + 1)
    except CutShortError:
        return Frame("cut short")


def _ipv4(packet: bytes) -> _Packet:
    first, _, total, ident, fragment, ttl, protocol = fields("BBHHHBB", packet)
    source, target = IPv4Address(piece(packet, 12, 4)), IPv4Address(piece(packet, 16, 4))
    header = max((first & 15) * 4, 20)
    length = max(total - header, 0)
    offset, more = (fragment & 0x1FFF) * 8, bool(fragment & 0x2000)
    tail = f"ttl {ttl}"
    if offset or more:
        tail = f"{_fragment(offset, length, ident, more)}, {tail}"
    body = packet[header : header + length]
    return _Packet(str(source), str(target), protocol, length, body, tail, offset > 0)


def _ipv6(packet: bytes) -> _Packet:
    _, length, protocol, limit = fields("IHBB", packet)
    source, target = IPv6Address(piece(packet, 8, 16)), IPv6Address(piece(packet, 24, 16))
    body = packet[40 : 40 + length]
    tail, offset = f"hop limit {limit}", 0
    while not offset and (protocol in _EXTENSIONS or protocol == _FRAGMENT):
        if len(body) < 8:
            tail = f"extension headers cut short, {tail}"
            break
        following, size, field, ident = fields("BBHI", body)
        step = 8
        if protocol == _FRAGMENT:
            offset = field & 0xFFF8
            if offset or field & 1:
                tail = f"{_fragment(offset, length - 8, ident, bool(field & 1))}, {tail}"
        else:
            step = (size + 1) * 8
        protocol, body, length = following, body[step:], max(length - step, 0)
    return _Packet(str(source), str(target), protocol, length, body, tail, offset > 0)


def _fragment(offset: int, length: int, ident: int, more: bool) -> str:
    follow = ", more follow" if more else ""
    return f"fragment {offset}+{length} of id {ident}{follow}"


def _name(protocol: int) -> str:
    return _NAMES.get(protocol, f"protocol {protocol}")


def _ends(packet: _Packet, ports: tuple[int, int] | None) -> str:
    if ports is None:
        return f"{packet.source} > {packet.target}"
    one, two = (
        f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        for address, port in zip((packet.source, packet.target), ports, strict=True)
    )
    return f"{one} > {two}"


_Words = tuple[str, tuple[int, int] | None, bool]


def _payload(packet: _Packet, depth: int) -> _Words:
    """What the packet carries, its ports, and whether it is background."""
    if packet.protocol == _TCP:
        return _tcp(packet)
    if packet.protocol == _UDP:
        source, target, length = fields("HHH", packet.body)
        return f"UDP len {max(length - 8, 0)}", (source, target), False
    if packet.protocol == _ICMP:
        return _icmp(packet, depth), None, False
    if packet.protocol == _ICMPV6:
        (kind,) = fields("B", packet.body)
        return _icmp(packet, depth), None, kind in ICMPV6_HOUSEKEEPING
    return f"{_name(packet.protocol)} len {packet.length}", None, packet.protocol == 2


def _tcp(packet: _Packet) -> _Words:
    source, target, seq, ack, offset, flags, window = fields("HHIIBBH", packet.body)
    names = [name for bit, name in enumerate(_FLAGS) if flags & 1 << bit]
    words = [f"TCP {' '.join(names) or 'no flags'} seq {seq}"]
    if flags & 0x10:
        words.append(f"ack {ack}")
    words.append(f"win {window}")
    size = (offset >> 4) * 4
    mss = _mss(packet.body[20:size])
    if mss is not None:
        words.append(f"mss {mss}")
    words.append(f"len {max(packet.length - size, 0)}")
    return " ".join(words), (source, target), False


def _mss(options: bytes) -> int | None:
    at = 0
    while at + 1 < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
        elif options[at] == _MAXIMUM_SEGMENT_SIZE and at + 4 <= len(options):
            return int.from_bytes(options[at + 2 : at + 4], "big")
        else:
            at += max(options[at + 1], 2)
    return None


def _icmp(packet: _Packet, depth: int) -> str:
    six = packet.protocol == _ICMPV6
    kind, code = fields("BB", packet.body)
    words = [_name(packet.protocol), icmpv6_name(kind, code) if six else icmp_name(kind, code)]
    if kind in _ECHO[packet.protocol]:
        ident, sequence = fields("HH", packet.body, 4)
        words.append(f"id {ident} seq {sequence} len {max(packet.length - 8, 0)}")
    elif (six and kind == 2) or (not six and (kind, code) == (3, 4)):
        mtu = fields("I", packet.body, 4)[0] if six else fields("H", packet.body, 6)[0]
        words.append(f"MTU {mtu}")
    elif six and kind in (135, 136):
        words.append(f"for {IPv6Address(piece(packet.body, 8, 16))}")
    if kind in (ICMPV6_ERRORS if six else ICMP_ERRORS) and depth < _DEPTH:
        words.append(f"({_inner(packet.body[8:], depth).summary})")
    return " ".join(words)
