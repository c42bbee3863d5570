"""Two ends tell of the same SA: their views are brought together, and differences are said.

Views belong together when their SPIs match: an IKE_SA has the same pair at both ends, a CHILD_SA's
inbound SPI is the other end's outbound one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from testbed.events import (
    ChildSaEstablished,
    EspSpis,
    IkeSaEstablished,
    IkeSpis,
    Record,
    SaEvent,
)
from testbed.evidence.sa.history import History, Rekey, Sa, Sort, Spis, View
from testbed.evidence.sa.views import teller_of, views_of

TOLERANCE_S = 10.0
"""How far the two ends' times may lie apart without being called a disagreement.

A daemon keeps the inbound half of a replaced CHILD_SA some seconds longer (strongSwan: 5 s).
"""


_START_NS = 10**9
"""Within this time of the first event the first SAs are made: by the one who wants them."""


@dataclass(frozen=True, slots=True)
class _Group:
    sort: Sort
    views: tuple[View, ...]


def sa_history(records: Iterable[Record], tolerance_s: float = TOLERANCE_S) -> History:
    """The history of all SAs that the records tell of; other events only bound the record."""
    every = list(records)
    told = sorted((one for one in every if isinstance(one.event, SaEvent)), key=_time)
    last = {teller_of(record): record.time_ns for record in told}
    ends = _ends(told)
    groups = _groups(sorted(views_of(told), key=lambda one: ends.index(one[1].node)), ends)
    sas = sorted(
        (_merged(group, ends, last, round(tolerance_s * 1e9)) for group in groups),
        key=lambda sa: (_begin(sa), sa.sort != "IKE", str(sa.spis)),
    )
    return History(
        start_ns=min((record.time_ns for record in every), default=0),
        end_ns=max((record.time_ns for record in every), default=0),
        ends=ends,
        sas=_linked(sas),
    )


def _ends(told: Sequence[Record]) -> tuple[str, ...]:
    """The ends: who started the first SA, then in the order in which they spoke up."""
    first = {teller_of(record): record.time_ns for record in reversed(told)}
    starters = {
        teller_of(record) if record.event.by == "local" else record.event.peer
        for record in told
        if isinstance(record.event, IkeSaEstablished | ChildSaEstablished)
        and record.event.by is not None
        and record.time_ns <= told[0].time_ns + _START_NS
    }
    return tuple(sorted(first, key=lambda node: (node not in starters, first[node], node)))


def _time(record: Record) -> int:
    return record.time_ns


def _begin(sa: Sa) -> int:
    return sa.seen_ns if sa.born_ns is None else sa.born_ns


def _mark(spis: Spis) -> tuple[str, str]:
    """The same for both ends of an SA."""
    if isinstance(spis, IkeSpis):
        return spis.initiator, spis.responder
    return min(spis.inbound, spis.outbound), max(spis.inbound, spis.outbound)


def _groups(told: Sequence[tuple[Sort, View]], nodes: tuple[str, ...]) -> list[_Group]:
    groups: dict[tuple[Sort, tuple[str, str]], list[list[View]]] = {}
    for sort, view in told:
        alike = groups.setdefault((sort, _mark(view.spis)), [])
        for group in alike:
            if len(group) == 1 and _facing(group[0], view, nodes):
                group.append(view)
                break
        else:
            alike.append([view])
    return [_Group(sort, tuple(one)) for (sort, _), some in groups.items() for one in some]


def _facing(one: View, two: View, nodes: tuple[str, ...]) -> bool:
    """Whether two views can be the two ends of one SA.

    An end names its peer by its node or by an address; a name of another node that tells is a no.
    """
    if one.node == two.node:
        return False
    if isinstance(one.spis, EspSpis) and one.spis.of_peer() != two.spis:
        return False
    return all(a.peer == b.node or a.peer not in nodes for a, b in ((one, two), (two, one)))


def _merged(group: _Group, ends: tuple[str, ...], last: Mapping[str, int], tolerance_ns: int) -> Sa:
    views = tuple(_named(view, group.views) for view in group.views)
    disagreements = [text for view in views for text in view.contradictions]
    disagreements += _told_by_one(views, ends, last, tolerance_ns)
    for name, words in (
        ("born_ns", "established"),
        ("replaced_ns", "replaced"),
        ("gone_ns", "gone"),
    ):
        disagreements += _times_apart(views, name, words, tolerance_ns, last)
    for name, words in (
        ("born_by", "established by"),
        ("replaced_by", "replaced by"),
        ("gone_by", "deleted by"),
        ("exchange", "made in"),
    ):
        disagreements += _words_apart(views, name, words)
    # An end that was only told of it knows no more than that it was closed.
    knowing = tuple(one for one in views if one.why != "closed" or one.gone_by == one.node)
    disagreements += _words_apart(knowing, "why", "gone because")
    actor = next((view for view in views if view.gone_by == view.node), None)
    return Sa(
        sort=group.sort,
        number=0,
        views=views,
        seen_ns=min(view.seen_ns for view in views),
        born_ns=min(_told(views, "born_ns"), default=None),
        born_by=_first(views, "born_by"),
        exchange=_first(views, "exchange"),
        rekeys=_rekeys(views, tolerance_ns),
        replaced_ns=min(_told(views, "replaced_ns"), default=None),
        replaced_by=_first(views, "replaced_by"),
        gone_ns=max(_told(views, "gone_ns"), default=None),
        gone_by=_first(views, "gone_by"),
        why=(actor and actor.why) or _first(views, "why"),
        disagreements=tuple(disagreements),
    )


def _named(view: View, views: tuple[View, ...]) -> View:
    """The view with the peer called by its node, where it is known to be one of ours."""
    other = next((one.node for one in views if one.node != view.node), view.peer)
    if other == view.peer:
        return view
    names: dict[str, Any] = {
        name: other
        for name in ("born_by", "replaced_by", "gone_by")
        if getattr(view, name) == view.peer
    }
    rekeys = tuple(replace(one, by=other) if one.by == view.peer else one for one in view.rekeys)
    return replace(view, peer=other, rekeys=rekeys, **names)


def _told(views: Iterable[View], name: str) -> list[Any]:
    return [value for view in views if (value := getattr(view, name)) is not None]


def _first(views: tuple[View, ...], name: str) -> Any:
    return next(iter(_told(views, name)), None)


def _times_apart(
    views: tuple[View, ...], name: str, words: str, tolerance_ns: int, last: Mapping[str, int]
) -> list[str]:
    times = {view.node: getattr(view, name) for view in views}
    known = {node: time for node, time in times.items() if time is not None}
    if len(known) == 2:
        (early, first), (late, second) = sorted(known.items(), key=lambda item: item[1])
        if second - first > tolerance_ns:
            apart = (second - first) / 1e9
            return [f"{words} {apart:,.1f} s later at {late} than at {early}"]
    if len(known) == 1 and len(times) == 2:
        ((node, time),) = known.items()
        silent = next(other for other in times if other != node)
        if last[silent] > time + tolerance_ns:
            return [f"{node} told that it was {words}, {silent} did not"]
    return []


def _told_by_one(
    views: tuple[View, ...], ends: tuple[str, ...], last: Mapping[str, int], tolerance_ns: int
) -> list[str]:
    """An SA of which only one end told, though the other went on talking.

    The loser of a collision (RFC 7296 section 2.8.1) may be known to one end alone.
    """
    if len(views) != 1 or views[0].why == "redundant":
        return []
    (view,) = views
    others = [node for node in ends if node != view.node]
    # A peer known by its address is the other of two ends; among more nobody can tell.
    peers = [node for node in others if node == view.peer] or (others if len(others) == 1 else [])
    return [
        f"{view.node} told of it, {peer} did not"
        for peer in peers
        if last[peer] > view.seen_ns + tolerance_ns
    ]


def _words_apart(views: tuple[View, ...], name: str, words: str) -> list[str]:
    told = {view.node: getattr(view, name) for view in views if getattr(view, name) is not None}
    if len(set(told.values())) < 2:
        return []
    return [", but ".join(f"{words} {value} says {node}" for node, value in told.items())]


def _rekeys(views: tuple[View, ...], tolerance_ns: int) -> tuple[Rekey, ...]:
    """The attempts both ends told of, each once: the same starter at about the same time."""
    merged: list[Rekey] = []
    for one in sorted((one for view in views for one in view.rekeys), key=lambda one: one.time_ns):
        for index, known in enumerate(merged):
            same = known.by == one.by or known.by is None or one.by is None
            if same and one.time_ns - known.time_ns <= tolerance_ns:
                merged[index] = Rekey(known.time_ns, known.by or one.by, known.failed or one.failed)
                break
        else:
            merged.append(one)
    return tuple(merged)


def _linked(sas: Sequence[Sa]) -> tuple[Sa, ...]:
    """Numbers by birth, and who replaced whom."""
    count = {"IKE": 0, "CHILD": 0}
    numbered: list[Sa] = []
    for sa in sas:
        count[sa.sort] += 1
        numbered.append(replace(sa, number=count[sa.sort]))
    number_of = {(sa.sort, view.node, view.spis): sa.number for sa in numbered for view in sa.views}
    heir: dict[tuple[Sort, int], int] = {}
    heired: dict[tuple[Sort, int], int] = {}
    for sa in numbered:
        for view in sa.views:
            if view.successor is not None:
                new = number_of[sa.sort, view.node, view.successor]
                heir.setdefault((sa.sort, sa.number), new)
                heired.setdefault((sa.sort, new), sa.number)
    return tuple(
        replace(
            sa,
            successor=heir.get((sa.sort, sa.number)),
            predecessor=heired.get((sa.sort, sa.number)),
        )
        for sa in numbered
    )
