"""Putting IPv6 fragments together again (RFC 8200 sec. 4.5), within bounds of memory and time."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from testbed.components.packet import ipv6
from testbed.components.packet.fragment_tracker import Discarded, FragmentFate
from testbed.components.packet.ipv6 import IPv6Header, UpperLayer

_LONGEST = 65535

_Key = tuple[bytes, bytes, int]


@dataclass(slots=True)
class _Piece:
    start: int
    end: int
    packet: bytes
    payload_at: int


@dataclass(slots=True)
class _Datagram:
    deadline: float
    pieces: list[_Piece] = field(default_factory=list)
    length: int | None = None
    size: int = 0


class Reassembler:
    """Collects the fragments of IPv6 packets and hands back whole ones.

    Args:
        timeout: seconds from the first fragment to come until the rest must be there (RFC 8200:
            60).
        most_datagrams: packets in the making at once; the oldest is given up for a new one.
        most_bytes: bytes of fragments kept in all.
    """

    def __init__(
        self, *, timeout: float = 60.0, most_datagrams: int = 64, most_bytes: int = 1 << 20
    ) -> None:
        self._timeout = timeout
        self._most_datagrams = most_datagrams
        self._most_bytes = most_bytes
        self._datagrams: OrderedDict[_Key, _Datagram] = OrderedDict()
        self._bytes = 0

    @property
    def waiting(self) -> int:
        """Fragments kept."""
        return sum(len(datagram.pieces) for datagram in self._datagrams.values())

    def add(
        self, packet: bytes, header: IPv6Header, upper: UpperLayer, now: float
    ) -> tuple[bytes | None, list[Discarded]]:
        """Take one fragment; returns the whole packet once it is there, and what was given up.

        ``upper`` is what ``ipv6.upper_layer`` found and must have a fragment header.  A packet in
        one fragment (RFC 6946) is handed back at once.
        """
        fragment = upper.fragment
        assert fragment is not None, "the caller found a fragment header"
        discarded = self.expire(now)
        packet = packet[: ipv6.HEADER_LENGTH + header.payload_length]
        # Anything behind the fragment header is the fragment's payload, extension headers too.
        payload_at = fragment.position + ipv6.FRAGMENT_HEADER.size
        piece = _Piece(
            fragment.offset, fragment.offset + len(packet) - payload_at, packet, payload_at
        )
        if fragment.offset == 0 and not fragment.more:
            return _join([piece]), discarded
        if (
            piece.end == piece.start
            or piece.end > _LONGEST
            or (fragment.more and (piece.end - piece.start) % 8)
        ):
            return None, [*discarded, Discarded(packet, FragmentFate.MALFORMED)]
        key = (header.source, header.destination, fragment.identification)
        datagram = self._datagrams.get(key)
        if datagram is None:
            datagram = self._datagrams[key] = _Datagram(now + self._timeout)
        if any(p.start == piece.start and p.packet == packet for p in datagram.pieces):
            # RFC 8200 allows an exact duplicate to be ignored; RFC 5722 speaks of overlaps.
            return None, [*discarded, Discarded(packet, FragmentFate.OVERLAP)]
        fate = _refuse(datagram, piece, last=not fragment.more)
        datagram.pieces.append(piece)
        datagram.size += len(packet)
        self._bytes += len(packet)
        if fate is not None:
            return None, discarded + self._give_up(key, fate)
        if not fragment.more:
            datagram.length = piece.end
        if datagram.length == sum(p.end - p.start for p in datagram.pieces):
            self._give_up(key, FragmentFate.TIMEOUT)
            return _join(sorted(datagram.pieces, key=lambda p: p.start)), discarded
        while len(self._datagrams) > self._most_datagrams or self._bytes > self._most_bytes:
            discarded += self._give_up(next(iter(self._datagrams)), FragmentFate.OVERFLOW)
        return None, discarded

    def expire(self, now: float) -> list[Discarded]:
        """Give up packets whose time is over; returns their fragments."""
        discarded: list[Discarded] = []
        while self._datagrams:
            key = next(iter(self._datagrams))
            if self._datagrams[key].deadline > now:
                break
            discarded += self._give_up(key, FragmentFate.TIMEOUT)
        return discarded

    def next_timer(self) -> float | None:
        """When ``expire`` next has something to do."""
        for datagram in self._datagrams.values():
            return datagram.deadline
        return None

    def _give_up(self, key: _Key, fate: FragmentFate) -> list[Discarded]:
        datagram = self._datagrams.pop(key)
        self._bytes -= datagram.size
        return [Discarded(piece.packet, fate) for piece in datagram.pieces]


def _refuse(datagram: _Datagram, piece: _Piece, *, last: bool) -> FragmentFate | None:
    """Why this piece cannot be part of the datagram."""
    for other in datagram.pieces:
        if piece.start < other.end and other.start < piece.end:
            return FragmentFate.OVERLAP
    if datagram.length is not None and (last or piece.end > datagram.length):
        return FragmentFate.MALFORMED
    if last and any(other.end > piece.end for other in datagram.pieces):
        return FragmentFate.MALFORMED
    return None


def _join(pieces: list[_Piece]) -> bytes:
    first = pieces[0]
    head = bytearray(first.packet[: first.payload_at - ipv6.FRAGMENT_HEADER.size])
    next_header = first.packet[len(head)]
    head[_next_header_at(first.packet, len(head))] = next_header
    payload = b"".join(piece.packet[piece.payload_at :] for piece in pieces)
    head[4:6] = (len(head) - ipv6.HEADER_LENGTH + len(payload)).to_bytes(2, "big")
    return bytes(head) + payload


def _next_header_at(packet: bytes, fragment_at: int) -> int:
    """Where the number that announces the fragment header stands."""
    at, offset = 6, ipv6.HEADER_LENGTH
    while offset < fragment_at:
        at, offset = offset, offset + (packet[offset + 1] + 1) * 8
    return at
