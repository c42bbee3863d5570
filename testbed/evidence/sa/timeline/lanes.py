"""Which SAs stand in which lane and row, and how much room each has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from statistics import median

from testbed.evidence.sa.history import History, Sa, Sort
from testbed.evidence.sa.timeline.scale import Scale


class Density(Enum):
    """How much a lane can say of each SA: height of a bar, px between rows, radius of marks."""

    ROOMY = (36.0, 20.0, 7.5)
    """Two lines of words in every bar."""
    TIGHT = (24.0, 18.0, 6.5)
    """A number in every bar, and who did it."""
    DENSE = (14.0, 10.0, 0.0)
    """Bars only; colours tell who did it."""

    def __init__(self, bar: float, gap: float, mark: float) -> None:
        self.bar = bar
        self.gap = gap
        self.mark = mark


@dataclass(frozen=True, slots=True)
class Bar:
    """An SA in its row; ``left`` to ``turn`` it is in use, to ``right`` only installed.

    ``is_open`` means that the record ended before the SA did, ``is_cut`` that its beginning is not
    in the record.
    """

    sa: Sa
    row: int
    left: float
    turn: float
    right: float
    is_open: bool
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """SAs of one sort, as all ends together or as one end told them; ``gaps`` have no SA at all."""

    sort: Sort
    end: str | None
    bars: tuple[Bar, ...]
    rows: int
    density: Density
    gaps: tuple[tuple[int, int], ...]

    @property
    def height(self) -> float:
        """Height of its rows."""
        return self.rows * self.density.bar + max(self.rows - 1, 0) * self.density.gap


def lanes_of(history: History, scale: Scale, *, per_end: bool) -> tuple[Lane, ...]:
    """The lanes of a drawing: IKE_SAs, then CHILD_SAs; of every end by itself if wanted."""
    ends: tuple[str | None, ...] = history.ends if per_end else (None,)
    lanes = []
    for end in ends:
        for sort in ("IKE", "CHILD"):
            sas = list(history.of_sort(sort))
            if end is not None:
                sas = [told for sa in sas if (told := as_told_by(sa, end)) is not None]
            if sas:
                lanes.append(_lane(sort, end, sas, scale))
    return tuple(lanes)


def as_told_by(sa: Sa, end: str) -> Sa | None:
    """The SA with nothing but what this end told."""
    view = sa.view_of(end)
    if view is None:
        return None
    return replace(
        sa,
        views=(view,),
        seen_ns=view.seen_ns,
        born_ns=view.born_ns,
        born_by=view.born_by,
        exchange=view.exchange,
        rekeys=view.rekeys,
        replaced_ns=view.replaced_ns,
        replaced_by=view.replaced_by,
        gone_ns=view.gone_ns,
        gone_by=view.gone_by,
        why=view.why,
        disagreements=view.contradictions,
    )


def _lane(sort: Sort, end: str | None, sas: Sequence[Sa], scale: Scale) -> Lane:
    bars: list[Bar] = []
    row_of: dict[int, int] = {}
    free_at: list[float] = []
    for sa in sas:
        left, turn, right = _edges(sa, scale)
        taken = row_of.get(sa.predecessor or 0)
        row = next(
            (row for row, free in enumerate(free_at) if free <= left + 0.01 and row != taken),
            len(free_at),
        )
        if row == len(free_at):
            free_at.append(right)
        free_at[row] = right
        row_of[sa.number] = row
        bars.append(Bar(sa, row, left, turn, right, sa.gone_ns is None, _is_cut(sa)))
    room = median(bar.turn - bar.left for bar in bars)
    density = Density.ROOMY if room >= 84 else Density.TIGHT if room >= 17 else Density.DENSE
    return Lane(sort, end, tuple(bars), len(free_at), density, tuple(_gaps(bars, scale)))


def _is_cut(sa: Sa) -> bool:
    return sa.born_ns is None and sa.predecessor is None


def _edges(sa: Sa, scale: Scale) -> tuple[float, float, float]:
    begin, end = _lives(sa, scale)
    turn = end if sa.replaced_ns is None else min(sa.replaced_ns, end)
    left, right = scale.x(begin), max(scale.x(end), scale.x(begin))
    return left, min(max(scale.x(turn), left), right), right


def _gaps(bars: Sequence[Bar], scale: Scale) -> Iterator[tuple[int, int]]:
    """Times between the first SA and the end of the record without any SA."""
    covered = None
    for begin, end in sorted(_lives(bar.sa, scale) for bar in bars):
        if covered is not None and begin > covered:
            yield covered, begin
        covered = end if covered is None else max(covered, end)
    if covered is not None and covered < scale.end_ns:
        yield covered, scale.end_ns


def _lives(sa: Sa, scale: Scale) -> tuple[int, int]:
    """From its beginning, or from the start of the record if that was not told."""
    begin = sa.born_ns
    if begin is None:
        begin = scale.start_ns if _is_cut(sa) else sa.seen_ns
    return begin, scale.end_ns if sa.gone_ns is None else sa.gone_ns
