"""What a NAPT remembers of a TCP connection: enough to choose its idle time.

The table of RFC 6146 section 3.5.2.2, which RFC 7857 section 2 adopts for NAT44, is a function of
five facts: whether a SYN went out, a SYN came in, a FIN went out, a FIN came in, and whether an RST
was the last thing seen.  Keeping the facts as bits instead of state names makes each step an OR.
"""

from __future__ import annotations

from enum import Enum

from testbed.components.packet.transport import FIN, RST, SYN

SYN_OUT, SYN_IN, FIN_OUT, FIN_IN, RESET = 1, 2, 4, 8, 16

OPEN = SYN_OUT | SYN_IN
_FINISHED = FIN_OUT | FIN_IN
EVENTFUL = SYN | FIN | RST
"""Flags that can change what is known; any other segment of an open connection changes nothing."""


class Phase(Enum):
    """Which idle time applies."""

    OPENING = "opening"
    """SYNs have not gone both ways yet."""
    ESTABLISHED = "established"
    """Also with one direction closed: a half-closed connection may carry data for hours."""
    CLOSING = "closing"
    """FINs both ways, or an RST that nothing has contradicted since."""


def advance(facts: int, flags: int, *, outbound: bool) -> int:
    """What is known after a segment with these flags in this direction."""
    if flags & RST:
        return facts | RESET
    facts &= ~RESET  # RFC 6146, state TRANS: a segment other than RST shows that it lives on
    if flags & SYN:
        if facts & _FINISHED == _FINISHED:
            facts = 0  # the same endpoints open a new connection
        facts |= SYN_OUT if outbound else SYN_IN
    if flags & FIN:
        facts |= FIN_OUT if outbound else FIN_IN
    return facts


def phase(facts: int) -> Phase:
    """The phase these facts amount to."""
    if facts & RESET or facts & _FINISHED == _FINISHED:
        return Phase.CLOSING
    return Phase.ESTABLISHED if facts & OPEN == OPEN else Phase.OPENING
