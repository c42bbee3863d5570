"""The report as one HTML page that needs nothing else: no network, no server, no script."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from testbed.evidence.report import words
from testbed.evidence.report.data import ERROR, FAILED, OUTCOMES, RunReport
from testbed.evidence.report.drawing import drawings_of, pictures_of
from testbed.evidence.report.redact import Redactor
from testbed.evidence.report.timeline import elide, merge_records, timeline

TEXT_LINES = 400
"""Longer texts show their end; the whole is in the run's files."""

TIMELINE_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of the bar in the head of the page; the whole is 1000 long."""

    outcome: str
    x: float
    width: float


def render(report: RunReport, redact: Iterable[str] = ()) -> str:
    """The report as HTML; ``redact`` are secrets that must not appear in it.

    Raises:
        ReportError: a topology's drawing is not a plain picture.
    """
    redactor = Redactor(redact)
    report = redactor.apply(report)
    drawings, bare_labs = drawings_of(report.topologies, redactor)
    told = timeline(merge_records(view.records for view in report.topologies))
    entries, elided = elide(told, TIMELINE_ENTRIES)
    style, script = _page_file("report.css"), _page_file("report.js")
    pictures = pictures_of(report.scenarios, redactor)
    drawn = [*(drawing.picture for drawing in drawings), *pictures.values()]
    styles = [style, *(picture.style for picture in drawn)]
    page = _environment().get_template("report.html.j2")
    text = page.render(
        report=report,
        headline=words.headline(report),
        policy=_policy(styles, script),
        # Our own files, not data of the run.
        style=Markup(style),
        script=Markup(script),
        bar=list(_bar(report)),
        failures=[
            (number, scenario)
            for number, scenario in enumerate(report.scenarios, start=1)
            if scenario.outcome in (FAILED, ERROR)
        ],
        drawings=drawings,
        pictures=pictures,
        bare_labs=bare_labs,
        about=list(dict.fromkeys(one.topology for one in report.scenarios if one.topology)),
        dropped=sum(group.count for group in report.drops),
        entries=entries,
        elided=elided,
        command=shlex.join(report.run.command),
        seeds=sorted({guest.seed for guest in report.guests if guest.seed is not None}),
    )
    # What no file in UTF-8 can hold (undecodable bytes of a program's output) is replaced.
    return text.encode(errors="replace").decode()


def _bar(report: RunReport) -> Iterable[_Piece]:
    at = 0.0
    for outcome in OUTCOMES:
        width = 1000 * report.count(outcome) / max(len(report.scenarios), 1)
        if width:
            yield _Piece(outcome, round(at, 2), round(width, 2))
        at += width


def _policy(styles: Iterable[str], script: str) -> str:
    """A content security policy that lets nothing run or load but these very texts."""
    allowed = " ".join(dict.fromkeys(_hash(style) for style in styles))
    return (
        f"default-src 'none'; style-src {allowed}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


@cache
def _page_file(name: str) -> str:
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_page_file),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        outcomes=OUTCOMES,
        words=words.OUTCOME_WORDS,
        plural=words.plural,
        moment=words.moment,
        duration=words.duration,
        offset=words.offset,
        size=words.size,
        names=words.names,
        numeric=words.numeric,
        link_target=words.link_target,
        first_line=words.first_line,
        excerpt=partial(words.excerpt, lines=TEXT_LINES),
    )
    return environment
