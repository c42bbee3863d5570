"""The hash of a run, and the first difference between two."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from testbed.events import Note, Record, encode
from testbed.evidence import pcapng
from testbed.replay.difference import first_difference
from testbed.replay.history import History

_SECOND = 10**9
_START = 1_735_689_600 * _SECOND
_FRAME = bytes.fromhex("020000000002020000000001") + b"\x08\x00" + bytes(46)


def _events(folder: Path, lab: str, texts: list[tuple[int, str]]) -> None:
    path = folder / "labs" / lab / "events.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [encode(Record(_START + at * _SECOND, "test", Note(text), "pc")) for at, text in texts]
    path.write_text("".join(f"{line}\n" for line in lines))


def _capture(
    folder: Path, lab: str, frames: list[tuple[int, bytes]], system: str = "Linux"
) -> Path:
    path = folder / "labs" / lab / "captures" / "all of it.pcapng"
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = [
        pcapng.section_header(os=system),
        pcapng.interface_description("pc/eth0", pcapng.LINKTYPE_ETHERNET),
    ]
    for at, frame in frames:
        blocks.append(pcapng.enhanced_packet(0, _START + at * _SECOND, frame, len(frame)))
    path.write_bytes(b"".join(blocks))
    return path


def _two(tmp_path: Path) -> tuple[Path, Path]:
    """Two run folders with the same in them."""
    for name in ("one", "other"):
        folder = tmp_path / name
        _events(folder, "pair-web", [(1, "first"), (5, "second")])
        _capture(folder, "pair-web", [(2, _FRAME), (4, _FRAME)])
        (folder / "report.html").write_text(f"report of {name}")
    return tmp_path / "one", tmp_path / "other"


def test_the_hash_is_what_the_documented_command_prints(tmp_path: Path) -> None:
    one, _ = _two(tmp_path)
    _events(one / "guests/b", "Z", [(1, "x")])
    _events(one / "guests/a", "z-é", [(1, "x")])
    listed = "find * -name '*.pcapng' -o -name events.jsonl | LC_ALL=C sort"
    command = f"{listed} | xargs -d '\\n' sha256sum | sha256sum"
    said = subprocess.run(
        ["bash", "-c", command], cwd=one, capture_output=True, text=True, check=True
    )
    history = History.of(one)
    assert said.stdout.split()[0] == history.hash
    assert (history.captures, history.streams) == (1, 3)


def test_only_what_happened_counts(tmp_path: Path) -> None:
    one, other = _two(tmp_path)
    assert History.of(one) == History.of(other)
    assert first_difference(one, other) is None


def test_the_earliest_difference_is_told_with_both_sides(tmp_path: Path) -> None:
    """The events differ at five seconds, the capture at four: that is where the runs part."""
    one, other = _two(tmp_path)
    _events(other, "pair-web", [(1, "first"), (5, "another")])
    _capture(other, "pair-web", [(2, _FRAME), (4, _FRAME[:30] + b"\x07" + _FRAME[31:])])
    found = first_difference(one, other)
    assert found is not None
    assert found.file == "labs/pair-web/captures/all of it.pcapng"
    assert (found.what, found.time_ns) == ("packet 2", _START + 4 * _SECOND)
    assert found.one.startswith("2025-01-01 00:00:04.000000000 pc/eth0 ")
    _capture(other, "pair-web", [(2, _FRAME), (4, _FRAME)])
    found = first_difference(one, other)
    assert found is not None
    assert (found.file, found.what) == ("labs/pair-web/events.jsonl", "event 2")
    assert found.one.endswith("note pc: second")
    assert found.other.endswith("note pc: another")


def test_packets_that_read_alike_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    one, other = _two(tmp_path)
    _capture(other, "pair-web", [(2, _FRAME), (4, _FRAME[:-1] + b"\x63")])
    found = first_difference(one, other)
    assert found is not None
    assert found.one == found.other
    assert found.detail == "byte 59: 00 00 00 00 00 against 00 00 00 00 63"


def test_one_that_ends_early_and_one_that_is_missing(tmp_path: Path) -> None:
    one, other = _two(tmp_path)
    _capture(other, "pair-web", [(2, _FRAME)])
    found = first_difference(one, other)
    assert found is not None
    assert (found.what, found.other) == ("packet 2", "nothing: it ends before")
    _capture(other, "pair-web", [(2, _FRAME), (4, _FRAME)])
    _events(other, "another", [(1, "only here")])
    found = first_difference(one, other)
    assert found is not None
    assert found.file == "labs/another/events.jsonl"
    assert (found.one, found.other) == ("not there", "there")


def test_a_difference_outside_of_packets(tmp_path: Path) -> None:
    one, other = _two(tmp_path)
    _capture(other, "pair-web", [(2, _FRAME), (4, _FRAME)], system="Minix")
    found = first_difference(one, other)
    assert found is not None
    assert found.what == "outside of packets"
    assert found.detail.startswith("byte ")
    shutil.rmtree(other / "labs/pair-web/captures")
    assert first_difference(one, other) != found
