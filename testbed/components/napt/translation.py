"""What comes out of a NAPT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from testbed.events import Event


class OutsidePacket(NamedTuple):
    """A translated packet for the outside.

    ``destination`` and ``port`` say to whom: the remote's address, and its port, or the identifier
    of an ICMP query, or the remote's port in the packet that an ICMP error quotes.  Later fragments
    have what their first fragment had.
    """

    packet: bytes
    destination: int
    port: int


class Translation(NamedTuple):
    """What came of one packet or timer: packets for either side, in order, and what happened."""

    to_outside: tuple[OutsidePacket, ...] = ()
    to_inside: tuple[bytes, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(slots=True)
class NaptCounters:
    """Packets, by what became of them; drops are counted by reason in the drop log.

    ``outbound`` + ``inbound`` = ``translated_out`` + ``translated_in`` + ``hairpinned`` + drops +
    fragments that wait for their first.  ``icmp_sent`` counts errors of the NAPT's own.
    """

    outbound: int = 0
    inbound: int = 0
    translated_out: int = 0
    translated_in: int = 0
    hairpinned: int = 0
    icmp_sent: int = 0
