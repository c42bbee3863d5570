"""The capture process on real interfaces: nothing missed, in order, its end told."""

from __future__ import annotations

import io
import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from testbed.components.packet.digest import packet_key
from testbed.evidence.capture import run_capture
from testbed.evidence.pcapng_reader import Packet, PcapngReader
from testbed.kernel import libc, links
from testbed.kernel.packet_socket import PacketSocket
from testbed.kernel.rtnl import RouteSocket
from tests.evidence.judges import needs_tshark, tshark
from tests.kernel.in_netns import in_new_network
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_root

MAC_A, MAC_B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
ETHERNET_HEADER = bytes(Ether(src=MAC_A, dst=MAC_B, type=0x0800))


@cache
def datagram(number: int, size: int = 20) -> bytes:
    """An IPv4 packet that differs by number."""
    packet = IP(src="192.0.2.1", dst="192.0.2.2", id=number) / UDP(sport=7) / bytes(size)
    return bytes(packet)


def frame(number: int, size: int = 20) -> bytes:
    """It, in a frame from a to b."""
    return ETHERNET_HEADER + datagram(number, size)


def make_link() -> None:
    """A veth pair, a and b, up and silent."""
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    with RouteSocket() as kernel:
        kernel.run(
            links.veth(
                links.VethEnd("a", 10, mac=MAC_A), links.VethEnd("b", 11, mac=MAC_B), up=True
            ),
            links.change(11, up=True),
        )
        kernel.settle((10, 11))


