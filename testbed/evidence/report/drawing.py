"""A drawing inside the page: let in only if it is the plain picture that our own code draws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from markupsafe import Markup

from testbed.evidence.report.data import (
    DrawingEvidence,
    ReportError,
    Scenario,
    TopologyView,
)
from testbed.evidence.report.redact import Redactor

_SVG = "{http://www.w3.org/2000/svg}"
_TAGS = frozenset({"svg", "title", "style", "g", "rect", "path", "circle", "text"})
_ATTRIBUTES = frozenset(
    {
        *("class", "role", "aria-label", "data-node", "data-link", "data-end"),
        *("width", "height", "viewBox", "x", "y", "rx", "cx", "cy", "r", "d", "transform"),
        "text-anchor",
    }
)
_WIDE = 1100.0


Lab = tuple[str, str, str | None]
"""A lab's name, its topology's title and the path of its events."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing ready for the page; ``style`` is its style sheet."""

    svg: Markup
    style: str
    wide: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """The drawing of a topology and all labs that look so."""

    picture: Picture
    labs: tuple[Lab, ...]


def drawings_of(
    views: Iterable[TopologyView], redactor: Redactor
) -> tuple[tuple[Drawing, ...], tuple[Lab, ...]]:
    """Every different drawing once, with its labs; and the labs that come without one.

    Raises:
        ReportError: an SVG is not well-formed or holds anything but a plain picture.
    """
    labs: dict[str, list[Lab]] = {}
    for view in views:
        labs.setdefault(view.svg, []).append((view.name, view.title, view.events))
    bare = tuple(labs.pop("", ()))
    drawn = (
        Drawing(picture(svg, alike[0][0], redactor), tuple(alike)) for svg, alike in labs.items()
    )
    return tuple(drawn), bare


def pictures_of(scenarios: Iterable[Scenario], redactor: Redactor) -> dict[str, Picture]:
    """The drawings among the evidence of scenarios, by their SVG.

    Raises:
        ReportError: an SVG is not well-formed or holds anything but a plain picture.
    """
    return {
        item.svg: picture(item.svg, f"{item.title} of {scenario.id}", redactor)
        for scenario in scenarios
        for item in scenario.evidence
        if isinstance(item, DrawingEvidence)
    }


def picture(svg: str, name: str, redactor: Redactor) -> Picture:
    """A drawing for the page, without secrets.

    Raises:
        ReportError: the SVG is not well-formed or holds anything but a plain picture.
    """
    svg = redactor.svg(svg)
    root = _checked(svg, name)
    style = "".join(element.text or "" for element in root.iter(f"{_SVG}style"))
    try:
        wide = float(root.get("width", "0")) > _WIDE
    except ValueError:
        wide = False
    # Not escaped: _checked has let only known elements and attributes through.
    return Picture(Markup(svg), style, wide)


def _checked(svg: str, name: str) -> ET.Element:
    where = f"drawing of {name}"
    if "<!" in svg or "<?" in svg:
        raise ReportError("a drawing may hold no declarations", where=where)
    try:
        root = ET.fromstring(svg)  # declarations, and with them entities, are refused
    except (ET.ParseError, ValueError) as error:
        raise ReportError(f"a drawing is not well-formed: {error}", where=where) from error
    if root.tag != f"{_SVG}svg":
        raise ReportError("a drawing is not an SVG document", where=where)
    for element in root.iter():
        tag = str(element.tag).removeprefix(_SVG)
        strange = [key for key in element.attrib if key not in _ATTRIBUTES]
        if tag not in _TAGS:
            raise ReportError(f"a drawing may not hold the element {tag!r}", where=where)
        if strange:
            raise ReportError(f"a drawing may not hold the attribute {strange[0]!r}", where=where)
    return root
