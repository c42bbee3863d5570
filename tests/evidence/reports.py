"""Reports for the report's tests: one made by hand and hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

from testbed.events import (
    Drop,
    LabUp,
    MappingCreated,
    Note,
    PacketSummary,
    Record,
    ServiceExited,
    Verdict,
)
from testbed.evidence.graph import draw_svg
from testbed.evidence.report import (
    CaptureFile,
    DrawingEvidence,
    FileEvidence,
    GuestRun,
    LogFile,
    PacketLine,
    PacketsEvidence,
    Run,
    RunReport,
    Scenario,
    TableEvidence,
    TextEvidence,
    TopologyView,
    group_drops,
)
from testbed.evidence.report.data import OUTCOMES
from testbed.model.topology import Interface, Link, Node, Topology

START = 1_700_000_000_000_000_000

HOSTILE = st.one_of(
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "</script><script>alert(1)</script>",
            "</style><script>alert(1)</script>",
            "</pre></details><img src=x onerror=alert(1)>",
            '" onmouseover="alert(1)',
            "' onfocus='alert(1)' autofocus='",
            "javascript:alert(1)",
            "//evil.example/x",
            "../../etc/passwd",
            "{{ 7 * 7 }}{% raw %}",
            "<!--",
            "]]>",
            "&lt;b&gt;",
            "a\nb\r\n\tc",
            "\udc80\ud800",
            "\u202e\u2066",
            "",
        ]
    ),
    st.text(max_size=12),
    st.text(st.characters(), max_size=12),  # lone surrogates and controls too
)

_NUMBER = st.integers(0, 2**62)
_SECONDS = st.floats(0, 1e7)


def _texts(most: int = 3) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(HOSTILE, max_size=most).map(tuple)


_LINES = st.builds(
    PacketLine,
    number=_NUMBER,
    time_ns=_NUMBER,
    where=HOSTILE,
    outgoing=st.none() | st.booleans(),
    summary=HOSTILE,
    length=_NUMBER,
    comments=_texts(),
)
_PACKETS = st.builds(
    PacketsEvidence,
    title=HOSTILE,
    packets=st.lists(_LINES, max_size=3).map(tuple),
    path=st.none() | HOSTILE,
)
_FILES = st.builds(FileEvidence, title=HOSTILE, path=HOSTILE)
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" class="p" width="9" height="9"><title>a &lt; b</title>'
    "<style>.p { color: red; }</style><rect width='9' height='9'/><text x='1'>a secret</text></svg>"
)
_EVIDENCE = st.one_of(
    st.builds(DrawingEvidence, title=HOSTILE, svg=st.just(PICTURE), path=st.none() | HOSTILE),
    st.builds(TextEvidence, title=HOSTILE, text=HOSTILE),
    st.builds(
        TableEvidence,
        title=HOSTILE,
        columns=_texts(),
        rows=st.lists(_texts(), max_size=3).map(tuple),
        tones=st.lists(st.sampled_from(["good", "bad", "warn", "plain"]), max_size=3).map(tuple),
    ),
    _PACKETS,
    _FILES,
)
_SCENARIOS = st.builds(
    Scenario,
    id=HOSTILE,
    title=HOSTILE,
    outcome=st.sampled_from(OUTCOMES),
    seconds=_SECONDS,
    started_ns=_NUMBER,
    topology=HOSTILE,
    why=HOSTILE,
    output=HOSTILE,
    evidence=st.lists(_EVIDENCE, max_size=3).map(tuple),
    last_packets=st.none() | _PACKETS,
    files=st.lists(_FILES, max_size=2).map(tuple),
)
_SUMMARIES = st.builds(
    PacketSummary, source=HOSTILE, destination=HOSTILE, protocol=HOSTILE, length=_NUMBER
)
_EVENTS = st.one_of(
    st.builds(Note, text=HOSTILE),
    st.builds(
        Drop,
        component=HOSTILE,
        reason=HOSTILE,
        place=HOSTILE,
        packet=st.none() | _SUMMARIES,
        rule=st.none() | HOSTILE,
        clause=st.none() | HOSTILE,
        detail=st.none() | HOSTILE,
    ),
    st.builds(Verdict, scenario=HOSTILE, outcome=HOSTILE, seconds=st.floats(0, 1e6), why=HOSTILE),
)
_RECORDS = st.builds(
    Record,
    time_ns=_NUMBER,
    origin=st.sampled_from(["harness", "service", "capture", "test"]),
    event=_EVENTS,
    node=st.none() | HOSTILE,
    service=st.none() | HOSTILE,
)
_RUNS = st.builds(
    Run,
    id=HOSTILE,
    started_ns=_NUMBER,
    seconds=_SECONDS,
    command=_texts(),
    host=HOSTILE,
    kernel=HOSTILE,
    python=HOSTILE,
    testbed=HOSTILE,
    seed=st.none() | _NUMBER,
    revision=st.none() | HOSTILE,
    tools=st.lists(st.tuples(HOSTILE, HOSTILE), max_size=2).map(tuple),
    notes=_texts(),
)


_GUESTS = st.builds(
    GuestRun,
    path=HOSTILE,
    kernel=HOSTILE,
    release=HOSTILE,
    clock=HOSTILE,
    sources=HOSTILE,
    repeats=st.booleans(),
    start=st.none() | HOSTILE,
    seed=st.none() | _NUMBER,
    history=st.none() | HOSTILE,
)


@st.composite
def _views(draw: st.DrawFn) -> TopologyView:
    name, title = draw(HOSTILE), draw(HOSTILE)
    link = Link(draw(HOSTILE), (Interface("n", draw(HOSTILE)), Interface("m", "e")))
    nodes = (Node("n", note=draw(HOSTILE)), Node("m"))
    svg = draw_svg(Topology(name, title, nodes, (link,), ((draw(HOSTILE), ("n",)),)))
    records = tuple(draw(st.lists(_RECORDS, max_size=4)))
    return TopologyView(name, title, draw(st.just(svg) | st.just("")), records, draw(HOSTILE))


@st.composite
def reports(draw: st.DrawFn) -> RunReport:
    """Any report, hostile text in every field."""
    views = tuple(draw(st.lists(_views(), max_size=2)))
    records = [record for view in views for record in view.records]
    return RunReport(
        draw(_RUNS),
        tuple(draw(st.lists(_SCENARIOS, max_size=3))),
        views,
        group_drops(records, draw(st.dictionaries(HOSTILE, HOSTILE, max_size=2))),
        tuple(
            draw(
                st.lists(
                    st.builds(
                        CaptureFile,
                        path=HOSTILE,
                        interfaces=_texts(6),
                        packets=_NUMBER,
                        lost=_NUMBER,
                        size=_NUMBER,
                    ),
                    max_size=2,
                )
            )
        ),
        tuple(
            draw(
                st.lists(st.builds(LogFile, path=HOSTILE, title=HOSTILE, size=_NUMBER), max_size=2)
            )
        ),
        tuple(draw(st.lists(_GUESTS, max_size=2))),
    )


def record(seconds: float, event: object, node: str | None = None) -> Record:
    """An event some seconds after the start of the hand-made run."""
    return Record(
        time_ns=START + round(seconds * 1e9),
        origin="service",
        event=event,  # type: ignore[arg-type]  # any event; the union is spelt in Record
        node=node,
    )


def example() -> RunReport:
    """A small run: one scenario passed, one failed, one broke, one was skipped."""
    ends = (Interface("pc", "eth0"), Interface("ce", "lan"))
    topology = Topology("home", "A home", (Node("pc"), Node("ce")), (Link("lan", ends),))
    packet = PacketSummary("192.0.2.1", "198.51.100.2", "UDP", 60, 5000, 53)
    drops = [
        record(1 + index, Drop("mape", "no-port", "lan ingress", packet, clause="RFC 7597"), "ce")
        for index in range(7)
    ]
    records = (
        record(0.5, LabUp("home", 2, 1, 0.4)),
        *(
            record(0.6, MappingCreated("mape", "UDP", "10.0.0.1", 1000 + i, "192.0.2.1", 5232 + i))
            for i in range(5)
        ),
        *drops,
        record(9, ServiceExited(3, expected=False), "ce"),
    )
    line = PacketLine(4, START + 2_000_000_000, "ce/lan", False, "a > b UDP", 60, ("no-port",))
    return RunReport(
        Run("run-1", START, 12.5, ("pytest", "a b"), "host", "6.1", "3.11", "0.1.0", 7, "abc"),
        (
            Scenario("t.py::good", "It works.", "passed", 0.5, START, "home"),
            Scenario(
                "t.py::bad",
                "It breaks.",
                "failed",
                2.0,
                START,
                "home",
                "AssertionError: 1 == 2",
                "the traceback",
                (
                    TextEvidence("pc$ true", "[exit 0]"),
                    TableEvidence("Ports", ("port", "PSID"), (("5232", "71"),)),
                    FileEvidence("log", "labs/home/ce.log"),
                ),
                PacketsEvidence("Last packets", (line,), "labs/home/bad.pcapng"),
            ),
            Scenario("t.py::broken", "It cannot start.", "error", 0.1, START, "home", "no unbound"),
            Scenario("t.py::skip", "It waits.", "skipped", 0.0, START, "home", "no netem here"),
        ),
        (TopologyView("home", "A home", draw_svg(topology), records, "labs/home/events.jsonl"),),
        group_drops(records, {"no-port": "no port is free"}),
        (CaptureFile("labs/home/bad.pcapng", ("pc/eth0", "ce/lan"), 12, 3, 4096),),
        (LogFile("labs/home/ce.log", "ce/mape", 10),),
    )
