"""The Mermaid text: complete, and hostile names stay inside their quotes."""

from __future__ import annotations

import re

from hypothesis import given, settings

from testbed.evidence.graph import draw_mermaid
from testbed.model.topology import Interface, Link, Node, Topology, parse_address
from tests.evidence.strategies import HOSTILE, topologies

# All a line of our flowcharts may be; labels hold no quote, angle bracket (but our own tags) or
# ampersand, since anything unusual is written as an entity.
_LABEL = r'"(?:[^"<>&`]|<br/>|</?[bi]>)*"'
_LINE = re.compile(
    rf"""
    flowchart[ ]LR
    | [ ]+subgraph[ ]group\d+\[{_LABEL}\]
    | [ ]+end
    | [ ]+node\d+(?:\[{_LABEL}\]|\(\[{_LABEL}\]\)|\[\[{_LABEL}\]\])
    | [ ]+segment\d+\{{\{{{_LABEL}\}}\}}
    | [ ]+(?:node|segment)\d+[ ]---\|{_LABEL}\|[ ](?:node|segment)\d+
    """,
    re.VERBOSE,
)


@settings(max_examples=100, deadline=None)
@given(topologies(names=HOSTILE, max_nodes=6))
def test_every_line_is_of_a_known_form(topology: Topology) -> None:
    lines = draw_mermaid(topology).splitlines()
    if topology.title:
        assert lines[0] == lines[2] == "---"
        assert re.fullmatch(r'title: "(?:[^"\\]|\\["\\])*"', lines[1])
        lines = lines[3:]
    for line in lines:
        assert _LINE.fullmatch(line), line
    stubs = sum(len(link.ends) for link in topology.links if len(link.ends) != 2)
    cables = sum(len(link.ends) == 2 for link in topology.links)
    assert sum("---|" in line for line in lines) == cables + stubs


def test_a_cable_names_both_ends_with_their_addresses() -> None:
    ends = (
        Interface(
            "alice", "eth0", (parse_address("192.0.2.1/24"), parse_address("2001:db8::1/64"))
        ),
        Interface("bob", "eth0", (parse_address("192.0.2.2/24"),)),
    )
    topology = Topology(
        "t",
        'A "quoted" title',
        (Node("alice"), Node("bob", "router")),
        (Link("cable", ends, 1460),),
    )
    assert draw_mermaid(topology) == (
        "---\n"
        'title: "A \\"quoted\\" title"\n'
        "---\n"
        "flowchart LR\n"
        '  node0["<b>alice</b>"]\n'
        '  node1(["<b>bob</b>"])\n'
        '  node0 ---|"cable<br/>MTU 1460<br/>alice:eth0 192.0.2.1/24 2001:db8::1/64'
        '<br/>bob:eth0 192.0.2.2/24"| node1\n'
    )


def test_hostile_names_are_entities() -> None:
    text = draw_mermaid(Topology("t", "", (Node('x"]; click <script>'),)))
    assert 'node0["<b>x#34;#93;#59; click #60;script#62;</b>"]' in text
