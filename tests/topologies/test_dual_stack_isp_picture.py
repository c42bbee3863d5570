"""The drawing of a failure, and what was last heard before it."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import TestbedError
from testbed.events import AdjacencyDown, AdjacencyUp, Record
from testbed.events.routing_kinds import Protocol
from testbed.evidence.report.data import DrawingEvidence, Scenario
from testbed.evidence.report.drawing import pictures_of
from testbed.evidence.report.redact import Redactor
from topologies.dual_stack_isp.picture import draw
from topologies.dual_stack_isp.wire import Family, Row, Trip, last_heard_ns

_S = 10**9
WAY, OTHER = ("pc", "a", "www"), ("pc", "b", "www")
MARKS = [("begin", 0), ("a <dies> & is buried", 2 * _S), ("a is back", 8 * _S), ("end", 10 * _S)]


def _trips(answers: list[tuple[str, ...] | None]) -> list[Trip]:
    return [
        Trip("IPv4", at, at * _S, at * _S + 1, way, way[::-1])
        if way
        else Trip("IPv4", at, at * _S, None, ("pc", "a"), ())
        for at, way in enumerate(answers)
    ]


TRIPS = _trips([WAY, WAY, None, None, OTHER, OTHER, OTHER, OTHER, OTHER, WAY])
DOWN = Record(4 * _S, "service", AdjacencyDown("frr", "OSPFv2", "a", "192.0.2.1", "a"), "b")
UP = Record(9 * _S, "service", AdjacencyUp("frr", "OSPFv2", "a", "192.0.2.1", "a"), "b")


def _classes(svg: str) -> list[str]:
    return [element.get("class", "") for element in ET.fromstring(svg).iter()]


def test_the_report_takes_it() -> None:
    svg = draw("a dies", TRIPS, [DOWN, UP], MARKS)
    scenario = Scenario("x", "x", "passed", 1.0, evidence=(DrawingEvidence("x", svg),))
    assert list(pictures_of([scenario], Redactor(()))) == [svg]


def test_every_stretch_is_a_bar_and_every_change_a_dot() -> None:
    classes = _classes(draw("a dies", TRIPS, [DOWN, UP], MARKS))
    bars = [kind for kind in classes if re.fullmatch(r"way\d|lost", kind)]
    assert bars == ["way0", "way1", "way0", "lost", "way0", "way1", "lost"], "the last: the legend"
    assert [kind for kind in classes if kind in ("down", "up")] == ["down", "up"]


def test_what_was_before_and_after_is_not_drawn() -> None:
    late = Record(11 * _S, "service", DOWN.event, "b")
    assert "down" not in _classes(draw("a dies", TRIPS, [late], MARKS))


@given(
    st.lists(st.sampled_from([WAY, OTHER, WAY[::-1], ("x",), None]), max_size=12),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20),
)
def test_any_of_them_is_well_formed_and_inside_the_paper(
    answers: list[tuple[str, ...] | None], title: str
) -> None:
    root = ET.fromstring(draw(title, _trips(answers), [DOWN], MARKS))
    width = float(root.get("width", "0"))
    for element in root.iter("{http://www.w3.org/2000/svg}rect"):
        right = float(element.get("x", "0")) + float(element.get("width", "0"))
        assert 0 <= right <= width + 1


def _row(second: int, **fields: str) -> Row:
    names = ("ip.ttl", "ipv6.hlim", "ospf.msg", "tcp.len", "udp.dstport")
    plain = {"frame.interface_name": "r1/x", "frame.time_epoch": f"{second}.0", "eth.src": "02:01"}
    given_names = {name.replace("_", "."): value for name, value in fields.items()}
    return {**dict.fromkeys(names, ""), **plain, **given_names}


ROWS = [
    _row(1, ip_ttl="1", ospf_msg="1"),
    _row(2, ip_ttl="1", ospf_msg="4"),
    _row(3, ipv6_hlim="1", ospf_msg="1"),
    _row(4, ip_ttl="1", tcp_len="19"),
    _row(5, ip_ttl="1", tcp_len="0"),
    _row(6, ip_ttl="255", udp_dstport="3784"),
    _row(7, ip_ttl="1", ospf_msg="1"),
    {**_row(1, ip_ttl="1", ospf_msg="1"), "eth.src": "02:02"},
]


def test_only_a_hello_a_message_of_bgp_and_a_packet_of_bfd_count() -> None:
    def heard(protocol: Protocol, family: Family) -> int:
        return last_heard_ns(ROWS, protocol, family, "r1/x", "02:01", 6 * _S) // _S

    assert heard("OSPFv2", "IPv4") == 1, "neither the update nor what came later"
    assert heard("OSPFv3", "IPv6") == 3
    assert heard("BGP", "IPv4") == 4, "not the mere acknowledgement"
    assert heard("BFD", "IPv4") == 6
    with pytest.raises(TestbedError, match="nothing of BGP over IPv6 comes from 02:01"):
        heard("BGP", "IPv6")
