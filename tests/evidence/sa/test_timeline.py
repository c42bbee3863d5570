"""The timeline: a plain picture whatever the events, with every SA where it belongs."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.events import (
    ChildSaDeleted,
    ChildSaEstablished,
    ChildSaRekeyFailed,
    ChildSaRekeyStarted,
    ChildSaReplaced,
    EspSpis,
    IkeSaDeleted,
    IkeSaEstablished,
    IkeSaReplaced,
    IkeSpis,
    Probes,
    Record,
)
from testbed.evidence.report.drawing import picture
from testbed.evidence.report.redact import Redactor
from testbed.evidence.sa import Mark, draw_timeline, read_rtx_log, sa_history, streams_of
from testbed.evidence.sa.timeline.drawing import WIDTH
from testbed.evidence.sa.timeline.lanes import Density, lanes_of
from testbed.evidence.sa.timeline.scale import STEPS_S, Scale
from testbed.evidence.sa.timeline.shapes import hatch
from testbed.evidence.sa_words import interval
from tests.evidence.sa.synthetic import (
    HISTORY_2016,
    LOCAL,
    PEER,
    START,
    A,
    B,
    C,
    Life,
    day,
    pings,
    records_of,
    truths,
)

S = 10**9
SVG = "{http://www.w3.org/2000/svg}"


def _texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def _draw(records: list[Record], **options: object) -> str:
    history = sa_history(records)
    return draw_timeline(history, streams_of(records), title="T", **options)  # type: ignore[arg-type]


_IKE = st.sampled_from([IkeSpis(f"{n:016x}", f"{n:016x}") for n in range(3)])
_ESP = st.sampled_from([EspSpis(f"{a:08x}", f"{b:08x}") for a in range(3) for b in range(3)])
_NAMES = st.sampled_from(["rtx", "azure", "<b>", "a\x00\ud800 & 'b'", ""])
_EVENTS = st.one_of(
    *(
        st.builds(cls, component=_NAMES, peer=_NAMES, **fields)
        for cls, fields in (
            (IkeSaEstablished, {"spis": _IKE, "old": st.none() | _IKE}),
            (IkeSaReplaced, {"old": _IKE, "new": _IKE}),
            (IkeSaDeleted, {"spis": _IKE}),
            (ChildSaEstablished, {"spis": _ESP, "old": st.none() | _ESP, "ike": st.none()}),
            (ChildSaReplaced, {"old": _ESP, "new": _ESP}),
            (ChildSaRekeyStarted, {"spis": _ESP}),
            (ChildSaRekeyFailed, {"spis": _ESP, "notify": st.none() | _NAMES}),
            (ChildSaDeleted, {"spis": _ESP}),
        )
    ),
    st.builds(
        Probes,
        name=_NAMES,
        since_ns=st.integers(START, START + 10**12),
        sent=st.integers(0, 10**6),
        answered=st.integers(0, 10**6),
        lost_ns=st.lists(st.integers(0, 2 * START), max_size=3).map(tuple),
        slowest_s=st.none(),
    ),
)
_RECORDS = st.lists(
    st.builds(
        Record,
        time_ns=st.integers(START, START + 10**12) | st.integers(0, 10 * START),
        origin=st.just("service"),
        event=_EVENTS,
        node=_NAMES,
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(_RECORDS, st.booleans())
def test_any_events_make_a_plain_picture(records: list[Record], per_end: bool) -> None:
    svg = _draw(records, per_end=per_end, subtitle="a <b>\nc")
    picture(svg, "any", Redactor([]))  # raises unless it is plain and well-formed
    assert svg.isprintable() or "\n" in svg
    assert "nan" not in svg
    assert "inf" not in svg


_KEPT_LONG = {"CHILD": Life(3000, LOCAL, 50, 9000, PEER), "IKE": Life(9000, PEER, 9, 20000, PEER)}
_DAYS = [(A, 24), (B, 48), (C, 48), (HISTORY_2016, 96), (_KEPT_LONG, 24)]


@pytest.mark.parametrize(("lives", "hours"), _DAYS)
@pytest.mark.parametrize("per_end", [False, True])
def test_bars_are_where_the_sas_were(lives: dict[str, Life], hours: float, per_end: bool) -> None:
    every = truths(lives, hours)
    history = sa_history(day(lives, hours))
    scale = Scale(START, START + round(hours * 3600) * S, START, 100.0, 1100.0)
    lanes = lanes_of(history, scale, per_end=per_end)
    assert [(lane.end, lane.sort) for lane in lanes] == [
        (end, sort) for end in ((LOCAL, PEER) if per_end else (None,)) for sort in ("IKE", "CHILD")
    ]
    for lane in lanes:
        true = [one for one in every if one.sort == lane.sort]
        assert len(lane.bars) == len(true)
        rows: dict[int, float] = defaultdict(float)
        for bar, one in zip(lane.bars, true, strict=True):
            end = hours * 3600 if one.gone_s is None else one.gone_s
            turn = end if one.replaced_s is None else one.replaced_s
            expected = [100 + 1000 * s / (hours * 3600) for s in (one.born_s, turn, end)]
            assert [bar.left, bar.turn, bar.right] == pytest.approx(expected, abs=0.01)
            assert bar.is_open == (one.gone_s is None)
            assert rows[bar.row] <= bar.left + 0.02, "bars of a row overlap"
            rows[bar.row] = bar.right
        assert len(rows) == lane.rows <= 4
        steps = [(a.row, b.row) for a, b in itertools.pairwise(lane.bars)]
        assert all(one != two for one, two in steps), "a successor stands in another row"
        assert lane.gaps == ()


def test_how_much_a_bar_says_depends_on_its_room() -> None:
    def densities(hours: float) -> list[Density]:
        history = sa_history(day(HISTORY_2016, hours))
        scale = Scale(START, START + round(hours * 3600) * S, START, 28.0, 1212.0)
        return [lane.density for lane in lanes_of(history, scale, per_end=False)]

    assert densities(8) == [Density.ROOMY, Density.ROOMY]
    assert densities(24) == [Density.ROOMY, Density.TIGHT]
    assert densities(96) == [Density.TIGHT, Density.DENSE]


def test_words_of_a_picture() -> None:
    records = day(C, 24, [5000.0, 5060.0])
    texts = _texts(_draw(records, subtitle="one\ntwo", marks=[Mark(START + 3600 * S, "cut x")]))
    told = "\n".join(texts)
    history = sa_history(records)
    first = history.of_sort("CHILD")[0]
    assert f"rekeyed after {interval(first.rekey_s or 0)} by azure" in told
    assert f"1  {first.spis}".replace("  ", " ") in told.replace("  ", " ")
    for words in (
        *("T", "one", "two", "cut x", "IKE_SA", "CHILD_SA", "Traffic", "probes lost"),
        "ping pc to vm: 1,438 of 1,440 answered, drawn per 10 min",
        "2 lost: 1 h 23 min 20 s (2017-07-15 11:18:53 UTC); "
        "1 h 24 min 20 s (2017-07-15 11:19:53 UTC)",
        *("made by rtx", "made by azure", "rekeyed by azure", "deleted by azure"),
        *("0", "2 h", "24 h", "15 Jul 09:55", "11:55", "16 Jul 01:55"),
    ):
        assert words in texts, words
    assert "rekeyed by rtx" not in texts
    assert "replaced, still installed" not in texts


def test_what_was_kept_after_its_rekey_is_hatched() -> None:
    svg = _draw(day(A, 24))
    assert "replaced, still installed" in _texts(svg)
    kept = [sa for sa in sa_history(day(A, 24)).sas if sa.replaced_ns is not None]
    left_over = [e for e in ET.fromstring(svg).iter() if e.get("class") == "left-over"]
    assert len(left_over) == len(kept) == 7


def test_trouble_is_said() -> None:
    one, two = EspSpis("aaaaaaa1", "bbbbbbb1"), EspSpis("aaaaaaa2", "bbbbbbb2")

    def told(seconds: float, event: object, node: str = LOCAL) -> Record:
        return Record(START + round(seconds * 1e9), "service", event, node)  # type: ignore[arg-type]

    svg = _draw(
        [
            told(0, ChildSaEstablished("x", PEER, one, "local")),
            told(0.1, ChildSaEstablished("x", LOCAL, one.of_peer(), "local"), PEER),
            told(500, ChildSaRekeyFailed("x", PEER, one, "local", "NO_PROPOSAL_CHOSEN")),
            told(600, ChildSaDeleted("x", PEER, one, "local", "expired")),
            told(600, ChildSaDeleted("x", LOCAL, one.of_peer(), "peer", "expired"), PEER),
            told(1200, ChildSaEstablished("x", PEER, two, "local")),
            told(1800, ChildSaDeleted("x", PEER, two, "local", "closed")),
        ]
    )
    texts = _texts(svg)
    for words in (
        "no CHILD_SA for 10 min",
        "rekey failed",
        "gone after 10 min by rtx, no successor",
        "The ends differ: CHILD_SA 1: established by rtx says rtx, "
        "but established by azure says azure",
    ):
        assert words in texts, words
    assert "failed: NO_PROPOSAL_CHOSEN" in svg
    assert _texts(draw_timeline(sa_history([]), title="E"))[:2] == ["E", "No event told of an SA."]


def test_many_losses_are_told_in_one_line() -> None:
    times = [3600.0 + 60 * minute for minute in range(100)]
    svg = _draw(day(A, 24, times))
    assert (
        "100 lost, the first 1 h (2017-07-15 10:55:33 UTC), "
        "the last 2 h 39 min (2017-07-15 12:34:33 UTC)" in _texts(svg)
    )
    shapes = [element.get("class") for element in ET.fromstring(svg).iter()]
    assert shapes.count("lost-bin") == 10
    assert shapes.count("lost-tip") == 2  # once in the legend, once for all in a row


def test_a_stream_that_fell_silent_is_said_to() -> None:
    records = records_of(truths(A, 24)) + pings(6)
    told = "ping pc to vm: 360 of 360 answered, drawn per 10 min; nothing sent after 6 h; none lost"
    assert told in _texts(_draw(records))


def test_many_disagreements_do_not_drown_the_picture() -> None:
    lives = {**HISTORY_2016, "IKE": Life(9999, PEER)}
    late = [
        record if record.node == LOCAL else Record(record.time_ns + 60 * S, "x", record.event, PEER)
        for record in records_of(truths(lives, 24))
    ]
    texts = _texts(_draw(late))
    assert sum("The ends differ" in text for text in texts) == 6
    (more,) = [text for text in texts if text.startswith("… and")]
    assert re.fullmatch(r"… and \d+ more differences", more)


def test_labels_stand_for_spis() -> None:
    records = list(
        read_rtx_log(
            "2017/07/15 09:55:33: [IKE2] SA:7/IKE temporarily assigned\n"
            "2017/07/15 09:55:33: [IKE2] SA:7/IKE established\n"
        )
    )
    history = sa_history(records)
    texts = _texts(draw_timeline(history, title="T", labels={("IKE", 1): "SA:7"}))
    assert "1  SA:7" in texts
    assert not any("0000" in text for text in texts)
    assert "by an unknown end" in " ".join(texts)


def test_all_words_are_on_the_paper() -> None:
    """By the estimate of text widths that the graph's tests hold against real fonts."""
    for records in (day(A, 24), day(HISTORY_2016, 96, [100000]), day(C, 48)):
        root = ET.fromstring(_draw(records))
        height = float(root.get("height", "0"))
        for element in root.iter(f"{SVG}text"):
            x, y = float(element.get("x", "0")), float(element.get("y", "0"))
            assert 0 < y < height
            if element.get("class") == "sums":
                assert x + 0.62 * 12 * len(element.text or "") < WIDTH


