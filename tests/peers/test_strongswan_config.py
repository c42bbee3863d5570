"""What charon is told: text as a person would write it, and no key in it.

To accept a changed text: ``TESTBED_UPDATE_GOLDEN=1 make test``, then read the difference.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from testbed.peers.ike import IkePeer, Lifetime, PeerConfigError
from testbed.peers.strongswan import config
from testbed.peers.strongswan.messages import decode_message, encode_message
from testbed.peers.strongswan.service import strongswan
from tests.peers.ends import BRANCH, peers

_GOLDEN = Path(__file__).with_name("branch.txt")
_KEY = "nobody may read this"


def test_the_texts_are_the_golden_ones() -> None:
    text = "\n".join(
        (
            "# strongswan.conf",
            config.strongswan_text(BRANCH, vici="/run/vici", log="/run/log"),
            "# swanctl.conf",
            config.swanctl_text(BRANCH),
            "# ip -batch",
            config.tunnel_commands(BRANCH),
        )
    )
    if os.environ.get("TESTBED_UPDATE_GOLDEN"):
        _GOLDEN.write_text(text)
    assert text == _GOLDEN.read_text()


@given(peers())
def test_every_peer_that_charon_can_play_is_a_message(peer: IkePeer) -> None:
    if peer.lifetime.life_s and not peer.lifetime.rekey_s:
        with pytest.raises(PeerConfigError, match="cannot give up an IKE_SA"):
            config.connection(peer)
        return
    message = config.connection(peer)
    assert decode_message(encode_message(message)) == message


def test_the_key_is_in_its_message_and_nowhere_else() -> None:
    assert config.shared_key(BRANCH, _KEY)["data"] == _KEY
    service = strongswan(BRANCH, _KEY)
    assert service.secrets == (_KEY,)
    assert _KEY not in repr(service)
    assert not any(_KEY in text for text in service.command)
    assert not any(_KEY in text for _, text in service.files)


def test_an_ike_sa_that_is_never_renewed_is_never_given_up() -> None:
    peer = replace(BRANCH, lifetime=Lifetime(rekey_s=0, life_s=0))
    section = config.connection(peer)["branch"]
    assert not isinstance(section, str | list)
    assert section["rekey_time"] == "0s"
