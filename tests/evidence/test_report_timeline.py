"""The story of a run: in order, repetitions drawn together, nothing important left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.events import Drop, MappingCreated, Note, Record, ServiceExited, Verdict
from testbed.events.codec import event_types
from testbed.evidence.event_words import BAD
from testbed.evidence.report.timeline import (
    Entry,
    elide,
    merge_records,
    timeline,
    timeline_text,
)
from tests.events.samples import sample
from tests.evidence.reports import START, record


def test_streams_are_merged_by_time_even_when_one_is_out_of_order() -> None:
    one = [record(3, Note("c")), record(1, Note("a"))]
    two = [record(2, Note("b")), record(3, Note("d"))]
    merged = merge_records([one, two])
    assert [event.text for event in notes(merged)] == ["a", "b", "c", "d"]


def notes(records: tuple[Record, ...]) -> list[Note]:
    return [item.event for item in records if isinstance(item.event, Note)]


def test_repetitions_become_one_entry_until_something_else_happens() -> None:
    mapping = [
        record(i, MappingCreated("mape", "UDP", "10.0.0.1", i, "192.0.2.1", i), "ce")
        for i in range(4)
    ]
    told = timeline([*mapping[:3], record(2.5, ServiceExited(0, expected=True), "ce"), mapping[3]])
    assert [(entry.count, entry.kind) for entry in told] == [
        (3, "mapping-created"),
        (1, "service-exited"),
        (1, "mapping-created"),
    ]
    assert told[0].text == "mape maps UDP: 10.0.0.1:0 to 192.0.2.1:0"
    assert (told[0].time_ns, told[0].until_ns) == (START, START + 2_000_000_000)


def test_different_reasons_and_places_are_not_drawn_together() -> None:
    told = timeline(
        [
            record(1, Drop("mape", "no-port", "lan ingress"), "ce"),
            record(2, Drop("mape", "malformed", "lan ingress"), "ce"),
            record(3, Drop("mape", "malformed", "lan ingress"), "br"),
        ]
    )
    assert [entry.count for entry in told] == [1, 1, 1]


def test_equal_notes_are_never_drawn_together() -> None:
    assert len(timeline([record(1, Note("x")), record(2, Note("x"))])) == 2


def test_as_text() -> None:
    told = timeline(
        [
            record(0, Note("begin")),
            record(1.5, Verdict("t::x", "failed", 1.25, "why\nmore"), "br"),
        ]
    )
    assert timeline_text(told, START) == (
        "   +0.000000 s  service  begin\n   +1.500000 s  br       t::x failed after 1.25 s: why\n"
    )
    assert timeline_text(()) == ""


def test_every_kind_of_event_is_told_in_words() -> None:
    # A kind without words of its own would be told by its bare name.
    for kind, cls in event_types().items():
        (entry,) = timeline([record(0, sample(cls))])
        assert entry.kind == kind
        assert entry.text != kind


_TONES = st.sampled_from(["plain", "good", "bad", "warn"])


@given(st.lists(_TONES, max_size=40), st.integers(0, 45))
def test_leaving_out_keeps_bad_news_and_both_ends(tones: list[str], limit: int) -> None:
    entries = [Entry(i, i, "x", "k", str(i), tone) for i, tone in enumerate(tones)]
    kept, missing = elide(entries, limit)
    assert len(kept) + missing == len(entries)
    assert len(kept) == min(limit, len(entries))
    assert list(kept) == sorted(kept, key=lambda entry: entry.time_ns)
    bad = [entry for entry in entries if entry.tone == BAD]
    if len(bad) <= limit:
        assert set(bad) <= set(kept)
    else:
        assert set(kept) <= set(bad)
    if missing and set(tones) == {"plain"} and limit >= 2:
        assert entries[0] in kept
        assert entries[-1] in kept
