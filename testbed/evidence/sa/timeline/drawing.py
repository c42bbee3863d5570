"""The timeline as a whole: an SVG document that stands alone, on a light or a dark page."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from xml.sax.saxutils import escape, quoteattr

from testbed.evidence.graph.metrics import Face, printable, text_width
from testbed.evidence.sa.history import History, Sa, Sort
from testbed.evidence.sa.timeline import shapes
from testbed.evidence.sa.timeline.lane_painting import Actors, LanePainter
from testbed.evidence.sa.timeline.lanes import Lane, lanes_of
from testbed.evidence.sa.timeline.scale import Scale
from testbed.evidence.sa.timeline.traffic_painting import HEIGHT, heading, paint_stream
from testbed.evidence.sa.timeline.words import lane_sums
from testbed.evidence.sa.traffic import Stream

WIDTH = 1240.0
_LEFT = 28.0
_RIGHT = WIDTH - 28.0
_TICK_ROOM = 84.0
_NOTES = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """Something else worth a line through the picture: a fault, a change."""

    time_ns: int
    words: str


def draw_timeline(
    history: History,
    streams: Sequence[Stream] = (),
    *,
    title: str,
    subtitle: str = "",
    per_end: bool = False,
    seen_from: str | None = None,
    marks: Sequence[Mark] = (),
    labels: Mapping[tuple[Sort, int], str] | None = None,
) -> str:
    """The SAs of a history over time, and the probes under them, as an SVG document.

    ``per_end`` gives every end lanes of its own, otherwise the ends' views are drawn as one.
    ``seen_from`` is the end whose view of inbound and outbound SPIs the labels show (the first
    end if None).  ``labels`` are shown instead of SPIs, by sort and number of the SAs.  Zero on
    the axis is the moment of the first SA.
    """
    seen_from = seen_from or (history.ends[0] if history.ends else None)
    scale = _scale(history, streams)
    drawing = _Drawing(
        history, tuple(streams), scale, _actors(history), seen_from, tuple(marks), labels or {}
    )
    body = list(drawing.body(title, subtitle, per_end=per_end))
    height = shapes.number(drawing.y)
    width = shapes.number(WIDTH)
    name = printable(title)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="testbed-sa" role="group" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" aria-label={quoteattr(name)}>'
    )
    lines = [
        head,
        f"<title>{escape(name)}</title>",
        f"<style>\n{_style()}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _filled(parts: Sequence[str], left: float) -> list[str]:
    """Parts of a sentence in as few lines as have room for them."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}; {part}" if lines else part
        if lines and text_width(longer, Face.SUBTITLE) <= _RIGHT - left:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


@cache
def _style() -> str:
    return (files(__package__) / "timeline.css").read_text(encoding="utf-8")


def _scale(history: History, streams: Sequence[Stream]) -> Scale:
    seen = [sa.seen_ns for sa in history.sas]
    zero = min((sa.born_ns for sa in history.sas if sa.born_ns is not None), default=None)
    probes = [report.since_ns for stream in streams for report in stream.reports]
    start = min([*seen, *probes, *([] if zero is None else [zero])], default=history.start_ns)
    end = max(history.end_ns, start + 10**9)
    return Scale(start, end, start if zero is None else zero, _LEFT, _RIGHT)


def _actors(history: History) -> Actors:
    """A style and a letter for every end; equal letters become numbers."""
    named = {
        name
        for sa in history.sas
        for name in (sa.born_by, sa.replaced_by, sa.gone_by, *(view.peer for view in sa.views))
        if name is not None
    }
    ends = [*history.ends, *sorted(named - set(history.ends))]
    letters = [name[:1].upper() for name in ends]
    if len(set(letters)) < len(letters):
        letters = [str(number) for number in range(1, len(ends) + 1)]
    styles: dict[str | None, tuple[str, str]] = {
        name: (f"end{min(index, 2)}", letter)
        for index, (name, letter) in enumerate(zip(ends, letters, strict=True))
    }
    return {**styles, None: ("end-none", "?")}


