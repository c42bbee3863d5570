"""The page: complete, and whatever the data hold, nothing in it can act."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from testbed.evidence.report import (
    DrawingEvidence,
    ReportError,
    RunReport,
    Scenario,
    TableEvidence,
    TextEvidence,
    TopologyView,
    render,
)
from tests.evidence.reports import PICTURE, example, reports

# All that the page is made of: nothing that loads, sends or runs anything, but one script.
TAGS = {
    *("html", "head", "meta", "title", "style", "script", "body", "header", "nav", "main", "aside"),
    *("section", "footer", "div", "p", "h1", "h2", "h3", "a", "b", "em", "small", "strong", "span"),
    *("code", "pre", "ul", "ol", "li", "dl", "dt", "dd", "details", "summary", "figure"),
    *("figcaption", "table", "caption", "thead", "tbody", "tr", "th", "td", "form", "fieldset"),
    *("legend", "label", "input", "button", "svg", "g", "rect", "path", "circle", "text"),
}
ATTRIBUTES = {
    *("class", "id", "lang", "charset", "name", "content", "http-equiv", "href", "type", "hidden"),
    *("open", "checked", "tabindex", "role", "scope", "autocomplete", "xmlns"),
    *("width", "height", "viewbox", "preserveaspectratio", "x", "y", "rx", "cx", "cy", "r", "d"),
    *("transform", "text-anchor", "aria-label", "aria-hidden"),
}
VOID = {"meta", "input", "br", "img", "link"}


class Page(HTMLParser):
    """Elements, attributes, links, texts and raw contents, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text: list[str] = []
        self.open: list[str] = []
        self.details: list[tuple[str, bool]] = []
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "details":
            found = dict(attrs)
            self.details.append((found.get("id") or "", "open" in found))
        if tag in self.raw:
            self.raw[tag].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]][-1] += data
        else:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(example()))


def test_the_verdict_stands_at_the_top_in_words(page: Page) -> None:
    assert "1 failed and 1 could not be judged of 4 scenarios" in page.words
    assert "1 failed 1 error 1 skipped 1 passed" in page.words


def test_every_scenario_has_a_row_and_bad_ones_are_open(page: Page) -> None:
    rows = {name: is_open for name, is_open in page.details if name}
    assert rows == {"s1": False, "s2": True, "s3": True, "s4": False}
    for words in ("It works.", "It breaks.", "It cannot start.", "It waits.", "no netem here"):
        assert words in page.words
    assert ("a", "href", "#s2") in page.attributes


def test_evidence_packets_drops_and_files_are_shown(page: Page) -> None:
    for words in (
        "AssertionError: 1 == 2",
        "the traceback",
        "pc$ true",
        "5232 71",
        "4 +2.000000 s ce/lan in a > b UDP no-port 60",
        "no-port mape no port is free",
        "RFC 7597",
        "UDP 192.0.2.1:5000 > 198.51.100.2:53 (60 bytes)",
        "pc/eth0, ce/lan",
        "3 lost",
        "4.1 kB",
        "5 × mape maps UDP",
        "ended by itself with status 3",
        "pytest 'a b'",
        "revision abc",
    ):
        assert words in page.words, words
    links = {value for _, name, value in page.attributes if name == "href"}
    assert {"./labs/home/bad.pcapng", "./labs/home/ce.log", "./labs/home/events.jsonl"} <= links


def test_seven_drops_are_counted_and_five_are_shown() -> None:
    (group,) = example().drops
    assert group.count == 7
    assert len(group.examples) == 5
    assert group.places == (("ce, lan ingress", 7),)


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    assert not page.tags & {"link", "img", "iframe", "object", "embed", "base", "video", "audio"}
    for _, name, value in page.attributes:
        assert name not in ("src", "srcset", "action", "formaction", "background", "xlink:href")
        if name == "href":
            assert value.startswith(("./", "#"))
    assert "//" not in render(example()).split("<script>")[0].replace(
        'xmlns="http://www.w3.org/2000/svg"', ""
    )
    for style in page.raw["style"]:
        assert "url(" not in style
        assert "@import" not in style


def policy_of(page: Page) -> str:
    (policy,) = [
        value for tag, name, value in page.attributes if tag == "meta" and "default-src" in value
    ]
    return policy


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_allows_exactly_our_own_script_and_styles(page: Page) -> None:
    policy = policy_of(page)
    assert policy.startswith("default-src 'none'; ")
    (script,) = page.raw["script"]
    assert f"script-src {digest(script)};" in policy
    styles = re.search(r"style-src ([^;]*);", policy)
    assert styles is not None
    assert set(styles[1].split()) == {digest(style) for style in page.raw["style"]}
    assert "unsafe" not in policy


