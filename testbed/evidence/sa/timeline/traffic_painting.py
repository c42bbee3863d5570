"""Probes under the SAs: answered ones as a quiet profile, lost ones not to be overlooked."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.evidence.sa.timeline import shapes
from testbed.evidence.sa.timeline.scale import Scale
from testbed.evidence.sa.timeline.words import moment
from testbed.evidence.sa.traffic import Stream, bins_of
from testbed.evidence.sa_words import interval

HEIGHT = 44.0
_BIN_PX = 7.0
_TOLD = 3


def heading(stream: Stream, scale: Scale) -> tuple[str, str]:
    """What the stream is and how much of it was answered; and what was lost, or nothing."""
    width = scale.step_s(_BIN_PX)
    answered = stream.sent - stream.lost
    told = f"{stream.name}: {answered:,} of {stream.sent:,} answered, drawn per {interval(width)}"
    sent_ns = max((one.until_ns for one in stream.reports if one.sent), default=scale.start_ns)
    if scale.end_ns - sent_ns > 2 * width * 10**9:
        silent = interval((sent_ns - scale.zero_ns) / 1e9)
        told += f"; nothing sent after {silent}" if stream.sent else "; nothing sent"
    if stream.lost <= 0:
        return f"{told}; none lost", ""

    def when(index: int) -> str:
        return moment(stream.lost_ns[index], scale.zero_ns).removeprefix("at ")

    if 0 < stream.lost == len(stream.lost_ns) <= _TOLD:
        return told, f"{stream.lost} lost: " + "; ".join(map(when, range(stream.lost)))
    if stream.lost_ns:
        return told, f"{stream.lost:,} lost, the first {when(0)}, the last {when(-1)}"
    return told, f"{stream.lost:,} lost"


def paint_stream(stream: Stream, scale: Scale, top: float) -> Iterator[str]:
    """The profile of a stream; a bin is as high as its share of the fullest bin."""
    bottom = top + HEIGHT
    width_ns = scale.step_s(_BIN_PX) * 10**9
    count = -(-(scale.end_ns - scale.start_ns) // width_ns) or 1
    # Bins lie on the axis' own multiples, so that they line up with its ticks.
    first = scale.zero_ns - -(-(scale.zero_ns - scale.start_ns) // width_ns) * width_ns
    bins = bins_of(stream, first, width_ns, count + 1)
    most = max((one.answered + one.lost for one in bins), default=0.0) or 1.0
    profile = []
    for index, one in enumerate(bins):
        begin = first + index * width_ns
        left, right = scale.x(begin), scale.x(begin + width_ns)
        if right <= left or one.answered + one.lost <= 0:
            continue
        good = HEIGHT * one.answered / most
        profile.append(
            f"M{shapes.number(left)} {shapes.number(bottom)}V{shapes.number(bottom - good)}"
            f"H{shapes.number(max(right - 0.8, left + 0.5))}V{shapes.number(bottom)}z"
        )
        if one.lost > 1e-9:
            bad = max(HEIGHT * one.lost / most, 5.0)
            y = max(bottom - good - bad, top)
            yield shapes.group(
                "lost",
                f"{one.lost:.3g} lost from {moment(begin, scale.zero_ns).removeprefix('at ')}",
                [shapes.rect("lost-bin", left, y, max(right - left - 0.8, 2.0), bad)],
            )
            if index == 0 or bins[index - 1].lost <= 1e-9:  # once for losses in a row
                middle = shapes.number((left + right) / 2)
                yield shapes.path("lost-tip", f"M{middle} {shapes.number(top - 1)}l-4 -7h8z")
    yield shapes.path("answered", "".join(profile))
    yield shapes.line("base", (scale.left, bottom), (scale.right, bottom))
