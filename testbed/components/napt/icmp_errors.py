"""ICMP errors across a NAPT: the packet they quote must be turned back too (RFC 5508 section 4).

An error carries the first bytes of the packet it is about, as the other side of the NAPT saw it.
Its receiver finds its socket by those bytes, so they are rewritten to what it had sent.
"""

from __future__ import annotations

from typing import NamedTuple

from testbed.components.napt.decide import Decider, Refusal
from testbed.components.napt.ports import Endpoint
from testbed.components.napt.reasons import DropReason
from testbed.components.napt.rewrite import (
    CHECKSUM_AND_ADDRESSES,
    Rewrite,
    rewrite_addresses,
    rewrite_transport,
)
from testbed.components.packet.checksum import adjust, checksum, difference, is_valid
from testbed.components.packet.icmp import (
    PARAMETER_PROBLEM,
    QUERIES,
    TIME_EXCEEDED,
    UNREACHABLE,
    QuotedIPv4,
    quoted_ipv4,
)
from testbed.components.packet.ipv4 import CHECKSUM_AT, IPv4Header
from testbed.components.packet.transport import (
    ICMP,
    ICMP_CHECKSUM_AT,
    TCP,
    UDP,
    read_icmp,
    read_ports,
)

TRANSLATED = frozenset((UNREACHABLE, TIME_EXCEEDED, PARAMETER_PROBLEM))
"""Redirects mean nothing beyond their link, source quench is void (RFC 6633)."""


class TranslatedError(NamedTuple):
    """An ICMP error ready to be sent on.

    ``port`` is the remote's port in the quoted packet, by which a MAP domain finds the remote.
    """

    packet: bytes
    to_inside: bool
    port: int


class _Quote(NamedTuple):
    """The quoted packet and its endpoints; for ICMP queries both ports are the identifier."""

    at: QuotedIPv4
    source_port: int
    destination_port: int


_NO_MAPPING = Refusal(DropReason.ICMP_ERROR_NO_MAPPING)


def error_outward(decider: Decider, packet: bytes, header: IPv4Header) -> TranslatedError | Refusal:
    """An error from the inside about a packet that had come in (RFC 5508 REQ-5).

    Its source becomes the mapping's outside address, whichever inside router sent it.  When the
    packet it quotes had been hairpinned, the error is too (REQ-7).

    Raises:
        MalformedPacketError: the quote is cut off or broken.
    """
    quote = _read(packet, header)
    if isinstance(quote, Refusal):
        return quote
    inner = quote.at.header
    if inner.source != header.destination:
        return _NO_MAPPING
    inside = Endpoint(inner.destination, quote.destination_port)
    remote_port = 0 if inner.protocol == ICMP else quote.source_port
    mapping = decider.find_inside(inner.protocol, inside, (inner.source, remote_port))
    if mapping is None:
        return _NO_MAPPING
    source = Endpoint(inner.source, quote.source_port)
    hairpinned = decider.pool.owns(inner.protocol, *source)
    if inner.protocol == ICMP:
        source = Endpoint(inner.source, mapping.outside.port)  # the one identifier
    elif hairpinned:
        peer = decider.table.by_outside.get((inner.protocol, *source))
        if peer is None:
            return _NO_MAPPING
        source = peer.inside
    translated = _rewrite(
        packet,
        header,
        quote,
        outer=(mapping.outside.address, source.address),
        inner=(source, mapping.outside),
    )
    return TranslatedError(translated, hairpinned, quote.source_port)


def error_inward(decider: Decider, packet: bytes, header: IPv4Header) -> TranslatedError | Refusal:
    """An error from outside about a packet that had gone out (RFC 5508 REQ-4).

    Whoever sent it: a router on the way has no session with anybody (RFC 4787 REQ-12a).

    Raises:
        MalformedPacketError: the quote is cut off or broken.
    """
    quote = _read(packet, header)
    if isinstance(quote, Refusal):
        return quote
    inner = quote.at.header
    if inner.source != header.destination:
        return _NO_MAPPING
    outside = Endpoint(inner.source, quote.source_port)
    if not decider.pool.owns(inner.protocol, *outside):
        return Refusal(DropReason.PORT_OUTSIDE_SET)
    mapping = decider.table.by_outside.get((inner.protocol, *outside))
    if mapping is None:
        return _NO_MAPPING
    port = mapping.inside.port if inner.protocol == ICMP else quote.destination_port
    translated = _rewrite(
        packet,
        header,
        quote,
        outer=(header.source, mapping.inside.address),
        inner=(mapping.inside, Endpoint(inner.destination, port)),
    )
    return TranslatedError(translated, True, quote.destination_port)


def _read(packet: bytes, header: IPv4Header) -> _Quote | Refusal:
    """The quoted packet of an error, once everything that can be checked has been."""
    at, end = header.header_length, header.total_length
    if header.is_fragment or packet[at] not in TRANSLATED:
        return Refusal(DropReason.ICMP_TYPE)
    if not is_valid(packet[at:end]):
        return Refusal(DropReason.ICMP_CHECKSUM)
    quoted = quoted_ipv4(packet, at, end)
    if not is_valid(packet[quoted.offset : quoted.transport_at]):
        return Refusal(DropReason.ICMP_CHECKSUM)
    inner = quoted.header
    if inner.fragment_offset:
        return _NO_MAPPING  # without ports it cannot be told whose it was
    if inner.protocol in {TCP, UDP}:
        return _Quote(quoted, *read_ports(packet, quoted.transport_at, quoted.end))
    if inner.protocol == ICMP:
        fields = read_icmp(packet, quoted.transport_at, quoted.end)
        if fields.type in QUERIES:
            return _Quote(quoted, fields.identifier, fields.identifier)
    return _NO_MAPPING


def _rewrite(
    packet: bytes,
    header: IPv4Header,
    quote: _Quote,
    *,
    outer: tuple[int, int],
    inner: tuple[Endpoint, Endpoint],
) -> bytes:
    """The error between the ``outer`` addresses, quoting a packet between the ``inner`` ends."""
    quoted = quote.at.header
    source, destination = inner
    addresses = difference(quoted.source, source.address) + difference(
        quoted.destination, destination.address
    )
    if quoted.protocol == ICMP:
        covered = difference(quote.source_port, source.port)
    else:
        covered = (
            addresses
            + difference(quote.source_port, source.port)
            + difference(quote.destination_port, destination.port)
        )
    out = bytearray(rewrite_addresses(packet, header, *outer))
    at = quote.at.offset
    CHECKSUM_AND_ADDRESSES.pack_into(
        out,
        at + CHECKSUM_AT,
        adjust(quoted.checksum, addresses),
        source.address,
        destination.address,
    )
    change = Rewrite(*source, *destination, addresses, covered)
    rewrite_transport(out, quote.at.transport_at, quote.at.end, quoted.protocol, change)
    at = header.header_length + ICMP_CHECKSUM_AT
    out[at : at + 2] = b"\0\0"
    out[at : at + 2] = checksum(memoryview(out)[header.header_length :]).to_bytes(2, "big")
    return bytes(out)
