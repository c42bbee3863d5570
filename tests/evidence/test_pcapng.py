"""pcapng files, judged by tshark and scapy; the reader against both byte orders and damage."""

from __future__ import annotations

import io
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapNgReader

from testbed.evidence import pcapng
from testbed.evidence.pcapng_reader import Packet, PcapngError, PcapngReader
from testbed.kernel.namespaces import find_program
from tests.evidence.judges import needs_tshark, tshark

NOW = 1_780_000_000_123_456_789
UDP = bytes.fromhex(
    "02000000000b02000000000a08004500001e000040004011 b6c4c0000201c0000202".replace(" ", "")
    + "30390035000a0000"
    + "6869"
)


def _sample() -> bytes:
    return b"".join(
        (
            pcapng.section_header(os="Linux 6", application="testbed 0", comment="two homes"),
            pcapng.name_resolution({"192.0.2.1": "home-a", "2001:db8::1": "br"}),
            pcapng.interface_description("ce-a/wan", pcapng.LINKTYPE_ETHERNET, description="NGN"),
            pcapng.interface_description("ce-a/tun0", pcapng.LINKTYPE_RAW, snap_length=20),
            pcapng.enhanced_packet(
                0, NOW, UDP, len(UDP), flags=pcapng.FLAG_INBOUND, comments=("drop: why", "twice")
            ),
            pcapng.enhanced_packet(1, NOW + 1, UDP[14:34], 30, flags=pcapng.FLAG_OUTBOUND),
            pcapng.enhanced_packet(0, NOW + 2, UDP[:-1], len(UDP), comments=("bare",)),
            pcapng.interface_statistics(0, NOW + 9, start_ns=NOW, received=7, dropped=3),
        )
    )


@needs_tshark
def test_tshark_reads_names_times_directions_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "sample.pcapng"
    path.write_bytes(_sample())
    rows = tshark(
        path,
        "frame.interface_name",
        "frame.interface_description",
        "frame.time_epoch",
        "frame.packet_flags_direction",
        "frame.comment",
        "frame.len",
        "frame.cap_len",
        "ip.src",
    )
    assert [row[0] for row in rows] == ["ce-a/wan", "ce-a/tun0", "ce-a/wan"]
    assert [row[1] for row in rows] == ["NGN", "", "NGN"]
    assert [row[2] for row in rows] == [f"1780000000.1234567{end}" for end in (89, 90, 91)]
    assert [int(row[3] or "0", 0) for row in rows] == [1, 2, 0]
    assert [row[4] for row in rows] == ["drop: why|twice", "", "bare"]
    assert [(row[5], row[6]) for row in rows] == [("44", "44"), ("30", "20"), ("44", "43")]
    assert rows[1][7] == "192.0.2.1"


@pytest.mark.skipif(find_program("capinfos") is None, reason="capinfos is missing")
def test_capinfos_reads_the_section_and_statistics(tmp_path: Path) -> None:
    path = tmp_path / "sample.pcapng"
    path.write_bytes(_sample())
    told = subprocess.check_output(["capinfos", str(path)], text=True, stderr=subprocess.DEVNULL)
    assert "Capture oper-sys:    Linux 6" in told
    assert "Capture application: testbed 0" in told
    assert "Capture comment:     two homes" in told
    assert "Number of packets:   3" in told
    assert "Number of interfaces in file: 2" in told
    assert "Name = ce-a/wan" in told
    assert "Number of stat entries = 1" in told


def test_scapy_reads_the_same_frames(tmp_path: Path) -> None:
    path = tmp_path / "sample.pcapng"
    path.write_bytes(_sample())
    with RawPcapNgReader(str(path)) as reader:
        seen = list(reader)
    assert [data for data, _ in seen] == [UDP, UDP[14:34], UDP[:-1]]
    first, second, third = (about for _, about in seen)
    assert (first.tshigh << 32 | first.tslow) == NOW
    assert first.tsresol == second.tsresol == 10**9
    assert (first.linktype, second.linktype) == (1, 101)
    assert (second.wirelen, third.wirelen) == (30, 44)
    assert first.ifname == b"ce-a/wan"
    assert first.direction == 1
    assert second.direction == 2
    assert b"drop: why" in (first.comments or [first.comment])


