"""The last packets that matter: what a reader of a failed scenario wants to see first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from testbed.evidence.pcapng import LINKTYPE_ETHERNET
from testbed.evidence.pcapng_reader import Packet, PcapngReader
from testbed.evidence.report.frames import describe_frame

_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_TRAFFIC = (b"\x01", b"\x04", b"\x06", b"\x11", b"\x29", b"\x32")  # ICMP, IPv4, TCP, UDP, IPv6, ESP


@dataclass(frozen=True, slots=True)
class PacketLine:
    """A captured packet in one line.

    ``number`` counts from 1 as Wireshark does; ``where`` is ``node/interface``; ``outgoing`` is
    None where the capture does not say; ``comments`` are what the lab's components said about it.
    """

    number: int
    time_ns: int
    where: str
    outgoing: bool | None
    summary: str
    length: int
    comments: tuple[str, ...] = ()


def last_packets(
    path: Path,
    around_ns: int,
    limit: int = 20,
    *,
    since_ns: int = 0,
    background: bool = False,
) -> tuple[PacketLine, ...]:
    """At most ``limit`` packets of a capture that led to ``around_ns``, in the capture's order.

    These are the last ones between ``since_ns`` and ``around_ns`` (ns since the epoch), but up to
    half of the room is kept for packets with a comment, such as the reason of a drop, however far
    back.  Where fewer lead up to that time, the next ones after it follow.  Without ``background``,
    ARP, neighbour discovery and multicast housekeeping are left out unless commented.

    Raises:
        OSError: the file cannot be read.
        PcapngError: it is no valid capture; a last block that is cut short is no error.
    """
    with path.open("rb") as stream:
        numbered = enumerate(PcapngReader(stream, partial_end=True), start=1)
        seen = (
            _Seen(number, packet.time_ns or 0, packet.comments, packet)
            for number, packet in numbered
            if background or packet.comments or not _is_background(packet)
        )
        return tuple(_line(one) for one in choose(seen, around_ns, limit, since_ns=since_ns))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A packet that is not described yet: most never are."""

    number: int
    time_ns: int
    comments: tuple[str, ...]
    packet: Packet


def _line(seen: _Seen) -> PacketLine:
    packet = seen.packet
    return PacketLine(
        number=seen.number,
        time_ns=seen.time_ns,
        where=packet.interface.name,
        outgoing=packet.outgoing,
        summary=describe_frame(packet.data, packet.interface.link_type).summary,
        length=packet.length,
        comments=packet.comments,
    )


def _is_background(packet: Packet) -> bool:
    data, link_type = packet.data, packet.interface.link_type
    # Most of a capture is plain TCP and UDP: told by two fields, without taking it apart.
    if link_type == LINKTYPE_ETHERNET:
        kind, protocols = data[12:14], (data[23:24], data[20:21])
        if kind == _IPV4 and protocols[0] in _TRAFFIC:
            return False
        if kind == _IPV6 and protocols[1] in _TRAFFIC:
            return False
    return describe_frame(data, link_type).background


class Numbered(Protocol):
    """What the choice looks at."""

    @property
    def number(self) -> int:
        """Place in the capture."""

    @property
    def time_ns(self) -> int:
        """When it was captured."""

    @property
    def comments(self) -> tuple[str, ...]:
        """What was said about it."""


N = TypeVar("N", bound=Numbered)


def choose(packets: Iterable[N], around_ns: int, limit: int, *, since_ns: int = 0) -> tuple[N, ...]:
    """The choice that :func:`last_packets` makes, from any packets in order of time."""
    if limit < 1:
        return ()
    before: deque[N] = deque(maxlen=limit)
    commented: deque[N] = deque(maxlen=max(limit // 2, 1))
    after: list[N] = []
    for packet in packets:
        if packet.time_ns < since_ns:
            continue
        if packet.time_ns > around_ns:
            if len(after) < limit:
                after.append(packet)
            continue
        before.append(packet)
        if packet.comments:
            commented.append(packet)
    kept = {packet.number: packet for packet in commented}
    for packet in (*reversed(before), *after):
        if len(kept) >= limit:
            break
        kept[packet.number] = packet
    return tuple(kept[number] for number in sorted(kept))
