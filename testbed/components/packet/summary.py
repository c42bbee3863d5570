"""A packet's few telling fields, for events."""

from __future__ import annotations

from testbed.components.packet import ipv4, ipv6
from testbed.components.packet.checksum import Buffer
from testbed.components.packet.digest import packet_key
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.icmp import QUERIES
from testbed.components.packet.transport import (
    ICMP,
    ICMPV6,
    PROTOCOL_NAMES,
    TCP,
    UDP,
    read_icmp,
    read_ports,
)
from testbed.events import PacketSummary

HEAD = 128
"""Most bytes of the packet kept in a summary."""

_ICMP_NAMES = {
    0: "echo reply",
    3: "unreachable",
    4: "source quench",
    5: "redirect",
    8: "echo request",
    11: "time exceeded",
    12: "parameter problem",
    13: "timestamp",
    14: "timestamp reply",
}
_UNREACHABLE_NAMES = {
    0: "network unreachable",
    1: "host unreachable",
    2: "protocol unreachable",
    3: "port unreachable",
    4: "fragmentation needed",
    13: "administratively prohibited",
}
_ICMPV6_NAMES = {
    1: "unreachable",
    2: "packet too big",
    3: "time exceeded",
    4: "parameter problem",
    128: "echo request",
    129: "echo reply",
    133: "router solicitation",
    134: "router advertisement",
    135: "neighbour solicitation",
    136: "neighbour advertisement",
}

_Transport = tuple[int | None, int | None, str | None]


def summarize(packet: Buffer) -> PacketSummary:
    """Describe any bytes; never raises.

    For ICMP queries both ports are the identifier.  Bytes that are no IP packet have the protocol
    ``malformed`` and empty addresses.
    """
    try:
        return _summarize(packet)
    except MalformedPacketError:
        return PacketSummary(
            source="",
            destination="",
            protocol="malformed",
            length=len(packet),
            key=packet_key(packet),
            head=bytes(packet[:HEAD]).hex(),
        )


def _summarize(packet: Buffer) -> PacketSummary:
    version = packet[0] >> 4 if len(packet) else 0
    transport: _Transport
    if version == 4:
        header = ipv4.parse_quoted_ipv4(packet)
        source, destination = (
            ipv4.address_text(header.source),
            ipv4.address_text(header.destination),
        )
        protocol, later = header.protocol, header.fragment_offset > 0
        end = min(len(packet), header.total_length)
        transport = _transport(packet, protocol, header.header_length, end, later=later)
    elif version == 6:
        head = ipv6.parse_quoted_ipv6(packet)
        source, destination = ipv6.address_text(head.source), ipv6.address_text(head.destination)
        end = min(len(packet), ipv6.HEADER_LENGTH + head.payload_length)
        protocol, transport = _behind_ipv6(packet, head, end)
    else:
        raise MalformedPacketError(f"IP version {version}")
    return PacketSummary(
        source=source,
        destination=destination,
        protocol=PROTOCOL_NAMES.get(protocol, f"protocol {protocol}"),
        length=len(packet),
        source_port=transport[0],
        destination_port=transport[1],
        icmp=transport[2],
        key=packet_key(packet),
        head=bytes(packet[:HEAD]).hex(),
    )


def _behind_ipv6(packet: Buffer, header: ipv6.IPv6Header, end: int) -> tuple[int, _Transport]:
    try:
        upper = ipv6.upper_layer(packet, header)
    except MalformedPacketError:
        return header.next_header, (None, None, None)
    later = upper.fragment is not None and upper.fragment.offset > 0
    return upper.protocol, _transport(packet, upper.protocol, upper.offset, end, later=later)


def _transport(packet: Buffer, protocol: int, at: int, end: int, *, later: bool) -> _Transport:
    """Ports and ICMP name, where they are to be had."""
    if later:
        return None, None, None
    try:
        if protocol in {TCP, UDP}:
            source, destination = read_ports(packet, at, end)
            return source, destination, None
        if protocol == ICMP:
            fields = read_icmp(packet, at, end)
            names = _UNREACHABLE_NAMES if fields.type == 3 else {}
            number = fields.code if fields.type == 3 else fields.type
            name = names.get(number) or _ICMP_NAMES.get(fields.type, f"type {fields.type}")
            port = fields.identifier if fields.type in QUERIES else None
            return port, port, name
        if protocol == ICMPV6:
            fields = read_icmp(packet, at, end)
            port = fields.identifier if fields.type in {128, 129} else None
            return port, port, _ICMPV6_NAMES.get(fields.type, f"type {fields.type}")
    except MalformedPacketError:
        pass
    return None, None, None
