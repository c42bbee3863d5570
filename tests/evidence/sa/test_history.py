"""From events to a history: against the truth, against a slow oracle, and with a bad record."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

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
    Event,
    IkeSaDeleted,
    IkeSaEstablished,
    IkeSaReplaced,
    IkeSpis,
    Note,
    Record,
)
from testbed.events.sa_kinds import Why
from testbed.evidence.sa import History, sa_history
from testbed.evidence.sa.history import Spis
from tests.evidence.sa.synthetic import (
    LOCAL,
    PEER,
    START,
    A,
    B,
    C,
    Life,
    Truth,
    records_of,
    truths,
)

S = 10**9
ONE, TWO = EspSpis("aaaaaaa1", "bbbbbbb1"), EspSpis("aaaaaaa2", "bbbbbbb2")


def _told(seconds: float, event: Event, node: str = LOCAL) -> Record:
    return Record(START + round(seconds * 1e9), "service", event, node, "ike")


def _established(spis: EspSpis = ONE, by: str | None = "local", peer: str = PEER) -> Event:
    who = {"local": "local", "peer": "peer"}.get(by or "")
    return ChildSaEstablished("x", peer, spis, who)  # type: ignore[arg-type]  # one of the two


_LIVES = st.builds(
    Life,
    rekey_s=st.integers(3000, 30000).map(float),
    by=st.sampled_from([LOCAL, PEER]),
    jitter_s=st.sampled_from([0.0, 27.0]),
    delete_s=st.none() | st.integers(3000, 60000).map(float),
    deleted_by=st.none() | st.sampled_from([LOCAL, PEER]),
)
_DAYS = st.builds(
    lambda child, ike, seed: truths({"CHILD": child, "IKE": ike}, 24, seed),
    _LIVES,
    _LIVES,
    st.integers(0, 2**32),
)


def _mark(spis: Spis) -> frozenset[tuple[str, str]] | tuple[str, str]:
    if isinstance(spis, IkeSpis):
        return (spis.initiator, spis.responder)
    return frozenset([("one", min(spis.inbound, spis.outbound)), ("two", max(*_pair(spis)))])


def _pair(spis: EspSpis) -> tuple[str, str]:
    return spis.inbound, spis.outbound


def _facts(history: History) -> dict[object, tuple[object, ...]]:
    return {
        _mark(sa.spis): (
            sa.born_ns,
            sa.born_by,
            sa.replaced_ns,
            sa.replaced_by,
            sa.gone_ns,
            sa.gone_by,
        )
        for sa in history.sas
    }


def _true_facts(every: Iterable[Truth]) -> dict[object, tuple[object, ...]]:
    def at(seconds: float | None) -> int | None:
        return None if seconds is None else START + round(seconds * 1e9)

    return {
        _mark(one.key): (
            at(one.born_s),
            one.born_by,
            at(one.replaced_s),
            one.replaced_by,
            at(one.gone_s),
            one.gone_by,
        )
        for one in every
    }


@settings(max_examples=30, deadline=None)
@given(_DAYS, st.sampled_from([(LOCAL,), (PEER,), (LOCAL, PEER)]))
def test_a_whole_record_gives_the_truth(every: list[Truth], ends: tuple[str, ...]) -> None:
    history = sa_history(records_of(every, ends))
    assert _facts(history) == _true_facts(every)
    assert list(history.disagreements()) == []
    for sort in ("IKE", "CHILD"):
        chain = history.of_sort("IKE" if sort == "IKE" else "CHILD")
        assert [sa.number for sa in chain] == list(range(1, len(chain) + 1))
        assert [sa.predecessor for sa in chain] == [None, *range(1, len(chain))]
        assert [sa.successor for sa in chain] == [*range(2, len(chain) + 1), None]


def _oracle(records: list[Record]) -> dict[object, tuple[object, ...]]:
    """Slow and clear: every fact by its own search through everything."""
    marks = {
        _mark(spis)
        for record in records
        for spis in (getattr(record.event, name, None) for name in ("spis", "old", "new"))
        if spis is not None
    }

    def search(mark: object, kinds: tuple[type[Event], ...], field: str, *, last: bool) -> object:
        """The first telling of each end; of these the first or the last; and who it was."""
        firsts = []
        for node in (LOCAL, PEER):
            found = [
                (record.time_ns, {"local": node, "peer": _other(node)}[record.event.by])  # type: ignore[attr-defined]
                for record in records
                if record.node == node
                and isinstance(record.event, kinds)
                and getattr(record.event, field) is not None
                and _mark(getattr(record.event, field)) == mark
            ]
            if found:
                firsts.append(min(found))
        if not firsts:
            return None, None
        return (max if last else min)(firsts)

    facts: dict[object, tuple[object, ...]] = {}
    for mark in marks:
        born = search(mark, (IkeSaEstablished, ChildSaEstablished), "spis", last=False)
        turn = search(mark, (IkeSaReplaced, ChildSaReplaced), "old", last=False)
        gone = search(mark, (IkeSaDeleted, ChildSaDeleted), "spis", last=True)
        facts[mark] = (*born, *turn, *gone)  # type: ignore[misc]  # all are pairs
    return facts


def _other(node: str) -> str:
    return PEER if node == LOCAL else LOCAL


@settings(max_examples=60, deadline=None)
@given(
    _DAYS,
    st.integers(0, 2**32).map(random.Random),
    st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_missing_repeated_and_shuffled_events(
    every: list[Truth], chance: random.Random, missing: float, late: int, peer_late: int
) -> None:
    records = [one for one in records_of(every) if chance.random() >= missing]
    records += [one for one in records if chance.random() < 0.2]
    clock = {LOCAL: late * S, PEER: peer_late * S}
    moved = [replace(one, time_ns=one.time_ns + clock[str(one.node)]) for one in records]
    chance.shuffle(moved)
    assert _facts(sa_history(moved)) == _oracle(moved)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([A, B, C]), st.integers(0, 2**32).map(random.Random))
def test_the_order_of_events_does_not_matter(lives: dict[str, Life], chance: random.Random) -> None:
    records = records_of(truths(lives, 48))
    shuffled = list(records)
    chance.shuffle(shuffled)
    history = sa_history(shuffled)
    assert _facts(history) == _facts(sa_history(records))
    assert sorted(history.disagreements()) == []


def test_the_end_that_wanted_the_first_sa_stands_first() -> None:
    told = [
        _told(0, ChildSaEstablished("x", LOCAL, ONE.of_peer(), "peer"), PEER),
        _told(0.2, _established()),
    ]
    history = sa_history(told)
    assert history.ends == (LOCAL, PEER)
    assert history.sas[0].spis == ONE
    assert sa_history(told[:1]).ends == (PEER,)


def test_no_records_no_history() -> None:
    assert sa_history([]) == History(0, 0, (), ())
    history = sa_history([_told(5, Note("x"), "pc")])
    assert (history.start_ns, history.end_ns, history.sas) == (START + 5 * S, START + 5 * S, ())


def test_a_peer_known_by_its_address_is_called_by_its_node() -> None:
    (sa,) = sa_history(
        [
            _told(0, ChildSaEstablished("x", "203.0.113.4", ONE, "peer")),
            _told(0, ChildSaEstablished("x", "198.51.100.2", ONE.of_peer(), "local"), PEER),
        ]
    ).sas
    assert sa.born_by == PEER
    assert sa.disagreements == ()
    assert [(view.node, view.peer) for view in sa.views] == [(PEER, LOCAL), (LOCAL, PEER)]


def test_spis_of_a_third_end_are_not_mixed_up() -> None:
    """Two tunnels whose SPIs happen to be alike; the ends name their peers."""
    history = sa_history(
        [
            _told(0, _established(), LOCAL),
            _told(1, ChildSaEstablished("x", "hub", ONE.of_peer(), "local"), "spoke"),
            _told(2, ChildSaEstablished("x", LOCAL, ONE.of_peer(), "peer"), PEER),
            _told(3, ChildSaEstablished("x", "spoke", ONE, "peer"), "hub"),
        ]
    )
    assert [{view.node for view in sa.views} for sa in history.sas] == [
        {LOCAL, PEER},
        {"spoke", "hub"},
    ]
    assert list(history.disagreements()) == []


def test_only_mirrored_spis_are_one_child_sa() -> None:
    history = sa_history(
        [_told(0, _established()), _told(0, ChildSaEstablished("x", LOCAL, ONE, "peer"), PEER)]
    )
    assert [len(sa.views) for sa in history.sas] == [1, 1]


def test_a_failure_belongs_to_the_attempt_of_the_same_moment() -> None:
    failed = ChildSaRekeyFailed("x", PEER, ONE, "local", "TEMPORARY_FAILURE")
    started = ChildSaRekeyStarted("x", PEER, ONE, "local")
    for events in ((failed, started), (started, failed)):
        (sa,) = sa_history([_told(0, _established()), *(_told(9, one) for one in events)]).sas
        for attempts in (sa.rekeys, sa.views[0].rekeys):
            assert [one.failed for one in attempts] == ["TEMPORARY_FAILURE"]


def test_different_starters_are_shown() -> None:
    history = sa_history(
        [
            _told(0, _established()),
            _told(0.1, ChildSaEstablished("x", LOCAL, ONE.of_peer(), "local"), PEER),
        ]
    )
    assert list(history.disagreements()) == [
        "CHILD_SA 1: established by rtx says rtx, but established by azure says azure"
    ]


def test_times_far_apart_are_shown_and_the_last_end_decides() -> None:
    records = [
        _told(0, _established()),
        _told(0, ChildSaEstablished("x", LOCAL, ONE.of_peer(), "peer"), PEER),
        _told(100, ChildSaDeleted("x", PEER, ONE, "local")),
        _told(105, ChildSaDeleted("x", LOCAL, ONE.of_peer(), "peer"), PEER),
    ]
    assert list(sa_history(records).disagreements()) == []
    history = sa_history(records, tolerance_s=4)
    assert list(history.disagreements()) == ["CHILD_SA 1: gone 5.0 s later at azure than at rtx"]
    assert history.sas[0].life_s == 105


def test_silence_of_one_end_is_shown_if_it_went_on_talking() -> None:
    records = [
        _told(0, _established()),
        _told(0, ChildSaEstablished("x", LOCAL, ONE.of_peer(), "peer"), PEER),
        _told(100, ChildSaDeleted("x", PEER, ONE, "local")),
    ]
    assert list(sa_history(records).disagreements()) == []
    later = _told(500, ChildSaEstablished("x", LOCAL, TWO.of_peer(), "peer"), PEER)
    assert list(sa_history([*records, later]).disagreements()) == [
        "CHILD_SA 1: rtx told that it was gone, azure did not"
    ]


def test_an_sa_of_which_one_end_only_told_is_shown_if_the_other_went_on_talking() -> None:
    both = [
        _told(0, _established()),
        _told(0, ChildSaEstablished("x", LOCAL, ONE.of_peer(), "peer"), PEER),
    ]
    alone = _told(100, _established(TWO))
    assert list(sa_history([*both, alone]).disagreements()) == []
    talk = _told(500, ChildSaDeleted("x", LOCAL, ONE.of_peer(), "local"), PEER)
    gone = _told(500, ChildSaDeleted("x", PEER, ONE, "peer"))
    assert list(sa_history([*both, alone, talk, gone]).disagreements()) == [
        "CHILD_SA 2: rtx told of it, azure did not"
    ]
    lost = _told(101, ChildSaDeleted("x", PEER, TWO, None, "redundant"))
    assert list(sa_history([*both, alone, lost, talk, gone]).disagreements()) == []
    by_address = _told(100, _established(TWO, peer="203.0.113.4"))
    assert list(sa_history([*both, by_address, talk, gone]).disagreements()) == [
        "CHILD_SA 2: rtx told of it, azure did not"
    ]


def test_an_end_that_contradicts_itself_is_shown() -> None:
    history = sa_history([_told(0, _established()), _told(1, _established(by="peer"))])
    assert history.sas[0].born_by == LOCAL
    assert list(history.disagreements()) == [
        "CHILD_SA 1: rtx told two things: established by rtx, then azure"
    ]


@pytest.mark.parametrize(
    ("why", "differences"),
    [
        ("closed", ()),  # all it can know is that a Delete came
        ("dead-peer", ("gone because dead-peer says rtx, but gone because expired says azure",)),
    ],
)
def test_the_end_that_acted_knows_best_why(why: Why, differences: tuple[str, ...]) -> None:
    (sa,) = sa_history(
        [
            _told(0, _established()),
            _told(9, ChildSaDeleted("x", PEER, ONE, "peer", why)),
            _told(9, ChildSaDeleted("x", LOCAL, ONE.of_peer(), "local", "expired"), PEER),
        ]
    ).sas
    assert (sa.gone_by, sa.why) == (PEER, "expired")
    assert sa.disagreements == differences


def test_an_sa_made_to_replace_another_replaces_it() -> None:
    """Also when no event of its own says so."""
    new = ChildSaEstablished("x", PEER, TWO, "peer", "CREATE_CHILD_SA", old=ONE)
    one, two = sa_history([_told(0, _established()), _told(60, new)]).sas
    assert (one.rekey_s, one.replaced_by, one.successor) == (60, PEER, 2)
    assert (two.predecessor, two.exchange) == (1, "CREATE_CHILD_SA")


def test_attempts_to_rekey_are_each_told_once() -> None:
    history = sa_history(
        [
            _told(0, _established()),
            _told(60, ChildSaRekeyStarted("x", PEER, ONE, "local")),
            _told(60.1, ChildSaRekeyStarted("x", LOCAL, ONE.of_peer(), "peer"), PEER),
            _told(61, ChildSaRekeyFailed("x", PEER, ONE, "local", "TEMPORARY_FAILURE")),
            _told(90, ChildSaRekeyFailed("x", PEER, ONE, None, None)),
            _told(120, ChildSaRekeyStarted("x", LOCAL, ONE.of_peer(), "local"), PEER),
        ]
    )
    (sa,) = history.sas
    attempts = [((one.time_ns - START) / S, one.by, one.failed) for one in sa.rekeys]
    assert attempts == [
        (60, LOCAL, "TEMPORARY_FAILURE"),
        (90, None, "without a reason told"),
        (120, PEER, None),
    ]


def test_an_sa_known_only_by_its_end_has_no_beginning() -> None:
    (sa,) = sa_history([_told(7, ChildSaDeleted("x", PEER, ONE, "peer", "expired"))]).sas
    assert (sa.born_ns, sa.life_s, sa.rekey_s) == (None, None, None)
    assert sa.seen_ns == sa.gone_ns == START + 7 * S
    replaced = ChildSaReplaced("x", PEER, ONE, TWO, "peer")
    one, two = sa_history([_told(7, replaced)]).sas
    assert (one.successor, two.predecessor) == (2, 1)
    assert one.replaced_ns == START + 7 * S
