"""Made-up days of two ends that rekey SAs, as the events that both ends would tell."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from testbed.events import (
    ChildSaDeleted,
    ChildSaEstablished,
    ChildSaRekeyStarted,
    ChildSaReplaced,
    EspSpis,
    Event,
    IkeSaDeleted,
    IkeSaEstablished,
    IkeSaRekeyStarted,
    IkeSaReplaced,
    IkeSpis,
    Probes,
    Record,
    esp_spi,
    ike_spi,
)
from testbed.events.sa_kinds import Exchange, Who
from testbed.evidence.sa.history import Sort

START = int(datetime(2017, 7, 15, 9, 55, 33, tzinfo=UTC).timestamp()) * 10**9
LOCAL, PEER = "rtx", "azure"
ENDS = (LOCAL, PEER)


@dataclass(frozen=True, slots=True)
class Life:
    """How SAs of a sort live: who rekeys them after how long, who deletes them at what age."""

    rekey_s: float
    by: str
    jitter_s: float = 0.0
    delete_s: float | None = None
    deleted_by: str | None = None


A = {"CHILD": Life(20_250, LOCAL, 27, 25_650, PEER), "IKE": Life(21_600, LOCAL, 19, 28_831, LOCAL)}
B = {"CHILD": Life(21_600, LOCAL, 27, 25_650, PEER), "IKE": Life(21_600, LOCAL, 19, 28_831, LOCAL)}
C = {"CHILD": Life(25_575, PEER, 75), "IKE": Life(27_360, PEER, 9)}
HISTORY_2016 = {"CHILD": Life(3_420, PEER, 20), "IKE": Life(10_260, PEER, 9)}


@dataclass(frozen=True, slots=True)
class Truth:
    """An SA as it really was; ``key`` are its SPIs as LOCAL sees them."""

    sort: Sort
    key: IkeSpis | EspSpis
    born_s: float
    born_by: str
    replaced_s: float | None
    replaced_by: str | None
    gone_s: float | None
    gone_by: str | None
    old: IkeSpis | EspSpis | None


def truths(lives: dict[str, Life], hours: float, seed: int = 1) -> list[Truth]:
    """All SAs of so many hours."""
    chance = random.Random(seed)
    every: list[Truth] = []
    for sort in ("IKE", "CHILD"):
        life, born, old, by = lives[sort], 0.0, None, LOCAL
        while born < hours * 3600:
            key = _spis(sort, chance)
            turn: float | None = born + life.rekey_s + chance.random() * life.jitter_s
            if turn is not None and turn >= hours * 3600:
                turn = None
            gone = None if turn is None else turn + 0.1
            if turn is not None and life.delete_s is not None:
                gone = max(turn, born + life.delete_s)
            if gone is not None and gone > hours * 3600:
                gone = None
            every.append(
                Truth(
                    "IKE" if sort == "IKE" else "CHILD",
                    key,
                    born,
                    by,
                    turn,
                    None if turn is None else life.by,
                    gone,
                    None if gone is None else life.deleted_by or life.by,
                    old,
                )
            )
            if turn is None:
                break
            born, old, by = turn, key, life.by
    return every


def _spis(sort: str, chance: random.Random) -> IkeSpis | EspSpis:
    if sort == "IKE":
        return IkeSpis(ike_spi(chance.getrandbits(64)), ike_spi(chance.getrandbits(64)))
    return EspSpis(esp_spi(chance.getrandbits(32)), esp_spi(chance.getrandbits(32)))


def told_by(node: str, truth: Truth) -> Iterator[Record]:
    """What one end tells of an SA."""
    peer = PEER if node == LOCAL else LOCAL
    words: dict[str | None, Who | None] = {node: "local", peer: "peer", None: None}
    born_by, gone_by = words[truth.born_by], words[truth.gone_by]
    exchange: Exchange = "IKE_AUTH" if truth.old is None else "CREATE_CHILD_SA"

    def record(seconds: float, event: Event) -> Record:
        return Record(START + round(seconds * 1e9), "service", event, node, "ike")

    if isinstance(truth.key, IkeSpis):
        ike = truth.key
        if isinstance(truth.old, IkeSpis):
            yield record(truth.born_s, IkeSaRekeyStarted("x", peer, truth.old, born_by))
            yield record(truth.born_s, IkeSaReplaced("x", peer, truth.old, ike, born_by))
        yield record(truth.born_s, IkeSaEstablished("x", peer, ike, born_by, exchange))
        if truth.gone_s is not None:
            gone = IkeSaDeleted("x", peer, ike, gone_by, "replaced", "INFORMATIONAL")
            yield record(truth.gone_s, gone)
        return
    child = truth.key if node == LOCAL else truth.key.of_peer()
    if isinstance(truth.old, EspSpis):
        old = truth.old if node == LOCAL else truth.old.of_peer()
        yield record(truth.born_s, ChildSaRekeyStarted("x", peer, old, born_by))
        yield record(truth.born_s, ChildSaReplaced("x", peer, old, child, born_by))
    yield record(truth.born_s, ChildSaEstablished("x", peer, child, born_by, exchange))
    if truth.gone_s is not None:
        ended = ChildSaDeleted("x", peer, child, gone_by, "replaced", "INFORMATIONAL")
        yield record(truth.gone_s, ended)


def records_of(every: Iterable[Truth], ends: Iterable[str] = ENDS) -> list[Record]:
    """What these ends tell of all SAs, in order of time."""
    told = [record for node in ends for truth in every for record in told_by(node, truth)]
    return sorted(told, key=lambda record: record.time_ns)


def pings(hours: float, lost_s: Iterable[float] = ()) -> list[Record]:
    """A ping a minute from ``pc``, a report every ten minutes."""
    lost = sorted(START + round(second * 1e9) for second in lost_s)
    reports = []
    for begin in range(0, round(hours * 3600), 600):
        since, until = START + begin * 10**9, START + (begin + 600) * 10**9
        gone = tuple(time for time in lost if since <= time < until)
        event = Probes("ping pc to vm", since, 10, 10 - len(gone), gone)
        reports.append(Record(until, "test", event, "pc"))
    return reports


def day(
    lives: dict[str, Life], hours: float, lost_s: Iterable[float] = (), seed: int = 1
) -> list[Record]:
    """SAs and pings of so many hours."""
    return records_of(truths(lives, hours, seed)) + pings(hours, lost_s)
