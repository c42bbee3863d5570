"""IKE peers as data: there and back, and what cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from testbed.peers.ike import IkePeer, Lifetime, PeerConfigError, peer_from_json
from tests.peers.ends import BRANCH, peers


@given(peers())
def test_a_peer_comes_back_as_it_went(peer: IkePeer) -> None:
    assert peer_from_json(peer.to_json(), "peer.json") == peer


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 1}', BRANCH.to_json()[:-30]])
def test_what_is_no_peer_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(PeerConfigError, match=r"peer\.json: this is not the description"):
        peer_from_json(text, "peer.json")


@pytest.mark.parametrize(
    ("numbers", "what"),
    [
        ((100, 50, 0), "given up after 50 s is not rekeyed after 100 s"),
        ((100, 0, 100), "cannot come up to 100 s earlier"),
        ((-1, 0, 0), "negative"),
    ],
)
def test_lifetimes_that_cannot_be(numbers: tuple[int, int, int], what: str) -> None:
    with pytest.raises(PeerConfigError, match=what):
        Lifetime(*numbers)


def test_addresses_are_addresses() -> None:
    with pytest.raises(PeerConfigError, match="remote: 'azure' does not appear"):
        replace(BRANCH, remote_address="azure")
    with pytest.raises(PeerConfigError, match=r"route: 10\.1\.0\.1/16 has host bits set"):
        replace(BRANCH, tunnel=replace(BRANCH.tunnel, routes=("10.1.0.1/16",)))


def test_children_have_names_of_their_own() -> None:
    with pytest.raises(PeerConfigError, match="names of their own"):
        replace(BRANCH, children=BRANCH.children * 2)
