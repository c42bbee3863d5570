"""The last packets that matter: what a reader of a failed scenario wants to see first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.evidence.pcapng_reader import Packet, PcapngReader
from testbed.evidence.report.frames import describe_frame


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
        return choose(
            lines_of(PcapngReader(stream, partial_end=True), background=background),
            around_ns,
            limit,
            since_ns=since_ns,
        )


def lines_of(packets: Iterable[Packet], *, background: bool = False) -> Iterator[PacketLine]:
    """Every packet as a line; without ``background`` only what is no link housekeeping."""
    for number, packet in enumerate(packets, start=1):
        frame = describe_frame(packet.data, packet.interface.link_type)
        if frame.background and not background and not packet.comments:
            continue
        yield PacketLine(
            number=number,
            time_ns=packet.time_ns or 0,
            where=packet.interface.name,
            outgoing=packet.outgoing,
            summary=frame.summary,
            length=packet.length,
            comments=packet.comments,
        )


def choose(
    lines: Iterable[PacketLine], around_ns: int, limit: int, *, since_ns: int = 0
) -> tuple[PacketLine, ...]:
    """The choice that :func:`last_packets` makes, from any lines."""
    if limit < 1:
        return ()
    before: deque[PacketLine] = deque(maxlen=limit)
    commented: deque[PacketLine] = deque(maxlen=max(limit // 2, 1))
    after: list[PacketLine] = []
    for line in lines:
        if line.time_ns < since_ns:
            continue
        if line.time_ns > around_ns:
            if len(after) < limit:
                after.append(line)
            continue
        before.append(line)
        if line.comments:
            commented.append(line)
    kept = {line.number: line for line in commented}
    for line in reversed(before):
        if len(kept) >= limit:
            break
        kept[line.number] = line
    for line in after:
        if len(kept) >= limit:
            break
        kept[line.number] = line
    return tuple(kept[number] for number in sorted(kept))
