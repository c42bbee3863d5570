"""What FRR 8.4 answered br1 of dual_stack_isp, read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.peers.frr import show
from testbed.peers.frr.show import AnswerError, BgpSession, OspfNeighbor

_ANSWERS = Path(__file__).parent / "answers"
_READERS = (
    show.read_ospf_neighbors,
    show.read_ospf6_neighbors,
    show.read_bgp_sessions,
    show.read_routes,
)


def _answer(name: str) -> str:
    return (_ANSWERS / f"{name}.json").read_text()


def test_ospf_neighbors() -> None:
    expected = {OspfNeighbor("192.0.2.6", "br2", "Full"), OspfNeighbor("192.0.2.3", "p1", "Full")}
    assert set(show.read_ospf_neighbors(_answer("ospf_neighbors"))) == expected
    assert set(show.read_ospf6_neighbors(_answer("ospf6_neighbors"))) == expected


def test_bgp_sessions_of_both_families() -> None:
    sessions = show.read_bgp_sessions(_answer("bgp_summary"))
    assert {session.address: session.remote_as for session in sessions} == {
        "192.0.2.3": 64500,
        "192.0.2.4": 64500,
        "203.0.113.129": 64501,
        "3fff:5ff::3": 64500,
        "3fff:5ff::4": 64500,
        "3fff:a00:0:1::2": 64501,
    }
    assert BgpSession("203.0.113.129", 64501, show.ESTABLISHED, 1) in sessions


def test_routes_that_are_used() -> None:
    routes = {route.prefix: route for route in show.read_routes(_answer("ip_routes"))}
    far = routes["203.0.113.0/25"]
    assert (far.protocol, far.distance, far.installed) == ("bgp", 20, True)
    assert far.hops == (("203.0.113.129", "transit-a"),)
    near = routes["192.0.2.2/32"]
    assert (near.protocol, near.distance, near.metric) == ("ospf", 110, 20)
    assert near.hops == (("192.0.2.74", "p1"),)
    connected = routes["192.0.2.78/31"]
    assert (connected.protocol, connected.hops) == ("connected", ((None, "br2"),))
    nowhere = routes["198.51.100.0/24"]
    assert (nowhere.protocol, nowhere.hops) == ("kernel", ((None, None),))


def test_a_route_that_is_known_twice_is_there_once_if_one_is_used() -> None:
    known = json.loads(_answer("ip_routes"))
    known["192.0.2.78/31"].append(
        {**known["192.0.2.2/32"][0], "prefix": "192.0.2.78/31", "selected": False}
    )
    prefixes = [route.prefix for route in show.read_routes(json.dumps(known))]
    assert len(prefixes) == len(set(prefixes))


def test_ipv6_routes() -> None:
    routes = show.read_routes(_answer("ipv6_routes"))
    assert {route.protocol for route in routes} == {"bgp", "ospf6", "kernel", "connected"}


@pytest.mark.parametrize("reader", _READERS)
@pytest.mark.parametrize("text", ["", "ospfd is not running", "[]", '{"neighbors": 3}', "3"])
def test_what_is_no_answer_is_an_error_with_its_beginning(reader: object, text: str) -> None:
    assert callable(reader)
    with pytest.raises(AnswerError, match="not an answer that can be read") as caught:
        reader(text)
    assert str(caught.value.where).startswith("show ")
    assert (text or "nothing")[:5] in (caught.value.hint or "")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(_READERS),
)
def test_any_json_is_read_or_refused(data: object, reader: object) -> None:
    assert callable(reader)
    try:
        assert isinstance(reader(json.dumps(data)), tuple)
    except AnswerError:
        return