def test_our_reader_reads_it_too() -> None:
    reader = PcapngReader(io.BytesIO(_sample()))
    first, second, third = list(reader)
    assert reader.application == "testbed 0"
    assert [i.name for i in reader.interfaces] == ["ce-a/wan", "ce-a/tun0"]
    assert reader.interfaces[0].description == "NGN"
    assert reader.interfaces[1].snap_length == 20
    (statistics,) = reader.statistics
    assert (statistics.interface.name, statistics.received, statistics.dropped) == (
        "ce-a/wan",
        7,
        3,
    )
    assert (first.time_ns, first.data, first.length, first.outgoing) == (NOW, UDP, 44, False)
    assert first.comments == ("drop: why", "twice")
    assert (second.interface.link_type, second.length, second.outgoing) == (101, 30, True)
    assert third.outgoing is None
    assert third.comments == ("bare",)


@dataclass(frozen=True)
class Asked:
    """What a test wants written."""

    interface: int
    time_ns: int
    data: bytes
    extra: int
    flags: int
    comments: tuple[str, ...]


asked = st.builds(
    Asked,
    st.integers(0, 2),
    st.integers(0, 2**63),
    st.binary(max_size=70),
    st.integers(0, 3000),
    st.sampled_from((0, 1, 2, 1 | 1 << 9, 2 | 1 << 9)),
    st.lists(st.text(max_size=20), max_size=3).map(tuple),
)


def _written(packets: list[Asked]) -> bytes:
    blocks = [pcapng.section_header()]
    blocks += [pcapng.interface_description(f"n/{i}", 1) for i in range(3)]
    blocks += [
        pcapng.enhanced_packet(
            packet.interface,
            packet.time_ns,
            packet.data,
            len(packet.data) + packet.extra,
            flags=packet.flags,
            comments=packet.comments,
        )
        for packet in packets
    ]
    return b"".join(blocks)


@given(st.lists(asked, max_size=6))
def test_what_is_written_is_read_back(packets: list[Asked]) -> None:
    directions = {0: None, 1: False, 2: True}
    read = list(PcapngReader(io.BytesIO(_written(packets))))
    assert [
        (p.interface.number, p.time_ns, p.data, p.length - len(p.data), p.outgoing, p.comments)
        for p in read
    ] == [
        (p.interface, p.time_ns, p.data, p.extra, directions[p.flags & 3], p.comments)
        for p in packets
    ]
    assert [p.checksum_pending for p in read] == [bool(p.flags & 1 << 9) for p in packets]


def test_a_comment_too_long_for_the_format_is_cut_at_a_whole_character() -> None:
    data = b"".join(
        (
            pcapng.section_header(),
            pcapng.interface_description("a/b", 1),
            pcapng.enhanced_packet(0, 0, b"", 0, comments=("é" * 40_000,)),
        )
    )
    (packet,) = PcapngReader(io.BytesIO(data))
    assert packet.comments == ("é" * 32_767,)


