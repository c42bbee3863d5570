"""The service around charon: what is wrong is said before anything is started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.events import Emitter
from testbed.peers.ike import PeerConfigError
from testbed.peers.strongswan.daemon import run
from tests.peers.ends import BRANCH


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
