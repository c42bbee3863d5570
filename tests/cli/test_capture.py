"""``testbed capture``: files and streams that other programs can read, ended in every way."""

from __future__ import annotations

import io
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgReader

from testbed.cli.packet_lines import packet_line
from testbed.evidence.pcapng import LINKTYPE_ETHERNET
from testbed.evidence.pcapng_reader import Interface, Packet
from testbed.lab import Lab
from tests.cli.conftest import Call, Start, Terminal, command, plain, read_until, run
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_root


def _ping(lab: Lab, count: int = 2) -> None:
    lab.run("alice", ["ping", "-c", str(count), "-i", "0.01", "192.0.2.2"], check=True)


def _echoes(data: bytes) -> list[int]:
    """The ICMP types of the packets in a capture, as scapy reads it."""
    return [packet[ICMP].type for packet in PcapNgReader(io.BytesIO(data)) if ICMP in packet]


def _captures(lab: Lab) -> list[object]:
    return list(lab.status()["captures"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stream_ends_whole(pair_lab: Lab, start: Start, number: signal.Signals) -> None:
    process = start("capture", pair_lab.name, "bob:eth0", "-f", "icmp", "-w", "-")
    read_until(process.stderr, b"capturing on bob:eth0; Ctrl-C ends it\n")
    _ping(pair_lab, 3)
    process.send_signal(number)
    data, told = process.communicate(timeout=30)
    assert process.returncode == 0
    assert told == b"6 packets, 0 lost\n"
    assert _echoes(data) == [8, 0, 8, 0, 8, 0]
    assert _captures(pair_lab) == []


def test_a_file_ends_after_a_number_of_packets(pair_lab: Lab, start: Start, tmp_path: Path) -> None:
    file = tmp_path / "x.pcapng"
    process = start("capture", pair_lab.name, "-f", "icmp", "-c", "5", "-w", file)
    read_until(process.stderr, b"capturing on alice:eth0, bob:eth0")
    _ping(pair_lab, 4)
    assert process.wait(30) == 0
    read_until(process.stderr, rb"5 packets in .*x.pcapng, 0 lost\n")
    assert len(_echoes(file.read_bytes())) == 5


def test_it_ends_after_a_time(pair_lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "x.pcapng"
    done = run(
        "capture", pair_lab.name, "alice:eth0", "-f", "tcp port 9", "--seconds", "0.1", "-w", file
    )
    assert done.returncode == 0
    assert done.stderr.endswith(f"0 packets in {file}, 0 lost\n")
    assert list(PcapNgReader(str(file))) == []


def test_packets_are_printed_for_a_person(pair_lab: Lab, start: Start) -> None:
    process = start("capture", pair_lab.name, "bob:eth0", "-f", "icmp", "-c", "2")
    read_until(process.stderr, b"Ctrl-C ends it\n")
    _ping(pair_lab, 1)
    out, _ = process.communicate(timeout=30)
    request, reply = out.decode().splitlines()
    clock = r"\d\d:\d\d:\d\d\.\d{6}"
    ends = r"192\.0\.2\.{} > 192\.0\.2\.{} ICMP echo {}\b.*"
    assert re.fullmatch(rf"{clock} bob:eth0 < {ends.format(1, 2, 'request')}", request)
    assert re.fullmatch(rf"{clock} bob:eth0 > {ends.format(2, 1, 'reply')}", reply)


def test_it_ends_when_its_reader_has_gone(pair_lab: Lab) -> None:
    """Without another packet: Wireshark's window was closed on a silent line."""
    words = command("capture", pair_lab.name, "alice:eth0", "-f", "tcp port 9", "-w", "-")
    script = '"$@" | head -c 8 >/dev/null; echo "${PIPESTATUS[0]}"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words], capture_output=True, timeout=30, check=False
    )
    assert done.stdout == b"0\n"
    assert done.stderr.endswith(b"0 packets, 0 lost\n")
    wait_until(lambda: _captures(pair_lab) == [], "the lab to forget the capture")


def test_a_slow_reader_of_much_gets_everything_up_to_the_end(pair_lab: Lab, start: Start) -> None:
    """More than a pipe holds is waiting when the end is asked for."""
    process = start("capture", pair_lab.name, "bob:eth0", "-f", "icmp", "-w", "-")
    read_until(process.stderr, b"Ctrl-C ends it\n")
    pair_lab.run(
        "alice", ["ping", "-q", "-c", "200", "-i", "0.002", "-s", "1400", "192.0.2.2"], check=True
    )
    process.send_signal(signal.SIGINT)
    data, told = process.communicate(timeout=30)
    assert told == b"400 packets, 0 lost\n"
    assert len(data) > 500_000
    assert len(_echoes(data)) == 400


def test_a_killed_capture_is_forgotten_by_the_lab(pair_lab: Lab, start: Start) -> None:
    process = start("capture", pair_lab.name, "bob:eth0", "-f", "tcp port 9", "-w", "-")
    read_until(process.stderr, b"Ctrl-C ends it\n")
    assert len(_captures(pair_lab)) == 1
    process.kill()
    wait_until(lambda: _captures(pair_lab) == [], "the lab to forget the capture")


def test_a_lab_that_goes_down_ends_the_capture(own_lab: Lab, start: Start) -> None:
    process = start("capture", own_lab.name, "bob:eth0", "-f", "icmp", "-w", "-")
    read_until(process.stderr, b"Ctrl-C ends it\n")
    _ping(own_lab, 1)
    own_lab.down()
    data, told = process.communicate(timeout=30)
    assert process.returncode == 0
    assert told == b"2 packets, the lab went down meanwhile\n"
    assert _echoes(data) == [8, 0]


def test_nothing_binary_goes_to_a_terminal(
    pair_lab: Lab, terminal: Callable[..., Terminal]
) -> None:
    at = terminal("capture", pair_lab.name, "bob:eth0", "-w", "-")
    assert at.wait() == 2
    assert "pcapng is not for a terminal" in at.seen
    assert "\0" not in at.seen


def test_a_failed_start_leaves_an_older_file_alone(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "precious.pcapng"
    file.write_text("data")
    assert call("capture", "nowhere", "a:b", "-w", file).code == 1
    assert file.read_text() == "data"


def test_drops_are_told_beside_their_packets() -> None:
    """The comment that the lab's writer puts on a packet is at the end of its line."""
    frame = bytes(Ether() / IP(src="10.0.0.1", dst="192.0.2.7") / ICMP(id=7))
    interface = Interface(0, 0, "ce/wan", "", LINKTYPE_ETHERNET, 0, 10**9, 0)

    def line(outgoing: bool | None, *comments: str, time_ns: int | None = 0) -> str:
        packet = Packet(interface, time_ns, frame, len(frame), outgoing, False, comments)
        return packet_line(packet)

    shown = plain(line(True, "dropped by map-br: wrong-psid", "twice"))
    assert re.search(
        r"\.000000 ce:wan > 10\.0\.0\.1 > 192\.0\.2\.7 ICMP echo request .*"
        r" \[dropped by map-br: wrong-psid\] \[twice\]$",
        shown,
    )
    assert " ce:wan < 10.0.0.1" in plain(line(False))
    assert line(None, time_ns=None).startswith("--:--:--.------ ce:wan   10.0.0.1")


def test_a_writer_that_dies_is_no_quiet_end(pair_lab: Lab, start: Start, tmp_path: Path) -> None:
    file = tmp_path / "x.pcapng"
    process = start("capture", pair_lab.name, "bob:eth0", "-f", "tcp port 9", "-w", file)
    read_until(process.stderr, b"Ctrl-C ends it\n")
    pair_lab.run("alice", ["sh", "-c", f"kill -9 {_writer(pair_lab)}"], check=True)
    assert process.wait(30) == 1
    told = read_until(process.stderr, b"where: .*\n").decode()
    assert "error: the capture is incomplete: " in told
    assert f"where: {file}" in told


def _writer(lab: Lab) -> int:
    """The pid, in the lab, of its capture writer: a fork of pid 1 that leads no service."""
    listing = lab.run("alice", ["ps", "-e", "-o", "pid=", "-o", "comm="]).stdout
    found = [int(line.split()[0]) for line in listing.splitlines() if "testbed-lab" in line]
    (writer,) = [pid for pid in found if pid != 1]
    return writer
