"""A drawing inside the page: let in only if it is the plain picture that our own code draws."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from markupsafe import Markup

from testbed.evidence.report.data import ReportError, TopologyView
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


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing ready for the page; ``style`` is the text of its style sheet."""

    name: str
    title: str
    events: str | None
    svg: Markup
    style: str
    wide: bool


def drawing_of(view: TopologyView, redactor: Redactor) -> Drawing:
    """The drawing of a topology.

    Raises:
        ReportError: the SVG is not well-formed or holds anything but a plain picture.
    """
    if not view.svg:
        return Drawing(view.name, view.title, view.events, Markup(), "", wide=False)
    svg = redactor.svg(view.svg)
    root = _checked(svg, view.name)
    style = "".join(element.text or "" for element in root.iter(f"{_SVG}style"))
    try:
        wide = float(root.get("width", "0")) > _WIDE
    except ValueError:
        wide = False
    # Not escaped: _checked has let only known elements and attributes through.
    return Drawing(view.name, view.title, view.events, Markup(svg), style, wide)


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