def test_the_same_history_is_drawn_the_same() -> None:
    assert _draw(day(B, 48)) == _draw(list(reversed(day(B, 48))))


@given(
    st.integers(1, 10**9).map(lambda s: s * S),
    st.integers(0, 10**6).map(lambda s: s * S),
    st.floats(20, 300),
)
def test_ticks_are_apart_and_at_whole_steps(length: int, before: int, room: float) -> None:
    scale = Scale(START - before, START + length, START, 28.0, 1212.0)
    step = scale.step_s(room) * S
    ticks = scale.ticks(room)
    assert all((tick.time_ns - START) % step == 0 for tick in ticks)
    assert all(scale.start_ns <= tick.time_ns <= scale.end_ns for tick in ticks)
    places = [scale.x(tick.time_ns) for tick in ticks]
    assert all(b - a >= room - 1e-6 for a, b in itertools.pairwise(places))
    assert len({tick.after for tick in ticks}) == len(ticks), "no two ticks say the same"
    if step // S in STEPS_S[1:]:  # the next smaller step would not have had the room
        smaller = STEPS_S[STEPS_S.index(step // S) - 1]
        assert smaller * S * (1212 - 28) / (scale.end_ns - scale.start_ns) < room + 1e-6


@given(st.floats(0.5, 400), st.floats(1, 60))
def test_hatching_stays_in_its_box(width: float, height: float) -> None:
    numbers = [float(text) for text in re.findall(r"[\d.]+", hatch(0.0, 0.0, width, height))]
    for x, y in zip(numbers[::2], numbers[1::2], strict=True):
        assert -0.01 <= x <= width + 0.01
        assert -0.01 <= y <= height + 0.01


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (12.5, "12.5 s"),
        (59.96, "60 s"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (21615, "6 h 0 min 15 s"),
        (27000, "7 h 30 min"),
        (-90, "−1 min 30 s"),
    ],
)
def test_intervals_in_words(seconds: float, words: str) -> None:
    assert interval(seconds) == words