@settings(max_examples=60, deadline=None)
@given(report=reports())
def test_no_data_becomes_markup(page: Page, report: RunReport) -> None:
    html = render(report)
    hostile = Page(html)
    assert hostile.raw["script"] == page.raw["script"]
    assert set(hostile.raw["style"]) <= {*page.raw["style"], ".p { color: red; }"}
    assert hostile.tags <= TAGS
    for _, name, value in hostile.attributes:
        assert name in ATTRIBUTES or name.startswith("data-"), name
        if name == "href":
            assert re.fullmatch(r"#[a-z]+[0-9]*|\./[A-Za-z0-9/._~%-]*", value), value
            assert ".." not in value.split("/")
    assert "\ud800" not in html


@settings(max_examples=25, deadline=None)
@given(reports())
def test_all_words_are_there_as_they_were(report: RunReport) -> None:
    page = Page(render(report))
    for scenario in report.scenarios:
        # Parsing turns what no document may hold into something else; compare the rest.
        title = scenario.title.encode(errors="replace").decode()
        if title.isprintable():
            assert " ".join(title.split()) in page.words


def test_long_output_shows_its_end_and_says_what_is_missing() -> None:
    output = "\n".join(f"line {number}." for number in range(1000))
    report = replace(
        example(), scenarios=(Scenario("x", "X.", "failed", 1.0, why="w", output=output),)
    )
    words = Page(render(report)).words
    assert "line 999." in words
    assert "line 599." not in words
    assert "The first 600 lines are left out here." in words


def test_an_empty_run_says_so() -> None:
    words = Page(render(RunReport(example().run))).words
    assert "No scenario was run" in words
    assert "No component reported a dropped packet." in words


@pytest.mark.parametrize(
    ("outcomes", "headline"),
    [
        (["passed"], "1 scenario passed"),
        (["passed", "passed"], "All 2 scenarios passed"),
        (["passed", "skipped"], "1 of 2 scenarios passed, the others were skipped"),
        (["skipped", "skipped"], "All 2 scenarios skipped"),
        (["failed", "passed"], "1 failed of 2 scenarios"),
        (["error"], "1 could not be judged of 1 scenario"),
    ],
)
def test_headlines(outcomes: list[str], headline: str) -> None:
    scenarios = tuple(
        Scenario(str(number), "T.", outcome, 0.0) for number, outcome in enumerate(outcomes)
    )
    report = RunReport(example().run, scenarios)
    assert headline in Page(render(report)).words


@pytest.mark.parametrize(
    "svg",
    [
        "<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>",
        "<svg xmlns='http://www.w3.org/2000/svg'><foreignObject/></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg'><g style='x'/></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg'><a href='x'/></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg'><text xml:space='x'/></svg>",
        "<svg><text/></svg>",
        "<!DOCTYPE svg [<!ENTITY a 'b'>]><svg xmlns='http://www.w3.org/2000/svg'/>",
        "<svg",
        "<p xmlns='http://www.w3.org/1999/xhtml'/>",
    ],
)
def test_only_plain_pictures_are_let_in(svg: str) -> None:
    report = replace(example(), topologies=(TopologyView("t", "", svg),))
    with pytest.raises(ReportError, match="drawing"):
        render(report)


def test_a_drawing_among_the_evidence_is_let_in_only_when_plain() -> None:
    bad = DrawingEvidence("t", "<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>")
    scenario = replace(example().scenarios[0], evidence=(bad,))
    with pytest.raises(ReportError, match=r"drawing of t of t.py::good: .*'script'"):
        render(replace(example(), scenarios=(scenario,)))
    good = replace(scenario, evidence=(DrawingEvidence("Timeline", PICTURE),))
    page = Page(render(replace(example(), scenarios=(good,))))
    assert "a secret Timeline" in page.words
    policy = policy_of(page)
    assert digest(".p { color: red; }") in policy


def test_rows_of_a_table_have_tones() -> None:
    table = TableEvidence("T", ("a",), (("x",), ("y",)), ("bad", "plain"))
    scenario = replace(example().scenarios[0], evidence=(table,))
    html = render(replace(example(), scenarios=(scenario,)))
    assert '<tr class="tone bad"><td>x</td></tr><tr class="tone plain"><td>y</td></tr>' in html


def test_labs_that_look_alike_share_a_drawing() -> None:
    (view,) = example().topologies
    views = (view, replace(view, name="second"), replace(view, name="third", svg=""))
    html = render(replace(example(), topologies=views))
    assert html.count('<svg xmlns="http://www.w3.org/2000/svg"') == 1
    words = Page(html).words
    assert "2 labs home ( events ) second ( events )" in words
    assert "Further labs, of which no drawing is here: 1 lab third: A home" in words


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(ReportError, match="'great' is no outcome"):
        Scenario("x", "X.", "great", 0.0)


def test_text_evidence_keeps_its_line_breaks_and_first_blank_line() -> None:
    report = replace(
        example(),
        scenarios=(
            Scenario("x", "X.", "passed", 1.0, evidence=(TextEvidence("t", "\n  a\n   b"),)),
        ),
    )
    assert ">\n\n  a\n   b</pre>" in render(report)
