"""Where two runs part: the first packet or event that differs, with both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

from testbed.errors import TestbedError
from testbed.events import Record, decode
from testbed.evidence.event_words import in_words
from testbed.evidence.pcapng_reader import Packet, PcapngReader
from testbed.evidence.report.frames import describe_frame
from testbed.replay.history import History

_NOTHING = "nothing: it ends before"
_NO_TIME = 1 << 63


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that is not the same in two runs.

    ``file`` is its name in both run folders, ``what`` the place in it (``packet 12``, ``event 3``,
    ``the whole file``), ``time_ns`` the earlier of both times (None where there is none), ``one``
    and ``other`` the two sides in words; ``detail`` says more where the words are the same.
    """

    file: str
    what: str
    time_ns: int | None
    one: str
    other: str
    detail: str = ""


def first_difference(one: Path, other: Path) -> Difference | None:
    """The earliest difference between the captures and events of two run folders, or None.

    A file that only one of them has follows from something earlier, so it comes last.
    """
    ours, theirs = (dict(History.of(folder).sums) for folder in (one, other))
    found = []
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) == theirs.get(name):
            continue
        if name not in ours or name not in theirs:
            sides = ["there" if name in side else "not there" for side in (ours, theirs)]
            found.append(Difference(name, "the whole file", None, sides[0], sides[1]))
        elif name.endswith(".jsonl"):
            found.append(_of_events(name, one / name, other / name))
        else:
            found.append(_of_packets(name, one / name, other / name))
    return min(found, key=_order, default=None)


def _order(difference: Difference) -> tuple[int, str]:
    return (_NO_TIME if difference.time_ns is None else difference.time_ns, difference.file)


def _of_events(name: str, one: Path, other: Path) -> Difference:
    pairs = zip_longest(_lines(one), _lines(other))
    for number, (ours, theirs) in enumerate(pairs, start=1):
        if ours == theirs:
            continue
        records = [_record(line) for line in (ours, theirs)]
        words = [
            _event_words(line, record) for line, record in zip((ours, theirs), records, strict=True)
        ]
        times = [record.time_ns for record in records if record is not None]
        detail = _first_bytes(ours or b"", theirs or b"") if words[0] == words[1] else ""
        return Difference(
            name, f"event {number}", min(times, default=None), words[0], words[1], detail
        )
    raise AssertionError("the sums differ and the lines do not")


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _record(line: bytes | None) -> Record | None:
    try:
        return None if line is None else decode(line)
    except TestbedError:
        return None


def _event_words(line: bytes | None, record: Record | None) -> str:
    if line is None:
        return _NOTHING
    if record is None:
        return line.decode(errors="replace").strip()
    where = "/".join(part for part in (record.node, record.service) if part)
    place = f" {where}:" if where else ""
    return f"{moment(record.time_ns)} {record.event.kind}{place} {in_words(record.event)[0]}"


def _of_packets(name: str, one: Path, other: Path) -> Difference:
    with one.open("rb") as first, other.open("rb") as second:
        pairs = zip_longest(PcapngReader(first), PcapngReader(second))
        for number, (ours, theirs) in enumerate(pairs, start=1):
            if ours == theirs:
                continue
            times = [p.time_ns for p in (ours, theirs) if p is not None and p.time_ns is not None]
            words = [_packet_words(packet) for packet in (ours, theirs)]
            detail = ""
            if words[0] == words[1] and ours is not None and theirs is not None:
                detail = _first_bytes(ours.data, theirs.data)
            return Difference(
                name, f"packet {number}", min(times, default=None), words[0], words[1], detail
            )
    detail = _first_bytes(one.read_bytes(), other.read_bytes())
    return Difference(name, "outside of packets", None, "", "", detail)


def _packet_words(packet: Packet | None) -> str:
    if packet is None:
        return _NOTHING
    arrow = {None: " ", True: ">", False: "<"}[packet.outgoing]
    summary = describe_frame(packet.data, packet.interface.link_type).summary
    said = "".join(f" [{comment}]" for comment in packet.comments)
    when = "" if packet.time_ns is None else f"{moment(packet.time_ns)} "
    return f"{when}{packet.interface.name} {arrow} {summary}, {packet.length} bytes{said}"


def _first_bytes(ours: bytes, theirs: bytes) -> str:
    """The first byte that differs, with a few around it."""
    places = (at for at, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
    at = next(places, min(len(ours), len(theirs)))
    around = slice(max(at - 4, 0), at + 8)
    return f"byte {at}: {ours[around].hex(' ')} against {theirs[around].hex(' ')}"


def moment(time_ns: int) -> str:
    """``2025-01-01 00:00:00.029319680``, UTC."""
    seconds, rest = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest:09d}"
