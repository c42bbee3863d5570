"""A lane on paper: bars, how one SA hands over to the next, and how each went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testbed.evidence.graph.metrics import Face, text_width
from testbed.evidence.sa.history import Sort
from testbed.evidence.sa.timeline import shapes
from testbed.evidence.sa.timeline.lanes import Bar, Density, Lane
from testbed.evidence.sa.timeline.scale import Scale
from testbed.evidence.sa.timeline.words import details, fate_choices, fitting, moment, spi_choices
from testbed.evidence.sa_words import interval

Actors = Mapping[str | None, tuple[str, str]]
"""Of each end its style and the letter it signs with; None stands for an end not told."""


@dataclass(frozen=True, slots=True)
class LanePainter:
    """Paints one lane whose first row begins at ``top``."""

    lane: Lane
    scale: Scale
    actors: Actors
    seen_from: str | None
    labels: Mapping[tuple[Sort, int], str]
    top: float

    def shapes(self) -> Iterator[str]:
        """Everything in the lane, back to front."""
        for begin, end in self.lane.gaps:
            yield self._gap(begin, end)
        by_number = {bar.sa.number: bar for bar in self.lane.bars}
        for bar in self.lane.bars:
            title = details(bar.sa, self.scale.zero_ns)
            yield shapes.group(f"sa {self._css(bar.sa.born_by)}", title, self._bar(bar))
        for bar in self.lane.bars:
            new = by_number.get(bar.sa.successor or 0)
            if new is not None and bar.sa.replaced_ns is not None:
                title = f"{bar.sa.name} is replaced by {new.sa.name}"
                when = moment(bar.sa.replaced_ns, self.scale.zero_ns)
                yield shapes.group("handover", f"{title} {when}", self._handover(bar, new))

    def _css(self, actor: str | None) -> str:
        return self.actors.get(actor, self.actors[None])[0]

    def _letter(self, actor: str | None) -> str:
        return self.actors.get(actor, self.actors[None])[1]

    def _y(self, bar: Bar) -> float:
        density = self.lane.density
        return self.top + bar.row * (density.bar + density.gap)

    def _gap(self, begin_ns: int, end_ns: int) -> str:
        left, right = self.scale.x(begin_ns), self.scale.x(end_ns)
        words = f"no {self.lane.sort}_SA for {interval((end_ns - begin_ns) / 1e9)}"
        parts = [shapes.rect("gap", left, self.top, max(right - left, 1.5), self.lane.height)]
        label = fitting([words, f"no {self.lane.sort}_SA", "none"], Face.NOTE, right - left - 6)
        if label:
            middle = self.top + self.lane.height / 2 + 4
            parts.append(shapes.text("bad", (left + right) / 2, middle, label, "middle"))
        title = f"{words}, from {moment(begin_ns, self.scale.zero_ns).removeprefix('at ')}"
        return shapes.group("nothing", title, parts)

    def _bar(self, bar: Bar) -> Iterator[str]:
        y, height = self._y(bar), self.lane.density.bar
        used = max(bar.turn - bar.left, 1.0)
        yield shapes.rect("used", bar.left, y, used, height)
        if bar.right - bar.turn > 0.5:
            width = bar.right - bar.turn
            yield shapes.rect("left-over", bar.turn, y, width, height)
            yield shapes.path("hatch", shapes.hatch(bar.turn, y, width, height))
        # The beginning is the strongest line; an open end has none.
        if not bar.is_cut:
            yield shapes.line("begin", (bar.left, y), (bar.left, y + height))
        yield from self._labels(bar, y)
        yield from self._failures(bar, y)
        if not bar.is_open:
            yield from self._end(bar, y)

    def _names(self, bar: Bar) -> tuple[str, ...]:
        label = self.labels.get((bar.sa.sort, bar.sa.number))
        if label is None:
            return spi_choices(bar.sa, self.seen_from)
        return f"{bar.sa.number}  {label}", label, str(bar.sa.number)

    def _labels(self, bar: Bar, y: float) -> Iterator[str]:
        density, whole = self.lane.density, bar.right - bar.left - 10
        room = whole - (2 * density.mark + 2) * self._has_letter(bar)
        x = bar.left + 6
        if density is Density.ROOMY:
            yield shapes.text("spi", x, y + 15, fitting(self._names(bar), Face.ADDRESS, room))
            fate = fitting(fate_choices(bar.sa, self.scale.end_ns), Face.NOTE, whole)
            if fate:
                yield shapes.text("fate", x, y + 29, fate)
        elif density is Density.TIGHT:
            label = fitting([str(bar.sa.number)], Face.NOTE, room + 6)
            if label:
                yield shapes.text("fate", x - 2, y + density.bar / 2 + 4, label)

    def _has_letter(self, bar: Bar) -> bool:
        """Whether the end that let the SA go signs; the SA's own number is more important."""
        density, room = self.lane.density, bar.right - bar.left
        if bar.is_open or not density.mark:
            return False
        own = text_width(str(bar.sa.number), Face.NOTE) if density is Density.TIGHT else 0.0
        return room >= 2 * density.mark + 2 + own + 4

    def _failures(self, bar: Bar, y: float) -> Iterator[str]:
        """A line for every rekey that failed; of those close together only one says "!"."""
        height, last = self.lane.density.bar, None
        for one in bar.sa.rekeys:
            if one.failed is None:
                continue
            x = self.scale.x(one.time_ns)
            yield shapes.line("fail", (x, y), (x, y + height))
            if self.lane.density.mark and (last is None or x - last > 12):
                last = x
                yield shapes.text("fail-mark", x - 3, y + height - 4, "!", "end")

    def _end(self, bar: Bar, y: float) -> Iterator[str]:
        """A line in the colour of the end that let it go, and its letter in a box."""
        css, height, mark = self._css(bar.sa.gone_by), self.lane.density.bar, self.lane.density.mark
        yield shapes.line(f"end {css}", (bar.right, y), (bar.right, y + height))
        size = 2 * mark - 1
        if self._has_letter(bar):
            x = bar.right - size - 2.5
            # Above the second line of words, where there is one.
            middle = y + (size / 2 + 3 if self.lane.density is Density.ROOMY else height / 2)
            yield shapes.rect(f"gone-mark {css}", x, middle - size / 2, size, size, 1.5)
            yield shapes.text(
                f"letter {css}", x + size / 2, middle + 3.6, self._letter(bar.sa.gone_by), "middle"
            )

    def _handover(self, old: Bar, new: Bar) -> Iterator[str]:
        """A line from the replaced SA to its successor, signed by who started the rekey."""
        css, density = self._css(old.sa.replaced_by), self.lane.density
        x = new.left
        down = new.row > old.row
        start = self._y(old) + (density.bar if down else 0)
        stop = self._y(new) + (0 if down else density.bar)
        yield shapes.line(f"over {css}", (x, start), (x, stop))
        tip = -4.0 if down else 4.0
        yield shapes.path(
            f"tip {css}",
            f"M{shapes.number(x)} {shapes.number(stop)}l-3.5 {shapes.number(tip)}h7z",
        )
        if density.mark:
            middle = start + (density.gap / 2 - 2) * (1 if down else -1)
            yield shapes.circle(f"rekey-mark {css}", x, middle, density.mark)
            letter = self._letter(old.sa.replaced_by)
            yield shapes.text("letter inverse", x, middle + 3.6, letter, "middle")