@dataclass(slots=True)
class _Drawing:
    history: History
    streams: tuple[Stream, ...]
    scale: Scale
    actors: Actors
    seen_from: str | None
    marks: tuple[Mark, ...]
    labels: Mapping[tuple[Sort, int], str]
    y: float = 0.0

    def body(self, title: str, subtitle: str, *, per_end: bool) -> Iterator[str]:
        yield from self._head(title, subtitle)
        yield from self._legend()
        top = self.y
        content = [*self._lanes(per_end=per_end), *self._traffic()]
        # The grid lies under everything, and is known only when the height is.
        yield from self._grid(top)
        yield from content
        yield from self._axis()
        yield from self._notes()
        self.y += 14

    def _head(self, title: str, subtitle: str) -> Iterator[str]:
        self.y = 36
        yield shapes.text("title", _LEFT, self.y, title)
        for line in subtitle.splitlines():
            self.y += 19
            yield shapes.text("subtitle", _LEFT, self.y, line)
        self.y += 12

    def _legend(self) -> Iterator[str]:
        """Only what the picture shows."""
        x, y = _LEFT, self.y
        sas = self.history.sas
        made = {sa.born_by for sa in sas}
        rekeyed = {sa.replaced_by for sa in sas if sa.replaced_ns is not None}
        deleted = {sa.gone_by for sa in sas if sa.gone_ns is not None}
        for name, (css, letter) in self.actors.items():
            who = f"by {name}" if name is not None else "by an unknown end"
            if name in made:
                yield shapes.rect(f"swatch used {css}", x, y, 26, 15)
                x = yield from self._word(x + 32, y, f"made {who}")
            if name in rekeyed:
                yield shapes.circle(f"rekey-mark {css}", x + 7, y + 7.5, 7)
                yield shapes.text("letter inverse", x + 7, y + 11, letter, "middle")
                x = yield from self._word(x + 19, y, f"rekeyed {who}")
            if name in deleted:
                yield shapes.rect(f"gone-mark {css}", x, y + 1, 13, 13, 1.5)
                yield shapes.text(f"letter {css}", x + 6.5, y + 11, letter, "middle")
                x = yield from self._word(x + 18, y, f"deleted {who}")
            x += 8 * (name in made | rekeyed | deleted)
        if any(self._lives_on(sa) for sa in sas):
            yield shapes.rect("swatch left-over", x, y, 26, 15)
            yield shapes.path("hatch", shapes.hatch(x, y, 26, 15))
            x = yield from self._word(x + 32, y, "replaced, still installed")
        if any(one.failed is not None for sa in sas for one in sa.rekeys):
            yield shapes.line("fail", (x + 4, y), (x + 4, y + 15))
            yield shapes.text("fail-mark", x + 6, y + 11, "!")
            x = yield from self._word(x + 16, y, "rekey failed")
        if any(stream.lost > 0 for stream in self.streams):
            tip = f"M{shapes.number(x + 5)} {shapes.number(y + 13)}l-5 -9h10z"
            yield shapes.path("lost-tip", tip)
            yield from self._word(x + 14, y, "probes lost")
        self.y += 26

    def _lives_on(self, sa: Sa) -> bool:
        """Whether the picture shows it living on after it was replaced."""
        if sa.replaced_ns is None:
            return False
        gone = self.scale.end_ns if sa.gone_ns is None else sa.gone_ns
        return self.scale.x(gone) - self.scale.x(sa.replaced_ns) > 0.5

    def _word(self, x: float, y: float, words: str) -> Generator[str, None, float]:
        yield shapes.text("legend", x, y + 11.5, words)
        return x + text_width(words, Face.NOTE) + 8

    def _lanes(self, *, per_end: bool) -> Iterator[str]:
        lanes = lanes_of(self.history, self.scale, per_end=per_end)
        if not lanes:
            self.y += 24
            yield shapes.text("none", _LEFT, self.y, "No event told of an SA.")
            self.y += 14
        for lane in lanes:
            yield from self._lane(lane)

    def _lane(self, lane: Lane) -> Iterator[str]:
        self.y += 26
        where = f" at {lane.end}" if lane.end is not None else ""
        name = f"{lane.sort}_SA{where}"
        yield shapes.text("lane", _LEFT, self.y, name)
        x = _LEFT + text_width(name, Face.NAME) + 10
        for index, words in enumerate(_filled(lane_sums([bar.sa for bar in lane.bars]), x)):
            self.y += 17 * (index > 0)
            yield shapes.text("sums", x, self.y, words)
        self.y += 12
        seen_from = lane.end or self.seen_from
        painter = LanePainter(lane, self.scale, self.actors, seen_from, self.labels, self.y)
        yield from painter.shapes()
        self.y += lane.height + 8

    def _traffic(self) -> Iterator[str]:
        for stream in self.streams:
            self.y += 24
            told, lost = heading(stream, self.scale)
            yield shapes.text("lane", _LEFT, self.y, "Traffic")
            x = _LEFT + text_width("Traffic", Face.NAME) + 10
            yield shapes.text("sums", x, self.y, told)
            if lost:
                self.y += 16
                yield shapes.text("bad", x, self.y, lost)
            self.y += 14
            yield from paint_stream(stream, self.scale, self.y)
            self.y += HEIGHT + 4

    def _grid(self, top: float) -> Iterator[str]:
        for tick in self.scale.ticks(_TICK_ROOM):
            x = self.scale.x(tick.time_ns)
            yield shapes.line("grid", (x, top + 6), (x, self.y + 6))
        for mark in self.marks:
            if self.scale.start_ns <= mark.time_ns <= self.scale.end_ns:
                x = self.scale.x(mark.time_ns)
                at_right = x > (_LEFT + _RIGHT) / 2
                anchor, beside = ("end", x - 4) if at_right else ("start", x + 4)
                yield shapes.line("mark", (x, top), (x, self.y + 6))
                yield shapes.text("mark-words", beside, top + 9, mark.words, anchor)

    def _axis(self) -> Iterator[str]:
        y = self.y + 6
        yield shapes.line("axis", (_LEFT, y), (_RIGHT, y))
        for tick in self.scale.ticks(_TICK_ROOM):
            x = self.scale.x(tick.time_ns)
            anchor = "start" if x < _LEFT + 30 else "end" if x > _RIGHT - 30 else "middle"
            yield shapes.line("axis", (x, y), (x, y + 5))
            yield shapes.text("after", x, y + 19, tick.after, anchor)
            yield shapes.text("clock", x, y + 33, tick.clock, anchor)
        self.y = y + 40

    def _notes(self) -> Iterator[str]:
        spis = self.seen_from is not None and not self.labels
        seen = f"SPIs as {self.seen_from} sees them. " if spis else ""
        self.y += 16
        yield shapes.text(
            "clock", _LEFT, self.y, f"{seen}Time since the first SA; clock times are UTC."
        )
        told = list(self.history.disagreements())
        for words in told[:_NOTES]:
            self.y += 16
            yield shapes.text("bad", _LEFT, self.y, f"The ends differ: {words}")
        if len(told) > _NOTES:
            self.y += 16
            more = f"… and {len(told) - _NOTES} more differences"
            yield shapes.text("bad", _LEFT, self.y, more)
