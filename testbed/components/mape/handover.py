"""What the kernel would lose in silence if it were handed over: said here instead, with a reason.

A packet out of the tunnel has passed the kernel only inside another one.  Written to the device it
is routed like any that comes in, and Linux drops some without a word: to addresses of nobody
("martians"), with a source route, or out of hops when no ICMP error may be sent about it.  (About
any other packet out of hops the kernel sends time exceeded; that stays its own.)
"""

from __future__ import annotations

from testbed.components.mape.domain import Refusal
from testbed.components.mape.reasons import Reason
from testbed.components.packet.icmp import may_answer_ipv4
from testbed.components.packet.ipv4 import (
    MINIMUM_HEADER,
    IPv4Header,
    address_text,
    is_unicast_source,
)

_END, _NO_OPERATION = 0, 1
_SOURCE_ROUTES = (131, 137)  # loose and strict (RFC 791 section 3.1)


def lost_by_kernel(packet: bytes, header: IPv4Header) -> Refusal | None:
    """Why the kernel would forward this IPv4 packet nowhere, or None."""
    # What an address may be as a source it may be as a unicast destination too.
    if not is_unicast_source(header.destination):
        detail = f"destination {address_text(header.destination)}"
        return Refusal(Reason.INVALID_DESTINATION, detail=detail)
    if header.header_length > MINIMUM_HEADER and _has_source_route(packet, header):
        return Refusal(Reason.SOURCE_ROUTE)
    if header.ttl <= 1 and not may_answer_ipv4(packet, header):
        return Refusal(Reason.TTL_UNANSWERABLE, detail=f"TTL {header.ttl}")
    return None


def _has_source_route(packet: bytes, header: IPv4Header) -> bool:
    at, end = MINIMUM_HEADER, header.header_length
    while at < end and packet[at] != _END:
        if packet[at] in _SOURCE_ROUTES:
            return True
        length = 1 if packet[at] == _NO_OPERATION else packet[at + 1] if at + 1 < end else 0
        if length < 1 or (length < 2 and packet[at] != _NO_OPERATION):
            return False  # the kernel answers that with a parameter problem
        at += length
    return False
