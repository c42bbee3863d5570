"""From a parsed packet to the way it goes: reads the flow, asks the decider, says what to write."""

from __future__ import annotations

from typing import NamedTuple

from testbed.components.napt.decide import Decider, Refusal
from testbed.components.napt.reasons import DropReason
from testbed.components.napt.rewrite import Rewrite
from testbed.components.packet.icmp import QUERIES, QUERY_REPLIES, QUERY_REQUESTS
from testbed.components.packet.ipv4 import IPv4Header
from testbed.components.packet.transport import (
    ICMP,
    TCP,
    UDP,
    read_icmp,
    read_tcp_brief,
    read_udp,
)

UNUSABLE = frozenset((0, 127, *range(224, 256)))
"""First octets of addresses that are never translated (RFC 1812 sec. 5.3.7)."""

_BAD_ADDRESS = Refusal(DropReason.BAD_ADDRESS)
_PORTLESS = Refusal(DropReason.PORTLESS_PROTOCOL)
_ICMP_TYPE = Refusal(DropReason.ICMP_TYPE)
_UNSOLICITED = Refusal(DropReason.ICMP_UNSOLICITED_QUERY)


class Way(NamedTuple):
    """How a packet goes on: what is written into it, to which side, to which port of the remote."""

    change: Rewrite
    to_inside: bool
    port: int


def way_out(
    decider: Decider, packet: bytes, header: IPv4Header, now: float, *, fragment: bool = False
) -> Way | Refusal:
    """The way of a packet from the inside: out, or back in by hairpin.

    Not for ICMP errors.  ``fragment``: it is the first fragment of a datagram.

    Raises:
        MalformedPacketError: the transport header is broken.
    """
    source, destination = header.source, header.destination
    if source >> 24 in UNUSABLE or destination >> 24 in UNUSABLE:
        return _BAD_ADDRESS
    protocol = header.protocol
    at, end = header.header_length, header.total_length
    if protocol == TCP:
        source_port, port, flags = read_tcp_brief(packet, at, end, fragment=fragment)
    elif protocol == UDP:
        source_port, port = read_udp(packet, at, end, fragment=fragment)
        flags = 0
    elif protocol == ICMP:
        return _query_out(decider, packet, header, now)
    else:
        return _PORTLESS
    if destination in decider.addresses and decider.pool.owns(protocol, destination, port):
        if header.ttl <= 1:
            return Refusal(DropReason.TTL_EXCEEDED, answer=True)
        return _hairpin(decider, protocol, (source, source_port), (destination, port), flags, now)
    mapping = decider.outgoing(protocol, (source, source_port), (destination, port), flags, now)
    if isinstance(mapping, Refusal):
        return mapping
    outside = mapping.outside
    return Way(
        Rewrite(
            outside.address,
            outside.port,
            destination,
            port,
            mapping.address_delta,
            mapping.transport_delta,
        ),
        to_inside=False,
        port=port,
    )


def _query_out(decider: Decider, packet: bytes, header: IPv4Header, now: float) -> Way | Refusal:
    fields = read_icmp(packet, header.header_length, header.total_length)
    if fields.type not in QUERY_REQUESTS:
        return _UNSOLICITED if fields.type in QUERY_REPLIES else _ICMP_TYPE
    if header.destination in decider.addresses:
        return Refusal(DropReason.ICMP_HAIRPIN_QUERY)
    mapping = decider.outgoing(
        ICMP, (header.source, fields.identifier), (header.destination, 0), 0, now
    )
    if isinstance(mapping, Refusal):
        return mapping
    port = mapping.outside.port
    change = Rewrite(
        mapping.outside.address,
        port,
        header.destination,
        port,
        mapping.address_delta,
        mapping.transport_delta,
    )
    return Way(change, to_inside=False, port=port)


def _hairpin(
    decider: Decider,
    protocol: int,
    inside: tuple[int, int],
    outside: tuple[int, int],
    flags: int,
    now: float,
) -> Way | Refusal:
    """From one inside host to another through our own outside address.

    The receiver sees the sender's outside address and port (RFC 4787 REQ-9a).
    """
    if (protocol, *outside) not in decider.table.by_outside:
        return Refusal(DropReason.NO_MAPPING)
    sender = decider.outgoing(protocol, inside, outside, flags, now)
    if isinstance(sender, Refusal):
        return sender
    receiver = decider.incoming(protocol, outside, sender.outside, flags, now)
    if isinstance(receiver, Refusal):
        return receiver
    change = Rewrite(
        *sender.outside,
        *receiver.inside,
        sender.address_delta - receiver.address_delta,
        sender.transport_delta - receiver.transport_delta,
    )
    return Way(change, to_inside=True, port=outside[1])


def way_in(
    decider: Decider, packet: bytes, header: IPv4Header, now: float, *, fragment: bool = False
) -> Way | Refusal:
    """The way of a packet from the outside; not for ICMP errors.

    Raises:
        MalformedPacketError: the transport header is broken.
    """
    source, destination = header.source, header.destination
    if source >> 24 in UNUSABLE or destination >> 24 in UNUSABLE:
        return _BAD_ADDRESS
    protocol = header.protocol
    at, end = header.header_length, header.total_length
    if protocol == TCP:
        source_port, port, flags = read_tcp_brief(packet, at, end, fragment=fragment)
    elif protocol == UDP:
        source_port, port = read_udp(packet, at, end, fragment=fragment)
        flags = 0
    elif protocol == ICMP:
        fields = read_icmp(packet, at, end)
        if fields.type not in QUERIES:
            return _ICMP_TYPE
        port = fields.identifier
        if fields.type not in QUERY_REPLIES and decider.pool.owns(ICMP, destination, port):
            return _UNSOLICITED
        source_port = flags = 0
    else:
        return _PORTLESS
    mapping = decider.incoming(protocol, (destination, port), (source, source_port), flags, now)
    if isinstance(mapping, Refusal):
        return mapping
    inside = mapping.inside
    change = Rewrite(
        source,
        source_port if protocol != ICMP else inside.port,
        inside.address,
        inside.port,
        -mapping.address_delta,
        -mapping.transport_delta,
    )
    return Way(change, to_inside=True, port=port)
