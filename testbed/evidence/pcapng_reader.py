"""Reading pcapng strictly: either what the format says, or an error that tells the byte.

Both byte orders, several sections, interfaces of any time resolution; blocks and options of unknown
type are skipped, as the format asks.

Source: draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from testbed.errors import TestbedError
from testbed.evidence import pcapng

BLOCK_LIMIT = 64 * 1024 * 1024
"""A longer block is taken for damage rather than read into memory."""

_SECTION_MAGIC = pcapng.SECTION_HEADER.to_bytes(4, "big")  # the same in either byte order
_MICROSECONDS = 6


class PcapngError(TestbedError):
    """The file is not valid pcapng; ``where`` tells the byte its faulty block begins at."""


@dataclass(frozen=True, slots=True)
class Interface:
    """A described interface.

    ``number`` counts within its section, ``section`` within the file; ``offset_s`` seconds are to
    be added to its timestamps, which count ``ticks_per_second``.
    """

    section: int
    number: int
    name: str
    description: str
    link_type: int
    snap_length: int
    ticks_per_second: int
    offset_s: int


@dataclass(frozen=True, slots=True)
class Packet:
    """A captured frame; ``time_ns`` and ``outgoing`` are None where the file does not say."""

    interface: Interface
    time_ns: int | None
    data: bytes
    length: int
    outgoing: bool | None
    checksum_pending: bool
    comments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Frames an interface received and lost, where the file says so."""

    interface: Interface
    received: int | None
    dropped: int | None


Options = list[tuple[int, bytes]]


