"""Log lines of FRR 8.4 as events.  The lines are real ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.events import AdjacencyDown, AdjacencyUp, Event, Note
from testbed.peers.frr.log_lines import Line, LineReader, read_line

NAMES = {"192.0.2.1": "pe1", "192.0.2.5": "br1", "203.0.113.129": "transit-a"}
_TIME = "2026/11/22 03:51:46.668396"

OSPF_UP = (
    f"{_TIME} OSPF: [Y05P2-YJVXY] AdjChg: Nbr 192.0.2.1, NbrIP 192.0.2.64 (default) on "
    "pe1:192.0.2.65: Exchange -> Full (ExchangeDone)"
)
OSPF_DOWN = OSPF_UP.replace("Exchange -> Full (ExchangeDone)", "Full -> Deleted (InactivityTimer)")
OSPF_ANEW = OSPF_UP.replace("Exchange -> Full (ExchangeDone)", "Down -> Init (HelloReceived)")
OSPF6_UP = (
    f"{_TIME} OSPF6: [GHN28-AMRE7] AdjChg: Nbr 192.0.2.5(default) on 192.0.2.5%br1: "
    "Loading -> Full (LoadingDone)"
)
OSPF6_INTERFACE = f"{_TIME} OSPF6: [TDZ1X-E5G4A] Interface state change br1: PointToPoint -> Down"
BGP_UP = (
    f"{_TIME} BGP: [N9HHH-F8H1M] %ADJCHANGE: neighbor 203.0.113.129(transit-a) in vrf default Up"
)
BGP_DOWN = BGP_UP.replace("Up", "Down Peer closed the session")
BFD_UP = (
    f"{_TIME} BFD: [SEY1D-NT8EQ] state-change: [mhop:no peer:203.0.113.129 local:203.0.113.128 "
    "vrf:default ifname:transit-a] init -> up"
)
BFD_DOWN = BFD_UP.replace("init -> up", "up -> down reason:control-expired")
GONE = f"{_TIME} ZEBRA: [JPSA8-5KYEA] client 33 disconnected 9 ospf routes removed from the rib"
MISMATCH = (
    f"{_TIME} OSPF: [EXC71-TBX61][EC 134217741] Packet 192.0.2.1 [Hello:RECV]: HelloInterval "
    "mismatch on pe1:192.0.2.65 (expected 1, but received 2)."
)


def _events(*lines: str) -> list[Event]:
    reader = LineReader(NAMES)
    found: list[Event] = []
    for text in lines:
        line = read_line(text)
        assert line is not None, text
        found += reader.events(line)
    return found


def test_the_time_is_that_of_the_line() -> None:
    line = read_line(OSPF_UP)
    assert line is not None
    assert line.time_ns == 1_795_319_506_668_396_000
    assert line.daemon == "OSPF"


def test_ospf() -> None:
    up, down = _events(OSPF_UP, OSPF_DOWN)
    assert up == AdjacencyUp("frr", "OSPFv2", "pe1", "192.0.2.1", "pe1")
    assert down == AdjacencyDown("frr", "OSPFv2", "pe1", "192.0.2.1", "pe1", "InactivityTimer")


def test_states_on_the_way_are_not_told() -> None:
    assert _events(OSPF_ANEW, OSPF_ANEW.replace("Down -> Init", "Init -> ExStart")) == []


def test_ospfv3_goes_with_its_interface() -> None:
    """ospf6d does not tell of the neighbours there."""
    elsewhere = OSPF6_UP.replace("192.0.2.5%br1", "192.0.2.1%pe1")
    up, other, down = _events(OSPF6_UP, elsewhere, OSPF6_INTERFACE)
    assert up == AdjacencyUp("frr", "OSPFv3", "br1", "192.0.2.5", "br1")
    assert isinstance(other, AdjacencyUp)
    assert down == AdjacencyDown("frr", "OSPFv3", "br1", "192.0.2.5", "br1", "InterfaceDown")


def test_bgp() -> None:
    up, down = _events(BGP_UP, BGP_DOWN)
    assert up == AdjacencyUp("frr", "BGP", "transit-a", "203.0.113.129")
    assert isinstance(down, AdjacencyDown)
    assert (down.neighbor, down.why) == ("transit-a", "Peer closed the session")


def test_bfd() -> None:
    up, down = _events(BFD_UP, BFD_DOWN)
    assert up == AdjacencyUp("frr", "BFD", "transit-a", "203.0.113.129", "transit-a")
    assert isinstance(down, AdjacencyDown)
    assert down.why == "control-expired"


def test_a_daemon_that_dies_takes_its_adjacencies_with_it() -> None:
    *_, down = _events(OSPF_UP, BGP_UP, GONE)
    assert down == AdjacencyDown("frr", "OSPFv2", "pe1", "192.0.2.1", "pe1", "its daemon has gone")


@pytest.mark.parametrize("line", [OSPF_ANEW, OSPF_UP], ids=["it begins", "it is there"])
def test_a_daemon_that_begins_anew_had_lost_them(line: str) -> None:
    _, down, *again = _events(OSPF_UP, line)
    assert isinstance(down, AdjacencyDown)
    assert down.why == "a new daemon"
    assert [type(event) for event in again] == ([AdjacencyUp] if line == OSPF_UP else [])


def test_a_session_that_never_was_up_does_not_go_down() -> None:
    assert _events(BGP_DOWN, OSPF_DOWN, BFD_DOWN, OSPF6_INTERFACE, GONE) == []


def test_a_complaint_is_told_once_for_each_interface() -> None:
    again = MISMATCH.replace("46.668396", "47.668396")
    elsewhere = MISMATCH.replace("pe1:192", "br1:192")
    first, second = _events(MISMATCH, again, elsewhere)
    assert isinstance(first, Note)
    assert isinstance(second, Note)
    assert first.text.startswith("OSPF: Packet 192.0.2.1 [Hello:RECV]: HelloInterval mismatch")


def test_a_line_that_frr_does_not_understand_is_told() -> None:
    line = (
        f"{_TIME} OSPF: [SHWNK-NWT5S][EC 100663304] No such command on config line 20:  ip ospf x"
    )
    (note,) = _events(line)
    assert note == Note("OSPF: No such command on config line 20:  ip ospf x")


@pytest.mark.parametrize("text", ["", "hello", "2026/13/41 03:51:46 OSPF: x", "BGP: up"])
def test_what_is_no_line_is_none(text: str) -> None:
    assert read_line(text) is None


@given(
    st.text()
    | st.sampled_from([OSPF_UP, BGP_UP, BFD_UP]).flatmap(
        lambda line: st.integers(0, len(line)).map(lambda end: line[:end])
    )
)
def test_garbage_is_passed_over(text: str) -> None:
    line = read_line(text)
    if line is not None:
        list(LineReader({}).events(line))


@given(
    st.lists(
        st.sampled_from(
            [
                OSPF_UP,
                OSPF_DOWN,
                OSPF_ANEW,
                OSPF6_UP,
                OSPF6_INTERFACE,
                BGP_UP,
                BGP_DOWN,
                BFD_UP,
                BFD_DOWN,
                GONE,
            ]
        )
    )
)
def test_up_and_down_take_turns(lines: list[str]) -> None:
    """Whatever daemons say, an adjacency comes up before it goes down, and not twice."""
    up: set[tuple[str, str]] = set()
    for event in _events(*lines):
        assert isinstance(event, AdjacencyUp | AdjacencyDown)
        key = (event.protocol, event.address)
        assert (key in up) == isinstance(event, AdjacencyDown)
        up ^= {key}


def test_a_line_of_another_daemon_is_passed_over() -> None:
    assert list(LineReader({}).events(Line(0, "STATIC", "AdjChg: Nbr 1 -> Full"))) == []
