"""Secrets appear in neither form of a report."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.evidence.graph import draw_svg
from testbed.evidence.report import RunReport, TextEvidence, TopologyView, render, to_json
from testbed.evidence.report.redact import MARK, Redactor
from testbed.model.topology import Node, Topology
from tests.evidence.reports import example

SECRET = 'p&ss "wörd"/1'

FORMS = {
    "plain": SECRET,
    "json": json.dumps(SECRET),
    "python": repr(SECRET),
    "html": "p&amp;ss &quot;wörd&quot;/1",
    "xml": 'p&amp;ss "wörd"/1',
    "url": "x?k=p%26ss%20%22w%C3%B6rd%22%2F1",
    "hex": SECRET.encode().hex(),
    "HEX": SECRET.encode().hex().upper(),
}


def everywhere(report: RunReport, text: str) -> RunReport:
    """The text in the head, a scenario's every field, and a drawing."""
    bad = report.scenarios[1]
    scenario = replace(
        bad,
        title=text,
        why=text,
        output=text,
        evidence=(*bad.evidence, TextEvidence(text, f"a {text} b")),
    )
    svg = draw_svg(Topology("t", text, (Node("n", note=text),)))
    return replace(
        report,
        run=replace(report.run, command=(text,), notes=(text,)),
        scenarios=(scenario,),
        topologies=(*report.topologies, TopologyView("t", text, svg)),
    )


def test_no_form_of_a_secret_is_left() -> None:
    for name, form in FORMS.items():
        report = everywhere(example(), f"key={form};")
        page = render(report, [SECRET])
        data = json.dumps(to_json(Redactor([SECRET]).apply(report)), ensure_ascii=False)
        for text in (page, data):
            assert form not in text, name
            assert "wörd" not in text, name
            assert MARK in text


def test_without_secrets_it_would_be_there() -> None:
    page = render(everywhere(example(), "key=hunter2"))
    assert page.count("hunter2") >= 8


def test_a_secret_that_is_part_of_another_goes_second() -> None:
    assert Redactor(["abc", "abcdef"]).text("abcdef abc") == f"{MARK} {MARK}"


def test_pieces_of_a_secret_that_pytest_has_shortened_are_found() -> None:
    redactor = Redactor(["correct-horse-battery-staple"])
    for text, wanted in {
        "assert 'correct-hor...ery-staple' == 'x'": f"assert '{MARK}...' == 'x'",
        "Node(files=(...tery-staple\n'),)": f"Node(files=({MARK}...\n'),)",
        "key='correct-horse-batt...": f"key='{MARK}...",
        "and so on... le": "and so on... le",
        "correct ... staple": "correct ... staple",
    }.items():
        assert redactor.text(text) == wanted


def test_a_secret_cut_at_the_end_of_a_line_of_the_drawing_is_found() -> None:
    secret = "correct-horse-battery staple"
    for note in (f"the password is {secret} and more", f"x {'correct-horse-battery'}   staple"):
        svg = draw_svg(Topology("t", "", (Node("n", note=note), Node("m", note="a " * 40))))
        assert secret not in svg, "it is cut, so that finding it is not trivial"
        clean = Redactor([secret]).svg(svg)
        assert "horse" not in clean
        assert "staple" not in clean
        assert MARK in clean
        assert clean.count("a a a") == svg.count("a a a")


def test_empty_secrets_are_ignored() -> None:
    assert render(example(), ["", ""]) == render(example())


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=4))
def test_any_secret_leaves_a_page_that_can_be_read(secret: str) -> None:
    # Even one that is a word of the markup ("svg", "<", "passed") does not break the drawing.
    report = example()
    page = render(report, [secret, "svg", "text", "<", ">", '"', "passed", "failed", "g"])
    assert page.count('<svg xmlns="http://www.w3.org/2000/svg"') == 1
    assert page.rstrip().endswith("</html>")
