"""The service around charon: errors before anything is started, and charon's last words."""

from __future__ import annotations

import io
import os
import socket
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.events import Emitter
from testbed.events.codec import decode
from testbed.peers.ike import PeerConfigError
from testbed.peers.strongswan.control import Control, ControlClosedError
from testbed.peers.strongswan.daemon import Ears, run
from testbed.peers.strongswan.messages import Packet, PacketType, Section, encode_packet
from testbed.peers.strongswan.watch import SaWatch
from tests.peers.ends import BRANCH
from tests.peers.story import ike, up


def _peer_file(folder: Path, key: Path) -> Path:
    path = folder / "peer.json"
    path.write_text(replace(BRANCH, psk_file=str(key)).to_json())
    return path


def test_no_description(tmp_path: Path) -> None:
    with pytest.raises(PeerConfigError, match=r"peer\.json: cannot read it: No such file"):
        run(tmp_path / "peer.json", Emitter())


def test_a_description_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "peer.json"
    path.write_text("proposals: aes256")
    with pytest.raises(PeerConfigError, match="not the description of an IKE peer"):
        run(path, Emitter())


def test_no_pre_shared_key(tmp_path: Path) -> None:
    path = _peer_file(tmp_path, tmp_path / "psk")
    with pytest.raises(PeerConfigError, match="cannot read the pre-shared key: No such file"):
        run(path, Emitter())


def test_an_empty_pre_shared_key(tmp_path: Path) -> None:
    key = tmp_path / "psk"
    key.write_text("\n")
    with pytest.raises(PeerConfigError, match="the pre-shared key is empty"):
        run(_peer_file(tmp_path, key), Emitter())


def _sent(name: str, message: Section) -> bytes:
    data = encode_packet(Packet(PacketType.EVENT, name, message))
    return struct.pack("!I", len(data)) + data


@pytest.mark.parametrize("goes", [True, False], ids=["charon goes", "we are asked to end"])
def test_what_charon_said_last_is_told(tmp_path: Path, goes: bool) -> None:
    """Lines and control events that nobody has read yet when the end comes."""
    told = io.StringIO()
    reading, writing = os.pipe2(os.O_NONBLOCK)
    asked, asking = os.pipe()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "vici"))
        server.listen()
        with Control(tmp_path / "vici") as control:
            ears = Ears(SaWatch("azure"), control, reading, Emitter(stream=told))
            charon, _ = server.accept()
            with charon:
                for _, name, message in up():
                    charon.sendall(_sent(name, message))
                os.write(writing, b"1735689600.500 05[IKE] <rtx|1> giving up after 5 retransmits\n")
                charon.sendall(_sent("ike-updown", {"rtx": ike()}))
                if not goes:
                    os.write(asking, b"x")
                    ears.listen(asked)
            if goes:
                with pytest.raises(ControlClosedError):
                    ears.listen(asked)
            ears.drain()
    for descriptor in (reading, writing, asked, asking):
        os.close(descriptor)
    kinds = [decode(line).event.kind for line in told.getvalue().splitlines()]
    assert kinds == [
        "ike-sa-established",
        "child-sa-established",
        "child-sa-deleted",
        "ike-sa-deleted",
    ]
