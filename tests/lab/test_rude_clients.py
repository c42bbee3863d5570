"""Whoever talks to a lab in a wrong way harms neither it nor the others."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import LabError
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.lab import Lab
from testbed.model import Topology
from testbed.supervisor.channel import connect, socket_name
from tests.lab.conftest import two_hosts
from tests.waiting import wait_until

Up = Callable[[Topology], Lab]


def _descriptors(lab: Lab) -> int:
    return len(list(Path(f"/proc/{lab.pid}/fd").iterdir()))


def _raw(lab: Lab) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(socket_name(lab.name, os.geteuid()))
    sock.settimeout(5)
    return sock


@pytest.mark.parametrize(
    "message",
    [
        b"notjson",
        b"[1]",
        b"\xff",
        b"[" * 50_000,
        b"{}",
        b'{"do": 7}',
        b'{"do": "socket"}',
        b'{"do": "socket", "node": "bob", "family": 1e400, "kind": 1, "protocol": 0}',
        b'{"do": "socket", "node": "bob", "family": 9999999999999, "kind": 1, "protocol": 0}',
    ],
)
def test_a_senseless_message_is_answered_and_leaks_nothing(up: Up, message: bytes) -> None:
    lab = up(two_hosts())
    before = _descriptors(lab)
    with _raw(lab) as sock, open(os.devnull, "rb") as nothing:  # noqa: PTH123  # a descriptor
        for _ in range(3):
            socket.send_fds(sock, [message], [nothing.fileno()] * 4)
            assert b'"error"' in sock.recv(65536)
    wait_until(lambda: _descriptors(lab) <= before, "the descriptors to be closed")
    assert lab.run("alice", ["true"]).ok


def test_a_capture_stays_in_its_folder(up: Up) -> None:
    lab = up(two_hosts())
    with _raw(lab) as sock:
        request = {"do": "capture", "action": "start", "interfaces": ["bob:eth0"]}
        sock.send(json.dumps({**request, "file": "../evil"}).encode())
        assert b"has no folders" in sock.recv(65536)
    assert not (lab.run_folder / "evil").exists()


def test_one_who_does_not_read_does_not_stop_the_lab(up: Up) -> None:
    lab = up(two_hosts())
    with _raw(lab) as sock:
        with pytest.raises(OSError, match=r"timed out|Broken pipe|reset|Transport"):
            for _ in range(100_000):
                sock.send(b'{"do": "status"}')
        assert lab.run("alice", ["true"]).ok


def test_a_capture_whose_reader_has_gone_leaves_nothing(up: Up) -> None:
    lab = up(two_hosts())
    before = _descriptors(lab)
    reading, writing = os.pipe()
    channel: Channel = connect(lab.name)
    request = {"do": "capture", "action": "start", "interfaces": ["bob:eth0"]}
    channel.send(request, (writing,))
    channel.receive()
    os.close(writing)
    os.close(reading)
    channel.close()
    wait_until(lambda: lab.status()["captures"] == [], "the capture to end")
    wait_until(lambda: _descriptors(lab) <= before, "its descriptors to be closed")


def test_a_command_with_bytes_that_are_no_text(up: Up) -> None:
    lab = up(two_hosts())
    result = lab.run("alice", ["printf", "%s", os.fsdecode(b"\xff")])
    assert result.ok
    lab.note("still there")
    assert lab.events()


def test_a_channel_that_is_closed_says_so(up: Up) -> None:
    lab = up(two_hosts())
    channel = connect(lab.name)
    lab.down()
    with pytest.raises((ChannelClosedError, LabError)):
        channel.send({"do": "status"})
        channel.receive()


def test_a_message_of_any_size_goes_over(up: Up) -> None:
    """The state of a lab of thousands of nodes is larger than what one packet of a socket holds."""
    long = {"text": "x" * 5_000_000}
    ours, theirs = Channel.pair()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123  # a descriptor
        ours.send(long, (nothing.fileno(),))
        message, descriptors = theirs.receive()
    assert message == long
    assert [str(Path(f"/proc/self/fd/{one}").readlink()) for one in descriptors] == [os.devnull]
    for one in descriptors:
        os.close(one)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    ours.close()
    theirs.close()
    lab = up(two_hosts())
    assert lab.run("alice", ["true"], environment={"LONG": "x" * 100_000}).ok


@pytest.mark.parametrize("size", [-1, 10, 10**12])
def test_a_long_message_that_is_not_there_is_answered(up: Up, size: int) -> None:
    lab = up(two_hosts())
    before = _descriptors(lab)
    memory = os.memfd_create("short")
    with _raw(lab) as sock:
        socket.send_fds(sock, [json.dumps({"in memory": size}).encode()], [memory])
        assert b"makes no sense" in sock.recv(65536)
        sock.send(json.dumps({"in memory": size}).encode())
        assert b'"error"' in sock.recv(65536)
    os.close(memory)
    wait_until(lambda: _descriptors(lab) <= before, "the descriptors to be closed")


def test_a_command_from_a_folder_that_is_gone(
    up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = up(two_hosts())
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(LabError, match="has been removed") as caught:
        lab.run("alice", ["true"])
    assert "cd" in (caught.value.hint or "")
    monkeypatch.undo()