class PcapngReader:
    """Iterates over the packets of a capture.

    Args:
        stream: an open binary file.
        partial_end: a last block that is cut short ends the capture instead of being an error, as
            in a file that is still being written.

    Attributes:
        interfaces: those described so far, of all sections.
        statistics: those read so far.
        application: the program that wrote the present section, if it says so.

    Raises:
        PcapngError: while iterating, when the file is not valid.
    """

    def __init__(self, stream: BinaryIO, *, partial_end: bool = False) -> None:
        self.interfaces: list[Interface] = []
        self.statistics: list[Statistics] = []
        self.application = ""
        self._stream = stream
        self._partial_end = partial_end
        self._order = "="
        self._section = -1
        self._here: list[Interface] = []
        self._start = 0
        self._next = 0

    def __iter__(self) -> Iterator[Packet]:
        while (found := self._next_block()) is not None:
            kind, body = found
            try:
                packet = self._take(kind, body)
            except struct.error as error:
                raise self._error(f"a block of type {kind} is too short") from error
            if packet is not None:
                yield packet

    def _error(self, what: str) -> PcapngError:
        return PcapngError(f"not a valid pcapng file: {what}", where=f"byte {self._start}")

    def _unpack(self, layout: str, data: bytes, offset: int = 0) -> tuple[int, ...]:
        return struct.unpack_from(self._order + layout, data, offset)

    def _next_block(self) -> tuple[int, bytes] | None:
        """The next block's type and body; None at the end."""
        self._start = self._next
        head = self._stream.read(12)
        if not head and (self._section >= 0 or self._partial_end):
            return None
        if len(head) < 12:
            self._cut_short("the last block is cut short" if head else "it is empty")
            return None
        if head[:4] == _SECTION_MAGIC:
            self._set_order(head[8:])
        elif self._section < 0:
            raise self._error("it does not begin with a section header")
        kind, size = self._unpack("II", head)
        if size < 12 or size % 4 or size > BLOCK_LIMIT:
            raise self._error(f"a block has the impossible length {size}")
        data = head[8:] + self._stream.read(size - 12)
        if len(data) < size - 8:
            self._cut_short("the last block is cut short")
            return None
        if self._unpack("I", data, size - 12)[0] != size:
            raise self._error("the two lengths of a block differ")
        self._next = self._start + size
        return kind, data[:-4]

    def _cut_short(self, what: str) -> None:
        """An early end of the file: an error unless the caller expects it."""
        if not self._partial_end:
            raise self._error(what)

    def _set_order(self, magic: bytes) -> None:
        for order in "<>":
            if struct.unpack(order + "I", magic)[0] == pcapng.BYTE_ORDER_MAGIC:
                self._order = order
                return
        raise self._error("the byte order of a section is not told")

    def _take(self, kind: int, body: bytes) -> Packet | None:
        if kind == pcapng.SECTION_HEADER:
            self._take_section(body)
        elif kind == pcapng.INTERFACE_DESCRIPTION:
            self._take_interface(body)
        elif kind == pcapng.INTERFACE_STATISTICS:
            self._take_statistics(body)
        elif kind == pcapng.ENHANCED_PACKET:
            return self._enhanced_packet(body)
        elif kind == pcapng.SIMPLE_PACKET:
            return self._simple_packet(body)
        return None

    def _options(self, body: bytes, offset: int) -> Options:
        found: Options = []
        while offset < len(body):
            code, size = self._unpack("HH", body, offset)
            if code == pcapng.OPT_END:
                break
            value = body[offset + 4 : offset + 4 + size]
            if len(value) < size:
                raise self._error("an option is longer than its block")
            found.append((code, value))
            offset += 4 + ((size + 3) & ~3)
        return found

    def _take_section(self, body: bytes) -> None:
        _, major, _ = self._unpack("IHH", body)
        if major != 1:
            raise self._error(f"version {major} of the format is not known")
        options = self._options(body, 16)
        self._section += 1
        self._here = []
        self.application = _text(options, pcapng.SHB_APPLICATION)

    def _take_interface(self, body: bytes) -> None:
        link_type, _, snap_length = self._unpack("HHI", body)
        options = self._options(body, 8)
        resolution = _value(options, pcapng.IF_TSRESOL)
        offset = _value(options, pcapng.IF_TSOFFSET)
        if (resolution is not None and len(resolution) != 1) or (
            offset is not None and len(offset) != 8
        ):
            raise self._error("an interface's time option has the wrong length")
        exponent = _MICROSECONDS if resolution is None else resolution[0]
        base = 2 if exponent & 0x80 else 10
        interface = Interface(
            section=self._section,
            number=len(self._here),
            name=_text(options, pcapng.IF_NAME),
            description=_text(options, pcapng.IF_DESCRIPTION),
            link_type=link_type,
            snap_length=snap_length,
            ticks_per_second=base ** (exponent & 0x7F),
            offset_s=0 if offset is None else self._unpack("q", offset)[0],
        )
        self._here.append(interface)
        self.interfaces.append(interface)

    def _interface(self, number: int) -> Interface:
        if number >= len(self._here):
            raise self._error(f"interface {number} was not described before")
        return self._here[number]

    def _take_statistics(self, body: bytes) -> None:
        number, _, _ = self._unpack("III", body)
        options = self._options(body, 12)
        self.statistics.append(
            Statistics(
                self._interface(number),
                self._count(options, pcapng.ISB_RECEIVED),
                self._count(options, pcapng.ISB_DROPPED),
            )
        )

    def _count(self, options: Options, code: int) -> int | None:
        value = _value(options, code)
        if value is None:
            return None
        if len(value) != 8:
            raise self._error("a counter does not have 8 bytes")
        return self._unpack("Q", value)[0]

    def _enhanced_packet(self, body: bytes) -> Packet:
        number, high, low, kept, length = self._unpack("IIIII", body)
        interface = self._interface(number)
        data = body[20 : 20 + kept]
        if len(data) < kept:
            raise self._error("a packet is longer than its block")
        options = self._options(body, 20 + ((kept + 3) & ~3))
        flags = 0
        packed_flags = _value(options, pcapng.EPB_FLAGS)
        if packed_flags is not None:
            if len(packed_flags) != 4:
                raise self._error("packet flags do not have 4 bytes")
            (flags,) = self._unpack("I", packed_flags)
        ticks = high << 32 | low
        outgoing = {pcapng.FLAG_INBOUND: False, pcapng.FLAG_OUTBOUND: True}.get(flags & 3)
        return Packet(
            interface=interface,
            time_ns=(ticks * 1_000_000_000) // interface.ticks_per_second
            + interface.offset_s * 1_000_000_000,
            data=data,
            length=length,
            outgoing=outgoing,
            checksum_pending=bool(flags & pcapng.FLAG_CHECKSUM_NOT_READY),
            comments=tuple(
                value.decode(errors="replace")
                for code, value in options
                if code == pcapng.OPT_COMMENT
            ),
        )

    def _simple_packet(self, body: bytes) -> Packet:
        (length,) = self._unpack("I", body)
        interface = self._interface(0)
        kept = min(length, interface.snap_length or length)
        data = body[4 : 4 + kept]
        if len(data) < kept:
            raise self._error("a packet is longer than its block")
        return Packet(interface, None, data, length, None, False, ())


def _value(options: Options, code: int) -> bytes | None:
    return next((value for found, value in options if found == code), None)


def _text(options: Options, code: int) -> str:
    value = _value(options, code)
    return "" if value is None else value.decode(errors="replace")
