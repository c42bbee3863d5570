"""A failure as a drawing: which way packets took, when they were lost, who noticed when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from testbed.events import AdjacencyDown, AdjacencyUp, Record
from topologies.dual_stack_isp.account import FAMILIES, of_family, outages, ways
from topologies.dual_stack_isp.wire import Nodes, Trip

_WIDTH, _LEFT, _RIGHT, _TOP = 1060.0, 92.0, 20.0, 62.0
_LANE, _ROW = 34.0, 19.0
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)
_MOST_TICKS = 12
_WAYS = 5

_STYLE = """\
.convergence { font-family: "DejaVu Sans", "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
.convergence text { fill: #1c2733; font-size: 11px; }
.convergence .paper { fill: #ffffff; }
.convergence .title { font-size: 15px; font-weight: bold; }
.convergence .lane { font-size: 12px; font-weight: bold; }
.convergence .faint { fill: #4c5a68; }
.convergence .grid { stroke: #e3e8ed; stroke-width: 1; fill: none; }
.convergence .mark { stroke: #1c2733; stroke-width: 1.2; fill: none; }
.convergence .lost { fill: #b3202c; }
.convergence .down { fill: #b3202c; }
.convergence .up { fill: #1d7a46; }
.convergence .way0 { fill: #2f6fb0; }
.convergence .way1 { fill: #d98e1f; }
.convergence .way2 { fill: #6a9f58; }
.convergence .way3 { fill: #8c6bb1; }
.convergence .way4 { fill: #8a97a5; }
"""


@dataclass(frozen=True, slots=True)
class _Scale:
    """From time to place."""

    begin_ns: int
    end_ns: int
    zero_ns: int

    def x(self, time_ns: int) -> float:
        share = (time_ns - self.begin_ns) / max(self.end_ns - self.begin_ns, 1)
        return _LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Round numbers of seconds, and where they are."""
        first, last = ((moment - self.zero_ns) / 1e9 for moment in (self.begin_ns, self.end_ns))
        step = next((one for one in _STEPS if (last - first) / one <= _MOST_TICKS), _STEPS[-1])
        for number in range(int(first // step), int(last // step) + 1):
            second = number * step
            if first <= second <= last:
                yield self.x(self.zero_ns + round(second * 1e9)), f"{second:g} s"


def draw(
    title: str, trips: Sequence[Trip], records: Sequence[Record], marks: Sequence[tuple[str, int]]
) -> str:
    """An SVG document.  ``marks`` are what was done and when: the first and last bound the time.

    Zero is the second of them, if there are more than two.
    """
    (_, begin_ns), (_, end_ns) = marks[0], marks[-1]
    zero_ns = marks[1][1] if len(marks) > 2 else begin_ns
    scale = _Scale(begin_ns, end_ns, zero_ns)
    kinds = list(
        dict.fromkeys((way.there, way.back) for one in FAMILIES for way in ways(trips, one))
    )
    told = [
        record
        for record in records
        if isinstance(record.event, AdjacencyUp | AdjacencyDown)
        and begin_ns <= record.time_ns <= end_ns
    ]
    routers = list(dict.fromkeys(record.node or "?" for record in told))
    bottom = _TOP + _LANE * len(FAMILIES) + _ROW * (len(routers) + 1)
    height = bottom + 26 + _ROW * (min(len(kinds), _WAYS) + 1)
    body = [
        f'<rect class="paper" x="0" y="0" width="{_WIDTH:g}" height="{height:g}"/>',
        f'<text class="title" x="12" y="22">{escape(title)}</text>',
        *_frame(scale, bottom),
        *_marks(scale, marks[1:-1], bottom),
    ]
    for number, family in enumerate(FAMILIES):
        y = _TOP + number * _LANE
        body.append(f'<text class="lane" x="12" y="{y + 17:g}">{family}</text>')
        body += _lane(scale, trips, family, kinds, y)
    for number, router in enumerate(routers):
        y = _TOP + _LANE * len(FAMILIES) + _ROW * (number + 0.6)
        body.append(f'<text x="12" y="{y + 4:g}">{escape(router)}</text>')
        body += (_dot(scale, record, y) for record in told if record.node == router)
    body += _legend(kinds, bottom + 26)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="convergence" role="group" '
        f'width="{_WIDTH:g}" height="{height:g}" viewBox="0 0 {_WIDTH:g} {height:g}" '
        f'aria-label="{escape(title)}">'
    )
    return "\n".join([head, f"<style>\n{_STYLE}</style>", *body, "</svg>"]) + "\n"


def _frame(scale: _Scale, bottom: float) -> Iterator[str]:
    for x, words in scale.ticks():
        yield f'<path class="grid" d="M{x:.1f} {_TOP - 6:g}V{bottom - 8:g}"/>'
        place = f'x="{x:.1f}" y="{bottom + 6:g}" text-anchor="middle"'
        yield f'<text class="faint" {place}>{words}</text>'


def _marks(scale: _Scale, marks: Sequence[tuple[str, int]], bottom: float) -> Iterator[str]:
    for number, (name, time_ns) in enumerate(marks):
        x, late = scale.x(time_ns), scale.x(time_ns) > _WIDTH * 0.7
        anchor, beside = ("end", x - 4) if late else ("start", x + 4)
        y = _TOP - 12 - 13 * (number % 2)
        yield f'<path class="mark" d="M{x:.1f} {y - 8:g}V{bottom - 8:g}"/>'
        yield f'<text x="{beside:.1f}" y="{y:g}" text-anchor="{anchor}">{escape(name)}</text>'


def _lane(
    scale: _Scale,
    trips: Sequence[Trip],
    family: str,
    kinds: Sequence[tuple[Nodes, Nodes]],
    y: float,
) -> Iterator[str]:
    one = next(known for known in FAMILIES if known == family)
    sent = [trip.sent_ns for trip in of_family(trips, one)]
    # A packet's stretch lasts until the next one is sent.
    after = dict(zip(sent, [*sent[1:], scale.end_ns], strict=False))
    for way in ways(trips, one):
        number = min(kinds.index((way.there, way.back)), _WAYS - 1)
        label = f"{way.trips} answered: {' '.join(way.there)}"
        # Its packets may lie round an outage: that is painted over it.
        yield _bar(scale, way.first_ns, after[way.last_ns], y, f"way{number}", label)
    for out in outages(trips, one):
        label = f"{out.lost} lost, came as far as {', '.join(out.died)}"
        yield _bar(scale, out.first_lost_ns, after[out.last_lost_ns], y, "lost", label)


def _bar(scale: _Scale, first_ns: int, last_ns: int, y: float, kind: str, label: str) -> str:
    x = scale.x(first_ns)
    width = max(scale.x(last_ns) - x, 1.0)
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="24">'
        f"<title>{escape(label)}</title></rect>"
    )


def _dot(scale: _Scale, record: Record, y: float) -> str:
    event = record.event
    assert isinstance(event, AdjacencyUp | AdjacencyDown)
    kind = "up" if isinstance(event, AdjacencyUp) else "down"
    second = (record.time_ns - scale.zero_ns) / 1e9
    label = f"{event.protocol} with {event.neighbor} {kind} at {second:+.3f} s"
    return (
        f'<circle class="{kind}" cx="{scale.x(record.time_ns):.1f}" cy="{y:g}" r="4">'
        f"<title>{escape(label)}</title></circle>"
    )


def _legend(kinds: Sequence[tuple[Nodes, Nodes]], y: float) -> Iterator[str]:
    for number, (there, back) in enumerate(kinds[:_WAYS]):
        at = y + number * _ROW
        more = "" if back == there[::-1] else f", back by {' '.join(back)}"
        more += (
            f", and {len(kinds) - _WAYS} more ways" if number == _WAYS - 1 < len(kinds) - 1 else ""
        )
        yield f'<rect class="way{number}" x="12" y="{at:g}" width="22" height="11"/>'
        yield f'<text x="42" y="{at + 10:g}">{escape(" ".join(there) + more)}</text>'
    at = y + min(len(kinds), _WAYS) * _ROW
    yield f'<rect class="lost" x="12" y="{at:g}" width="22" height="11"/>'
    words = "lost; dots: an adjacency or session is given up (red), is up (green)"
    yield f'<text x="42" y="{at + 10:g}">{words}</text>'
