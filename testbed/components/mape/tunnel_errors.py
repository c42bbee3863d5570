"""ICMPv6 messages to a tunnel end: what they say about packets it sent into the tunnel.

RFC 2473 section 8: an error on the way through the tunnel concerns the packet inside.  Its IPv4
sender is told: packet too big as "fragmentation needed" with the tunnel's MTU, everything else as
"host unreachable" (section 8.2 and 8.4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.components.mape.domain import MapDomain, Refusal
from testbed.components.mape.reasons import Reason
from testbed.components.packet import ipv6
from testbed.components.packet.checksum import is_valid, pseudo_header_sum
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.icmp import (
    FRAGMENTATION_NEEDED,
    HOST_UNREACHABLE,
    V6_ECHO_REPLY,
    V6_ECHO_REQUEST,
    V6_PACKET_TOO_BIG,
    V6_PARAMETER_PROBLEM,
    V6_TIME_EXCEEDED,
    V6_UNREACHABLE,
    quoted_ipv6,
    set_icmpv6_checksum,
)
from testbed.components.packet.ipv4 import IPv4Header, parse_quoted_ipv4
from testbed.components.packet.ipv6 import IPv6Header
from testbed.components.packet.transport import ICMPV6, IPIP, read_icmp

_NAMES = {
    V6_UNREACHABLE: "destination unreachable",
    V6_PACKET_TOO_BIG: "packet too big",
    V6_TIME_EXCEEDED: "time exceeded",
    V6_PARAMETER_PROBLEM: "parameter problem",
}


@dataclass(frozen=True, slots=True)
class TunnelReport:
    """An ICMPv6 error about a packet that this tunnel end sent.

    ``destination`` is where the packet was sent (16 bytes), ``original`` as much of the IPv4 packet
    inside as was quoted, ``quoted`` its header, ``code`` the ICMP unreachable code for its sender,
    ``mtu`` the IPv6 MTU when the packet was too big, and ``text`` a line for the reader.
    """

    destination: bytes
    original: bytes
    quoted: IPv4Header
    code: int
    mtu: int | None
    text: str


Unrelated = Callable[[bytes, IPv4Header], Refusal | None]
"""Judges whether this tunnel end can have sent an IPv4 packet with this header to that address."""


def read_tunnel_message(
    packet: bytes, header: IPv6Header, at: int, domain: MapDomain
) -> TunnelReport | Refusal | bytes:
    """As :func:`read_tunnel_message_of`, for a BR.

    An error counts only if it quotes a packet to a CE of the domain that this CE may receive.
    """

    def unrelated(destination: bytes, inner: IPv4Header) -> Refusal | None:
        return not_to_ce(domain, destination, inner)

    return read_tunnel_message_of(packet, header, at, unrelated)


def read_tunnel_message_of(
    packet: bytes, header: IPv6Header, at: int, unrelated: Unrelated
) -> TunnelReport | Refusal | bytes:
    """Read the ICMPv6 message at ``at``: a report, a reason to drop it, or an echo reply to send.

    An error counts only if it quotes a packet from the very address it was sent to, and
    ``unrelated`` has nothing to say against the packet.

    Raises:
        MalformedPacketError: the message or what it quotes is broken.
    """
    end = ipv6.HEADER_LENGTH + header.payload_length
    message = read_icmp(packet, at, end)
    pseudo = pseudo_header_sum(
        int.from_bytes(header.source, "big"),
        int.from_bytes(header.destination, "big"),
        ICMPV6,
        end - at,
    )
    if not is_valid(packet[at:end], pseudo):
        raise MalformedPacketError("ICMPv6 checksum")
    if message.type == V6_ECHO_REQUEST:
        return _echo_reply(packet, header, at, end)
    if message.type not in _NAMES:
        return Refusal(Reason.ICMPV6_IGNORED, detail=f"ICMPv6 type {message.type}")
    return _error(packet, header, at, end, unrelated)


def _echo_reply(packet: bytes, header: IPv6Header, at: int, end: int) -> bytes | Refusal:
    if header.source[0] == 0xFF or not any(header.source):
        return Refusal(Reason.ICMPV6_IGNORED, detail="echo request without a sender")
    reply = bytearray(packet[at:end])
    reply[0] = V6_ECHO_REPLY
    set_icmpv6_checksum(reply, header.destination, header.source)
    return ipv6.build_ipv6(header.destination, header.source, ICMPV6, reply)


def _error(
    packet: bytes, header: IPv6Header, at: int, end: int, unrelated: Unrelated
) -> TunnelReport | Refusal:
    message = read_icmp(packet, at, end)
    quoted = quoted_ipv6(packet, at, end)
    if quoted.header.source != header.destination:
        return Refusal(Reason.ICMPV6_UNRELATED, detail="it quotes a packet of another sender")
    inner_at, protocol = quoted.payload_at, quoted.header.next_header
    if protocol == ipv6.FRAGMENT and inner_at + ipv6.FRAGMENT_HEADER.size <= quoted.end:
        protocol, _, offset_word, _ = ipv6.FRAGMENT_HEADER.unpack_from(packet, inner_at)
        inner_at += ipv6.FRAGMENT_HEADER.size
        if offset_word & 0xFFF8:
            return Refusal(Reason.ICMPV6_UNREPORTABLE, detail="it quotes a later fragment")
    if protocol != IPIP:
        return Refusal(Reason.ICMPV6_UNRELATED, detail=f"it quotes next header {protocol}")
    inner = parse_quoted_ipv4(packet[inner_at : quoted.end])
    refusal = unrelated(quoted.header.destination, inner)
    if refusal is not None:
        return refusal
    too_big = message.type == V6_PACKET_TOO_BIG
    sender = ipv6.address_text(header.source)
    return TunnelReport(
        destination=quoted.header.destination,
        original=packet[inner_at : min(quoted.end, inner_at + inner.total_length)],
        quoted=inner,
        code=FRAGMENTATION_NEEDED if too_big else HOST_UNREACHABLE,
        mtu=message.identifier << 16 | message.sequence if too_big else None,
        text=f"{_NAMES[message.type]} (code {message.code}) from {sender}",
    )


def not_to_ce(domain: MapDomain, destination: bytes, inner: IPv4Header) -> Refusal | None:
    """Why a packet with this inner header cannot be one for the CE at ``destination``."""
    ce = domain.parameters_at(destination)
    if ce is None or ce.ce_ipv6.packed != destination:
        return Refusal(Reason.ICMPV6_UNRELATED, detail="it quotes a packet to no CE")
    held = 32 - ce.rule.assigned_len
    if inner.destination >> held != int(ce.ipv4) >> held:
        return Refusal(
            Reason.ICMPV6_UNRELATED, ce.rule, "it quotes a packet that is not for that CE"
        )
    return None