@dataclass
class Running:
    """A capture process of home/a and ce/b, and a socket that sends on a."""

    pid: int
    control: socket.socket
    raw: socket.socket
    last: PacketSocket

    def send(self, *frames: bytes) -> None:
        """Put frames on the link and wait until they have arrived at its other end."""
        for data in frames:
            self.raw.send(data)
        arrived = 0
        while arrived < len(frames):
            assert select.select([self.last], [], [], 30)[0], "the frames do not arrive"
            arrived += len(self.last.receive_many())

    def say(self, **message: Any) -> None:
        """Send a message to the process."""
        self.control.send(json.dumps(message).encode())

    def answer(self) -> dict[str, Any]:
        """Its next answer."""
        data: dict[str, Any] = json.loads(self.control.recv(65536))
        return data

    def ask(self, do: str) -> dict[str, Any]:
        """Send a command; the answer."""
        self.say(do=do)
        return self.answer()

    def end(self) -> int:
        """Wait for the process; its exit status."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextmanager
def capturing(
    output: int, window_s: float = 1.0, other_end: int | None = None
) -> Iterator[Running]:
    """Capture in a forked child, as a lab does; the child drops ``other_end`` of its pipe."""
    last = PacketSocket("b")  # opened first, it is handed each frame after the others
    sources = [("home/a", PacketSocket("a")), ("ce/b", PacketSocket("b"))]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            ours.close()
            if other_end is not None:
                os.close(other_end)
            run_capture(sources, output, theirs, window_s=window_s)
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    for _, source in sources:
        source.close()
    with ours, last, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind(("a", 0))
        ours.settimeout(30)
        yield Running(pid, ours, raw, last)


def read(path: Path, *, partial_end: bool = False) -> tuple[list[Packet], PcapngReader]:
    """What a capture file holds."""
    reader = PcapngReader(io.BytesIO(path.read_bytes()), partial_end=partial_end)
    return list(reader), reader


def to_file(path: Path, work: Callable[[Running], Any], window_s: float = 1.0) -> Any:
    """The result of ``work`` in a namespace with a link and a capture into a file."""

    def inside() -> Any:
        make_link()
        output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with capturing(output, window_s) as running:
            os.close(output)
            result = work(running)
            assert running.end() == 0
            return result

    return in_new_network(inside)


@needs_tshark
def test_everything_is_written_in_order_and_the_end_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcapng"

    def work(running: Running) -> dict[str, Any]:
        running.send(*(frame(number, number) for number in range(1, 301)))
        return running.ask("stop")

    answer = to_file(path, work)
    assert answer == {"done": "stop", "packets": 600, "lost": 0, "error": None}
    packets, reader = read(path)
    assert [i.name for i in reader.interfaces] == ["home/a", "ce/b"]
    assert [(s.received, s.dropped) for s in reader.statistics] == [(300, 0), (300, 0)]
    for name, outgoing in (("home/a", True), ("ce/b", False)):
        seen = [packet for packet in packets if packet.interface.name == name]
        assert [packet.data for packet in seen] == [frame(n, n) for n in range(1, 301)]
        assert all(packet.outgoing == outgoing for packet in seen)
    times = [packet.time_ns or 0 for packet in packets]
    assert times == sorted(times)
    rows = tshark(path, "frame.interface_name", "ip.id", "udp.length")
    assert sorted(rows) == sorted(
        [name, f"0x{number:04x}", str(number + 8)]
        for name in ("home/a", "ce/b")
        for number in range(1, 301)
    )


def test_sync_makes_everything_so_far_readable(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcapng"

    def work(running: Running) -> list[Any]:
        seen: list[Any] = []
        for count in (3, 5):
            running.send(*(frame(number) for number in range(count)))
            seen.append(running.ask("sync"))
            packets, _ = read(path)  # strict: the file ends with a whole block
            seen.append(len(packets))
        seen.append(running.ask("stop"))
        return seen

    first, read_first, second, read_second, last = to_file(path, work, window_s=3600)
    assert first == {"done": "sync", "packets": 6, "lost": 0, "error": None}
    assert (read_first, second["packets"], read_second) == (6, 16, 16)
    assert last["packets"] == 16


def test_frames_are_written_by_themselves_when_the_window_has_passed(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcapng"

    def work(running: Running) -> int:
        running.send(frame(1))
        wait_until(lambda: len(read(path, partial_end=True)[0]) == 2, "both packets", timeout=20)
        running.ask("stop")
        return len(read(path)[0])

    assert to_file(path, work, window_s=0.05) == 2


@needs_tshark
def test_a_dropped_packet_bears_the_reason_where_it_was_dropped(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcapng"

    def work(running: Running) -> dict[str, Any]:
        running.send(frame(1), frame(2), frame(3))
        for number, node in ((2, "ce"), (99, "ce"), (3, "elsewhere")):
            running.say(
                do="notice",
                node=node,
                key=packet_key(datagram(number)),
                comment=f"drop: reason {number}",
                time_ns=time.time_ns(),
                head=datagram(number).hex(),
            )
        return running.ask("stop")

    answer = to_file(path, work)
    assert answer["error"] is None
    rows = tshark(path, "frame.interface_name", "ip.id", "frame.comment")
    assert sorted(rows) == [
        ["ce (dropped)", "0x0063", "drop: reason 99"],
        ["ce/b", "0x0001", ""],
        ["ce/b", "0x0002", "drop: reason 2"],
        ["ce/b", "0x0003", ""],
        ["home/a", "0x0001", ""],
        ["home/a", "0x0002", ""],
        ["home/a", "0x0003", ""],
    ]


def test_senseless_messages_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcapng"

    def work(running: Running) -> dict[str, Any]:
        running.control.send(b"\xff not JSON")
        running.say(do="notice", node="ce")
        running.say(do="notice", node="ce", key=1, comment="x")
        running.say(do="notice", node="ce", key="k", comment="x", head="zz")
        running.say(do="dance")
        running.control.send(b"[]")
        running.send(frame(1))
        return running.ask("stop")

    assert to_file(path, work)["packets"] == 2


def test_the_lab_going_away_ends_a_capture_properly(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcapng"

    def work(running: Running) -> None:
        running.send(frame(1))
        running.control.close()

    to_file(path, work)
    packets, reader = read(path)
    assert len(packets) == 2
    assert len(reader.statistics) == 2


def test_interfaces_may_go_down_and_away(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcapng"

    def work(running: Running) -> dict[str, Any]:
        with RouteSocket() as kernel:
            running.send(frame(1))
            kernel.run(links.change("b", up=False), links.change("b", up=True))
            kernel.settle((10, 11))
            running.send(frame(2))
            kernel.run(links.delete("a"))
        return running.ask("stop")

    assert to_file(path, work)["packets"] == 4


def test_losses_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcapng"

    def inside() -> dict[str, Any]:
        make_link()
        last = PacketSocket("b")
        sources = [("ce/b", PacketSocket("b", buffer=4096))]
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
            raw.bind(("a", 0))
            for number in range(300):
                raw.send(frame(number, 500))
        arrived = 0
        while arrived < 300:
            assert select.select([last], [], [], 30)[0], "the frames do not arrive"
            arrived += len(last.receive_many())
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output = os.open(path, os.O_WRONLY | os.O_CREAT)
        ours.send(b'{"do": "stop"}')
        run_capture(sources, output, theirs)
        answer: dict[str, Any] = json.loads(ours.recv(4096))
        return answer

    answer = in_new_network(inside)
    assert answer["lost"] > 0
    assert answer["packets"] + answer["lost"] == 300
    _, reader = read(path)
    assert [(s.received, s.dropped) for s in reader.statistics] == [(300, answer["lost"])]


def test_a_full_disk_ends_the_capture_with_an_error_and_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcapng"

    def inside() -> tuple[dict[str, Any], int, int]:
        libc.unshare(libc.CLONE_NEWNS)
        libc.mount("none", "/", None, libc.MS_REC | libc.MS_PRIVATE)
        libc.mount("tmpfs", str(tmp_path), "tmpfs", 0, "size=64k")
        make_link()
        output = os.open(path, os.O_WRONLY | os.O_CREAT)
        with capturing(output, window_s=0.01) as running:
            running.send(*(frame(number, 1000) for number in range(200)))
            answer = running.answer()  # comes unasked
            status = running.end()
            return answer, status, len(read(path)[0])

    answer, status, readable = in_new_network(inside)
    assert answer["done"] == "failed"
    assert "No space left on device" in answer["error"]
    assert "hint: make room" in answer["error"]
    assert status == 0
    assert answer["packets"] == readable > 0


def _stream(work: Callable[[Running, int], Any]) -> Any:
    """The result of ``work`` with a capture into a pipe, whose reading end it gets."""

    def inside() -> Any:
        make_link()
        reading, writing = os.pipe()
        with capturing(writing, 0.05, reading) as running:
            os.close(writing)
            return work(running, reading)

    return in_new_network(inside)


def test_a_stream_shows_its_interfaces_at_once_and_packets_soon() -> None:
    def work(running: Running, reading: int) -> tuple[list[str], list[bytes], int]:
        stream = os.fdopen(reading, "rb")
        reader = PcapngReader(stream)
        running.send(frame(1))
        packets = iter(reader)
        seen = [next(packets).data, next(packets).data]
        running.say(do="stop")
        return [i.name for i in reader.interfaces], seen, running.end()

    names, seen, status = _stream(work)
    assert names == ["home/a", "ce/b"]
    assert seen == [frame(1)] * 2
    assert status == 0


def test_a_reader_that_goes_ends_the_capture() -> None:
    def work(running: Running, reading: int) -> int:
        os.read(reading, 4096)  # it has begun
        os.close(reading)  # and there is no traffic that would let it notice
        return running.end()

    assert _stream(work) == 0


def test_a_reader_that_stands_still_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("testbed.evidence.capture._LAST_FLUSH_S", 0.05)

    def work(running: Running, reading: int) -> tuple[dict[str, Any], int]:
        running.send(*(frame(number, 1400) for number in range(200)))
        return running.ask("stop"), running.end()

    answer, status = _stream(work)
    assert answer["error"] == "the reader of the stream is too slow"
    assert 0 < answer["packets"] < 400
    assert status == 0
