"""The port by which a CE of a shared address is chosen (RFC 7597 sections 5.1 and 8.2).

For TCP and UDP it is the port on the CE's side; for ICMP queries and replies the identifier; for
ICMP errors the port on the CE's side inside the packet they quote.  A packet that a CE sends shows
it on the source side, a packet to a CE on the destination side; what an ICMP error quotes travelled
the other way round.
"""

from __future__ import annotations

from testbed.components.mape.reasons import Reason
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.icmp import ERRORS, QUERIES, quoted_ipv4
from testbed.components.packet.ipv4 import IPv4Header
from testbed.components.packet.transport import ICMP, TCP, UDP, read_icmp, read_ports


def destination_port(packet: bytes, header: IPv4Header) -> int | Reason:
    """The port that says which CE a packet *to* a shared address is for.

    The packet is whole or a first fragment.  A :class:`Reason` says why there is no such port.

    Raises:
        MalformedPacketError: the transport header is cut off.
    """
    if header.protocol in {TCP, UDP}:
        return read_ports(packet, header.header_length, header.total_length)[1]
    return _icmp_port(packet, header, header.destination, sent_by_ce=False)


def source_port(packet: bytes, header: IPv4Header) -> int | Reason:
    """The port that says which CE a packet *from* a shared address comes from; as above.

    Raises:
        MalformedPacketError: the transport header is cut off.
    """
    if header.protocol in {TCP, UDP}:
        return read_ports(packet, header.header_length, header.total_length)[0]
    return _icmp_port(packet, header, header.source, sent_by_ce=True)


def _icmp_port(packet: bytes, header: IPv4Header, shared: int, *, sent_by_ce: bool) -> int | Reason:
    if header.protocol != ICMP:
        return Reason.PROTOCOL_WITHOUT_PORTS
    fields = read_icmp(packet, header.header_length, header.total_length)
    if fields.type in QUERIES:
        return fields.identifier
    if fields.type not in ERRORS:
        return Reason.PROTOCOL_WITHOUT_PORTS
    quoted = quoted_ipv4(packet, header.header_length, header.total_length)
    inner = quoted.header
    # An error that a CE sends is about a packet that came to it; one it gets, about its own.
    if (inner.destination if sent_by_ce else inner.source) != shared:
        return Reason.QUOTE_MISMATCH
    if inner.fragment_offset:
        return Reason.QUOTE_WITHOUT_PORTS
    try:
        if inner.protocol in {TCP, UDP}:
            ports = read_ports(packet, quoted.transport_at, quoted.end)
            return ports[1 if sent_by_ce else 0]
        if inner.protocol == ICMP:
            about = read_icmp(packet, quoted.transport_at, quoted.end)
            if about.type in QUERIES:
                return about.identifier
    except MalformedPacketError:
        pass  # the quote is too short to tell, which the reason says
    return Reason.QUOTE_WITHOUT_PORTS
