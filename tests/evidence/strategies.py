"""Topologies for the drawing's tests: hand-made ones and hypothesis strategies."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface

from hypothesis import strategies as st

from testbed.model.impairment import Impairment
from testbed.model.service import Service
from testbed.model.topology import (
    ROLES,
    Interface,
    InterfaceAddress,
    Link,
    Node,
    Topology,
)

PLAIN = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
HOSTILE = st.one_of(
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '" onload="alert(1)',
            "]]>",
            "</svg>",
            "&lt;",
            "a\x00b",
            "\u202etxt",
            "end",
            "網終端装置",
            "`x`",
            "#quot;",
        ]
    ),
    st.text(min_size=1, max_size=15),
)

_ADDRESS: st.SearchStrategy[InterfaceAddress] = st.one_of(
    st.builds(
        lambda number, length: IPv4Interface((number, length)),
        st.integers(0, 2**32 - 1),
        st.integers(8, 32),
    ),
    st.builds(
        lambda number, length: IPv6Interface((number, length)),
        st.integers(0, 2**128 - 1),
        st.integers(32, 128),
    ),
)
_FRACTION = st.floats(0, 1)
_IMPAIRMENT = st.none() | st.builds(
    Impairment,
    rate=st.none() | st.integers(1, 10**11),
    delay=st.floats(0, 10),
    loss=_FRACTION,
    queue=st.none() | st.integers(1, 1000),
)


@st.composite
def topologies(
    draw: st.DrawFn, names: st.SearchStrategy[str] = PLAIN, max_nodes: int = 9
) -> Topology:
    """Any graph: cables, segments, loops, isolated nodes, groups that share nodes."""
    node_names = draw(st.lists(names, min_size=1, max_size=max_nodes, unique=True))
    nodes = tuple(
        Node(
            name,
            role=draw(st.sampled_from(ROLES)),
            note=draw(st.just("") | names),
            services=tuple(
                Service(service, ("x",)) for service in draw(st.lists(names, max_size=2))
            ),
        )
        for name in node_names
    )
    link_names = draw(st.lists(names, max_size=max_nodes + 3, unique=True))
    links = tuple(
        Link(
            name,
            tuple(
                Interface(
                    draw(st.sampled_from(node_names)),
                    f"e{number}x{index}",
                    tuple(draw(st.lists(_ADDRESS, max_size=2))),
                    impairment=draw(_IMPAIRMENT),
                )
                for index in range(draw(st.sampled_from([2, 2, 2, 2, 3, 4, 1, 0])))
            ),
            mtu=draw(st.sampled_from([1500, 1500, 1460])),
            impairment=draw(_IMPAIRMENT),
            note=draw(st.just("") | names),
        )
        for number, name in enumerate(link_names)
    )
    titles = draw(st.lists(names, max_size=3, unique=True))
    groups = tuple(
        (title, tuple(draw(st.lists(st.sampled_from(node_names), max_size=4, unique=True))))
        for title in titles
    )
    return Topology("generated", draw(st.just("") | names), nodes, links, groups)
