"""The few SVG elements a timeline is made of."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

from testbed.evidence.graph.metrics import printable


def number(value: float) -> str:
    """A coordinate: at most two decimals, no trailing zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def rect(css: str, x: float, y: float, width: float, height: float, rx: float = 0.0) -> str:
    """A rectangle."""
    corner = f' rx="{number(rx)}"' if rx else ""
    return (
        f'<rect class="{css}" x="{number(x)}" y="{number(y)}" width="{number(width)}" '
        f'height="{number(height)}"{corner}/>'
    )


def line(css: str, *points: tuple[float, float]) -> str:
    """A line through points."""
    path = "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return f'<path class="{css}" d="M{path}"/>'


def path(css: str, drawn: str) -> str:
    """Any path."""
    return f'<path class="{css}" d="{drawn}"/>'


def circle(css: str, x: float, y: float, r: float) -> str:
    """A circle."""
    return f'<circle class="{css}" cx="{number(x)}" cy="{number(y)}" r="{number(r)}"/>'


def text(css: str, x: float, y: float, words: str, anchor: str = "start") -> str:
    """Words on a base line."""
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    told = escape(printable(words))
    return f'<text class="{css}" x="{number(x)}" y="{number(y)}"{place}>{told}</text>'


def group(css: str, title: str, shapes: Iterable[str]) -> str:
    """Shapes with words that show where a pointer rests on them; line breaks in them are kept."""
    words = "\n".join(printable(one) for one in title.split("\n"))
    return f'<g class="{css}"><title>{escape(words)}</title>{"".join(shapes)}</g>'


def hatch(x: float, y: float, width: float, height: float, step: float = 6.0) -> str:
    """The path of slanted lines that fill a box."""
    parts = []
    offset = step / 2
    while offset < width + height:
        # The line x + y = offset, as far as it is in the box.
        x1, y1 = (offset, 0.0) if offset <= width else (width, offset - width)
        x2, y2 = (0.0, offset) if offset <= height else (offset - height, height)
        parts.append(f"M{number(x + x1)} {number(y + y1)}L{number(x + x2)} {number(y + y2)}")
        offset += step
    return "".join(parts)
