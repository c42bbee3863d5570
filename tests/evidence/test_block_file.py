"""Blocks into files and pipes: whole ones, also when the disk is full or the reader slow."""

from __future__ import annotations

import io
import os
import resource
import threading
from pathlib import Path

import pytest

from testbed.evidence import pcapng
from testbed.evidence.block_file import BlockFile, CaptureFileError, ReaderGoneError
from testbed.evidence.pcapng_reader import PcapngReader
from testbed.kernel import libc
from tests.kernel.in_netns import in_new_network

HEAD = pcapng.section_header() + pcapng.interface_description("a/b", 1)


def packet(size: int) -> bytes:
    """A packet block holding a frame of this size."""
    return pcapng.enhanced_packet(0, 1, bytes(size), size)


def _fill(path: Path) -> tuple[str, int]:
    """Write until it fails; the error and the packets counted."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    file = BlockFile(descriptor)
    file.add(HEAD)
    with pytest.raises(CaptureFileError) as caught:
        for _ in range(1000):
            file.add(packet(1001) * 7, 7)
            file.flush()
    os.close(descriptor)
    return str(caught.value), file.packets


def _check_whole(path: Path, packets: int) -> None:
    data = path.read_bytes()
    assert len(list(PcapngReader(io.BytesIO(data)))) == packets > 0


@pytest.mark.needs_root
def test_a_full_disk_is_told_and_leaves_whole_blocks(tmp_path: Path) -> None:
    def work() -> tuple[str, int]:
        libc.unshare(libc.CLONE_NEWNS)
        libc.mount("none", "/", None, libc.MS_REC | libc.MS_PRIVATE)
        libc.mount("tmpfs", str(tmp_path), "tmpfs", 0, "size=64k")
        error, packets = _fill(tmp_path / "capture.pcapng")
        _check_whole(tmp_path / "capture.pcapng", packets)
        return error, packets

    error, packets = in_new_network(work)
    assert "could not be written: No space left on device" in error
    assert "hint: make room" in error
    assert packets < 64


def test_a_file_size_limit_is_told_and_leaves_whole_blocks(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcapng"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        error, packets = _fill(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large" in error
    assert packets == (20_000 - len(HEAD)) // len(packet(1001))
    _check_whole(path, packets)


def test_a_closed_pipe_is_told() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    file = BlockFile(writing)
    file.add(HEAD)
    with pytest.raises(ReaderGoneError):
        file.flush()
    os.close(writing)


def test_a_slow_reader_blocks_nobody_and_misses_nothing() -> None:
    reading, writing = os.pipe()
    file = BlockFile(writing)
    file.add(HEAD)
    blocks = [packet(size) for size in range(3000)]
    file.add(b"".join(blocks), len(blocks))
    assert not file.flush()  # the pipe is full; nobody waits
    assert 0 < file.packets < 3000
    assert file.waiting > 4_000_000
    assert not file.is_full
    received = bytearray()
    reader = threading.Thread(target=_read_to_end, args=(reading, received), daemon=True)
    reader.start()
    while file.waiting:
        file.flush(timeout_s=10)
    os.close(writing)
    reader.join()
    os.close(reading)
    assert file.packets == 3000
    assert file.waiting == 0
    assert bytes(received) == HEAD + b"".join(blocks)


def _read_to_end(descriptor: int, into: bytearray) -> None:
    while data := os.read(descriptor, 100_000):
        into += data


def test_a_reader_that_stands_still_fills_us_up() -> None:
    reading, writing = os.pipe()
    file = BlockFile(writing)
    file.add(packet(1 << 20) * 18, 18)
    assert not file.flush()
    assert file.is_full
    os.close(reading)
    os.close(writing)