def _foreign(order: str, resolution: int, offset: int | None) -> bytes:
    """A file of another writer: byte order, time resolution, a simple and an unknown block."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack(order + "I", len(body) + 12)
        return struct.pack(order + "I", kind) + size + body + size

    options = struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(order + "HHq", 14, 8, offset)
    return b"".join(
        (
            block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)),
            block(1, struct.pack(order + "HHI", 1, 0, 4) + options),
            block(0x0BAD, b"not known"),
            block(6, struct.pack(order + "IIIII", 0, 1, 2, 3, 9) + b"abc\0"),
            block(3, struct.pack(order + "I", 9) + b"wxyz"),
        )
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("resolution", "offset", "time_ns"),
    [
        (6, None, (2**32 + 2) * 1000),
        (9, -1, 2**32 + 2 - 10**9),
        (0x8A, None, (2**32 + 2) * 10**9 // 1024),
    ],
)
def test_files_of_others_are_read(
    order: str, resolution: int, offset: int | None, time_ns: int
) -> None:
    reader = PcapngReader(io.BytesIO(_foreign(order, resolution, offset)))
    enhanced, simple = reader
    assert (enhanced.time_ns, enhanced.data, enhanced.length) == (time_ns, b"abc", 9)
    assert (simple.time_ns, simple.data, simple.length) == (None, b"wxyz", 9)


def test_sections_follow_each_other() -> None:
    data = _foreign("<", 6, None) + _foreign(">", 6, None)
    packets = list(PcapngReader(io.BytesIO(data)))
    assert [packet.interface.section for packet in packets] == [0, 0, 1, 1]


HEAD = pcapng.section_header()
ONE = pcapng.interface_description("a/b", 1)
DAMAGED = [
    (b"", "byte 0: not a valid pcapng file: it is empty"),
    (b"abc", "cut short"),
    (ONE, "does not begin with a section header"),
    (HEAD[:-1], "cut short"),
    (HEAD[:8] + b"\0\0\0\0" + HEAD[12:], "byte order"),
    (HEAD[:12] + b"\x09\0" + HEAD[14:], "version 9"),
    (HEAD[:-4] + b"\0\0\0\0", "lengths of a block differ"),
    (HEAD + struct.pack("=III", 1, 13, 13), f"byte {len(HEAD)}: .* impossible length 13"),
    (HEAD + struct.pack("=III", 1, 8, 8), "impossible length 8"),
    (HEAD + struct.pack("=III", 1, 1 << 31, 8), "impossible length"),
    (HEAD + pcapng.block(1, b"\0\0"), "too short"),
    (HEAD + pcapng.enhanced_packet(0, 0, b"", 0), "interface 0 was not described"),
    (HEAD + ONE + pcapng.block(6, struct.pack("=IIIII", 0, 0, 0, 99, 99)), "longer than its block"),
    (HEAD + pcapng.block(1, struct.pack("=HHIHH", 1, 0, 0, 2, 50)), "option is longer"),
    (HEAD + pcapng.block(1, struct.pack("=HHIHHI", 1, 0, 0, 9, 2, 0)), "time option"),
    (HEAD + ONE + pcapng.block(6, struct.pack("=5IHHI", 0, 0, 0, 0, 0, 2, 2, 0)), "packet flags"),
    (HEAD + ONE + pcapng.block(5, struct.pack("=IIIHHI", 0, 0, 0, 4, 4, 0)), "counter"),
    (HEAD + pcapng.block(3, struct.pack("=I", 0)), "interface 0 was not described"),
    (HEAD + ONE + pcapng.block(3, struct.pack("=I", 50)), "longer than its block"),
]


@pytest.mark.parametrize(("data", "words"), DAMAGED, ids=[words for _, words in DAMAGED])
def test_damage_is_told_with_its_place(data: bytes, words: str) -> None:
    with pytest.raises(PcapngError, match=words):
        list(PcapngReader(io.BytesIO(data)))


def _read(data: bytes, *, partial_end: bool) -> tuple[list[Packet], bool]:
    """The packets before the damage, and whether there was any."""
    packets: list[Packet] = []
    reading: Iterator[Packet] = iter(PcapngReader(io.BytesIO(data), partial_end=partial_end))
    try:
        packets.extend(reading)
    except PcapngError:
        return packets, True
    return packets, False


@given(st.data())
def test_a_file_being_written_is_read_up_to_its_last_whole_packet(data: st.DataObject) -> None:
    whole = _sample()
    end = data.draw(st.integers(0, len(whole)))
    complete = list(PcapngReader(io.BytesIO(whole)))
    packets, damaged = _read(whole[:end], partial_end=True)
    assert not damaged
    assert packets == complete[: len(packets)]
    strict, damaged = _read(whole[:end], partial_end=False)
    assert strict == packets
    at_a_boundary = end in _boundaries(whole)
    assert damaged != at_a_boundary


def _boundaries(data: bytes) -> set[int]:
    ends, at = set(), 0
    while at < len(data):
        at += struct.unpack_from("=I", data, at + 4)[0]
        ends.add(at)
    return ends


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_never_crash_the_reader(changes: list[tuple[int, int]]) -> None:
    data = bytearray(_sample())
    for at, value in changes:
        data[at % len(data)] = value
    _read(bytes(data), partial_end=False)


@given(st.binary(max_size=200))
def test_garbage_never_crashes_the_reader(data: bytes) -> None:
    _read(data, partial_end=False)
    _read(HEAD + ONE + data, partial_end=True)
    for kind in (1, 3, 4, 5, 6):
        _read(HEAD + ONE + pcapng.block(kind, data), partial_end=False)
