"""What a timeline says in words: labels by the room there is, sums of a lane, details of an SA."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from testbed.events import IkeSpis
from testbed.evidence.graph.metrics import Face, text_width
from testbed.evidence.sa.history import Sa, View
from testbed.evidence.sa_words import WHY, interval

_REGULAR = 0.88
"""Estimates of widths are for bold letters; ours are not, which are so much narrower."""


def fitting(choices: Iterable[str], face: Face, room: float) -> str:
    """The first of the choices that fits into so many px; nothing if none does."""
    scale = 1.0 if face.mono else _REGULAR
    return next((text for text in choices if text_width(text, face) * scale <= room), "")


def spi_choices(sa: Sa, end: str | None) -> tuple[str, ...]:
    """The SA's SPIs from long to short, as this end sees them."""
    view = (sa.view_of(end) if end is not None else None) or sa.views[0]
    spis = view.spis
    if isinstance(spis, IkeSpis):
        one, two = spis.initiator, spis.responder
        return (
            f"{sa.number}  {one}_i {two}_r",
            f"{sa.number}  {one[:8]}…_i {two[:8]}…_r",
            f"{sa.number}  {one[:8]}…_i",
            f"{sa.number}  {one[:4]}…",
            str(sa.number),
        )
    return (
        f"{sa.number}  {spis.inbound} in, {spis.outbound} out",
        f"{sa.number}  {spis.inbound}/{spis.outbound}",
        f"{sa.number}  {spis.inbound}",
        f"{sa.number}  {spis.inbound[:4]}…",
        str(sa.number),
    )


def fate_choices(sa: Sa, end_ns: int) -> tuple[str, ...]:
    """What became of the SA, from long to short."""
    if sa.rekey_s is not None:
        time, by = interval(sa.rekey_s), _by(sa.replaced_by)
        return f"rekeyed after {time}{by}", f"{time}{by}", time
    if sa.life_s is not None:
        time, by = interval(sa.life_s), _by(sa.gone_by)
        return f"gone after {time}{by}, no successor", f"gone after {time}{by}", f"gone: {time}"
    if sa.born_ns is not None and sa.replaced_ns is None and sa.gone_ns is None:
        time = interval((end_ns - sa.born_ns) / 1e9)
        return f"in use for {time}, until the record ends", f"{time} so far", f"{time}…"
    return ("its beginning was not told", "beginning not told") if sa.born_ns is None else ("",)


def _by(who: str | None) -> str:
    return f" by {who}" if who else ""


def lane_sums(sas: Sequence[Sa]) -> tuple[str, ...]:
    """The lane in sentences: how often rekeyed, after how long, by whom; how the old ones went."""
    told = [f"{len(sas)} SAs" if len(sas) != 1 else "1 SA"]
    rekeyed = [sa for sa in sas if sa.rekey_s is not None]
    if rekeyed:
        ages = _range([sa.rekey_s or 0.0 for sa in rekeyed])
        told.append(f"rekeyed {_starters([sa.replaced_by for sa in rekeyed])} after {ages}")
    kept = [sa for sa in sas if sa.kept_s is not None]
    if kept:
        times = [sa.kept_s or 0.0 for sa in kept]
        by = _starters([sa.gone_by for sa in kept])
        if max(times) < 60:
            told.append(f"the old one deleted {by} within {interval(max(1.0, *times))}")
        else:
            told.append(f"the old one kept {_range(times)}, deleted {by}")
    answers = Counter(
        one.failed for sa in sas for one in sa.rekeys if one.failed is not None
    ).most_common()
    if answers:
        failed = sum(number for _, number in answers)
        why = ", ".join(answer for answer, _ in answers)
        told.append(f"{failed} rekeys failed ({why})" if failed > 1 else f"1 rekey failed ({why})")
    return tuple(told)


def _range(seconds: Sequence[float]) -> str:
    low, high = interval(min(seconds)), interval(max(seconds))
    return low if low == high else f"{low} to {high}"


def _starters(names: Iterable[str | None]) -> str:
    count = Counter(names)
    return " and ".join(
        f"{number}× by {name}" if name is not None else f"{number}× by an unknown end"
        for name, number in count.most_common()
    )


def details(sa: Sa, zero_ns: int) -> str:
    """All that is known of an SA, a line per fact; shown where a pointer rests on it."""
    lines = [sa.name]
    for view in sa.views:
        lines.append(f"SPIs at {view.node}: {view.spis}")
    if sa.born_ns is not None:
        in_ = f" in {sa.exchange}" if sa.exchange else ""
        lines.append(f"established{_by(sa.born_by)}{in_} {moment(sa.born_ns, zero_ns)}")
    for one in sa.rekeys:
        failed = f", failed: {one.failed}" if one.failed is not None else ""
        lines.append(f"rekey started{_by(one.by)} {moment(one.time_ns, zero_ns)}{failed}")
    if sa.replaced_ns is not None:
        age = f", {interval(sa.rekey_s)} old" if sa.rekey_s is not None else ""
        lines.append(f"replaced{_by(sa.replaced_by)} {moment(sa.replaced_ns, zero_ns)}{age}")
    if sa.gone_ns is not None:
        age = f", {interval(sa.life_s)} old" if sa.life_s is not None else ""
        why = f" ({WHY[sa.why]})" if sa.why else ""
        lines.append(f"gone{_by(sa.gone_by)}{why} {moment(sa.gone_ns, zero_ns)}{age}")
    lines += [plan for view in sa.views if (plan := _plan(view))]
    lines += sa.disagreements
    return "\n".join(lines)


def _plan(view: View) -> str:
    plans = [f"rekey it after {interval(view.rekey_s)}" if view.rekey_s is not None else ""]
    plans.append(f"give it up after {interval(view.life_s)}" if view.life_s is not None else "")
    told = " and ".join(plan for plan in plans if plan)
    return f"{view.node} means to {told}" if told else ""


def moment(time_ns: int, zero_ns: int) -> str:
    """``at 5 h 37 min 56 s (2017-07-15 15:33:29 UTC)``."""
    clock = datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"at {interval((time_ns - zero_ns) / 1e9)} ({clock})"
