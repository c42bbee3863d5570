"""From what charon says to our events about SAs (:mod:`testbed.events.sa_kinds`).

charon speaks in two places: its control connection names SAs with SPIs and plans, its log says who
asked for them, who deleted them, and what failed.  Both are read in small batches, in which the log
lines of one happening and its control event are together; the order inside a batch is ours:
rekey started or failed, established, replaced, deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

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
    IkeSaRekeyFailed,
    IkeSaRekeyStarted,
    IkeSaReplaced,
    IkeSpis,
    esp_spi,
    ike_spi,
)
from testbed.events.sa_kinds import Exchange, Who, Why
from testbed.peers.strongswan.log_lines import Fact, Line
from testbed.peers.strongswan.messages import Section

COMPONENT = "strongswan"
Timed = tuple[int, Event]


@dataclass(slots=True)
class _Ike:
    spis: IkeSpis
    by_auth: bool
    has_child: bool = False
    replaced: bool = False
    deleter: Who | None = None
    silent: bool = False


@dataclass(slots=True)
class _Child:
    spis: EspSpis
    name: str
    reqid: str
    ike: str
    replaced: bool = False
    expired: bool = False
    deleter: Who | None = None


class SaWatch:
    """Knows the SAs of one charon and turns what it says into events."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._ikes: dict[str, _Ike] = {}
        self._children: list[_Child] = []
        self._asked_for: set[str] = set()
        self._ike_life: dict[str, float] = {}
        self._closing: dict[str | None, list[EspSpis]] = {}
        self._notify: dict[str | None, str] = {}
        self._rekeying: dict[str | None, EspSpis] = {}

    def take(
        self, lines: Iterable[Line], messages: Iterable[tuple[int, str, Section]]
    ) -> list[Timed]:
        """One batch: log lines, and control events with the time at which they came (ns)."""
        lines = list(lines)
        told = [event for line in lines for event in self._begin(line)]
        for time_ns, name, message in messages:
            told += [(time_ns, event) for event in self._message(name, message)]
        latest = max((time_ns for time_ns, _ in told), default=0)
        for line in lines:
            told += [(max(line.time_ns, latest), event) for event in self._end(line)]
        return told

    def _begin(self, line: Line) -> Iterator[Timed]:
        """What must be known before the control events of the batch are read."""
        texts = line.texts
        match line.fact:
            case Fact.INITIATES_IKE if line.ike in self._ikes and line.ike != texts[0]:
                assert line.ike is not None
                yield line.time_ns, self._ike_rekey(line.ike, "local")
            case Fact.PEER_INITIATES_IKE if line.ike in self._ikes:
                assert line.ike is not None
                yield line.time_ns, self._ike_rekey(line.ike, "peer")
            case Fact.INITIATES_CHILD:
                name, number, reqid = texts
                self._asked_for.add(number)
                old = self._current(name, reqid)
                if reqid and old is not None:
                    self._rekeying[line.ike] = old.spis
                    event = ChildSaRekeyStarted(COMPONENT, self._peer, old.spis, "local")
                    yield line.time_ns, event
            case Fact.IKE_LIFE:
                # Of a new IKE_SA that is not known yet; a rekeyed one is logged under the old.
                self._ike_life[line.ike or ""] = float(texts[0])
            case Fact.NOTIFY:
                self._notify[line.ike] = texts[0]
            case Fact.CHILD_REKEY_FAILED if line.ike in self._rekeying:
                spis, notify = self._rekeying.pop(line.ike), self._notify.pop(line.ike, None)
                failed = ChildSaRekeyFailed(COMPONENT, self._peer, spis, "local", notify)
                yield line.time_ns, failed
            case Fact.IKE_REKEY_FAILED if line.ike in self._ikes:
                assert line.ike is not None
                yield (
                    line.time_ns,
                    IkeSaRekeyFailed(
                        COMPONENT,
                        self._peer,
                        self._ikes[line.ike].spis,
                        "local",
                        self._notify.pop(line.ike, None),
                    ),
                )
            case Fact.SENDS_IKE_DELETE | Fact.GETS_IKE_DELETE | Fact.PEER_SILENT:
                self._ike_ends_by(line)  # charon tells of the SAs' end in the same breath
            case _:
                pass

    def _ike_ends_by(self, line: Line) -> None:
        """Why an IKE_SA that is known is about to end; whoever spoke of it first decided it."""
        silent = line.fact is Fact.PEER_SILENT
        ike = self._ikes.get((line.ike or "") if silent else line.texts[0])
        if ike is None:
            return
        if silent:
            ike.silent = True
        else:
            ike.deleter = ike.deleter or ("local" if line.fact is Fact.SENDS_IKE_DELETE else "peer")

    def _ike_rekey(self, number: str, by: Who) -> Event:
        return IkeSaRekeyStarted(COMPONENT, self._peer, self._ikes[number].spis, by)

    def _message(self, name: str, message: Section) -> Iterator[Event]:
        up = message.get("up") == "yes"
        for ike in message.values():
            if not isinstance(ike, Mapping):
                continue
            match name:
                case "ike-updown" if up:
                    yield from self._ike_up(ike)
                case "ike-updown":
                    yield from self._ike_down(_text(ike, "uniqueid"))
                case "ike-rekey":
                    yield from self._ike_replaced(ike)
                case "child-updown":
                    for child in _sections(ike, "child-sas"):
                        # One that ends by itself has lines of its own in the log; those that end
                        # with their IKE_SA ended in ``_ike_down``.
                        yield from self._child_up(ike, child) if up else ()
                case "child-rekey":
                    for pair in _sections(ike, "child-sas"):
                        yield from self._child_replaced(ike, pair)
                case _:
                    pass

    def _ike_up(self, ike: Section) -> Iterator[Event]:
        number = _text(ike, "uniqueid")
        self._ikes[number] = _Ike(_ike_spis(ike), by_auth=True)
        yield self._ike_established(ike, self._ike_life.get(number))

    def _ike_established(self, ike: Section, life_s: float | None) -> IkeSaEstablished:
        return IkeSaEstablished(
            COMPONENT,
            self._peer,
            _ike_spis(ike),
            "local" if ike.get("initiator") == "yes" else "peer",
            "IKE_AUTH",
            _seconds(ike, "rekey-time"),
            life_s,
        )

    def _ike_replaced(self, pair: Section) -> Iterator[Event]:
        old, new = _section(pair, "old"), _section(pair, "new")
        number, successor = _text(old, "uniqueid"), _text(new, "uniqueid")
        old_spis, new_spis = _ike_spis(old), _ike_spis(new)
        self._ikes.setdefault(number, _Ike(old_spis, by_auth=False)).replaced = True
        self._ikes[successor] = _Ike(new_spis, by_auth=False, has_child=True)
        for child in self._children:
            if child.ike == number:  # RFC 7296 section 2.8: the new IKE_SA inherits all CHILD_SAs
                child.ike = successor
        established = self._ike_established(new, self._ike_life.get(number))
        yield replace(established, exchange="CREATE_CHILD_SA", old=old_spis)
        yield IkeSaReplaced(COMPONENT, self._peer, old_spis, new_spis, established.by)

    def _ike_down(self, number: str) -> Iterator[Event]:
        """It and all CHILD_SAs in it; charon names the IKE_SA first."""
        known = self._ikes.pop(number, None)
        if known is None:
            return
        for child in [one for one in self._children if one.ike == number]:
            yield self._child_deleted(child, "with-ike-sa")
        yield self._ike_deleted(known)

    def _ike_deleted(self, ike: _Ike) -> IkeSaDeleted:
        why: Why | None = "replaced" if ike.replaced else "dead-peer" if ike.silent else None
        if why is None and ike.deleter == "local":  # what the peer had in mind it does not tell
            why = "closed"
        exchange: Exchange | None = None if ike.deleter is None else "INFORMATIONAL"
        by: Who | None = "local" if ike.silent else ike.deleter
        return IkeSaDeleted(COMPONENT, self._peer, ike.spis, by, why, exchange)

    def _child_up(self, ike: Section, child: Section) -> Iterator[Event]:
        if self._by_spis(_esp_spis(child)) is None:
            yield self._child_established(ike, child)

    def _child_established(self, ike: Section, child: Section) -> ChildSaEstablished:
        number = _text(ike, "uniqueid")
        spis = _esp_spis(child)
        owner = self._ikes.get(number)
        first = owner is not None and owner.by_auth and not owner.has_child
        if owner is not None:
            owner.has_child = True
        self._children.append(_Child(spis, _text(child, "name"), _text(child, "reqid"), number))
        if first:
            by: Who = "local" if ike.get("initiator") == "yes" else "peer"
        else:
            by = "local" if _text(child, "uniqueid") in self._asked_for else "peer"
        return ChildSaEstablished(
            COMPONENT,
            self._peer,
            spis,
            by,
            "IKE_AUTH" if first else "CREATE_CHILD_SA",
            _seconds(child, "rekey-time"),
            _seconds(child, "life-time"),
            ike=_ike_spis(ike),
        )

    def _child_replaced(self, ike: Section, pair: Section) -> Iterator[Event]:
        old, new = _esp_spis(_section(pair, "old")), _section(pair, "new")
        known = self._by_spis(old)
        if known is not None:
            known.replaced = True
        self._rekeying.pop(_text(ike, "uniqueid"), None)
        established = replace(self._child_established(ike, new), old=old)
        yield established
        yield ChildSaReplaced(COMPONENT, self._peer, old, established.spis, established.by)

    def _end(self, line: Line) -> Iterator[Event]:
        """Deletes: whoever spoke of one first has decided it."""
        texts = line.texts
        match line.fact:
            case Fact.EXPIRES:
                for child in self._children:
                    child.expired |= texts[0] in (child.spis.inbound, child.spis.outbound)
            case Fact.SENDS_CHILD_DELETE:
                self._decided(texts[0], "local")
            case Fact.GETS_CHILD_DELETE:
                self._decided(texts[0], "peer")
            case Fact.CLOSES_CHILD:
                self._closing.setdefault(line.ike, []).append(EspSpis(texts[0], texts[1]))
            case Fact.CHILD_CLOSED:
                for spis in self._closing.pop(line.ike, []):
                    known = self._by_spis(spis)
                    if known is None:  # it never was announced: the loser of a collision
                        yield ChildSaDeleted(COMPONENT, self._peer, spis, None, "redundant")
                    else:
                        yield self._child_deleted(known, _why_closed(known))
            case Fact.SENDS_IKE_DELETE | Fact.GETS_IKE_DELETE | Fact.PEER_SILENT:
                self._ike_ends_by(line)  # of an IKE_SA that this batch brought
            case Fact.IKE_DELETED if line.ike is not None:
                yield from self._ike_down(line.ike)
            case _:
                pass

    def _decided(self, spi: str, who: Who) -> None:
        for child in self._children:
            if spi in (child.spis.inbound, child.spis.outbound):
                child.deleter = child.deleter or who

    def _child_deleted(self, child: _Child, why: Why | None) -> ChildSaDeleted:
        self._children.remove(child)
        return ChildSaDeleted(
            COMPONENT,
            self._peer,
            child.spis,
            child.deleter,
            why,
            None if child.deleter is None else "INFORMATIONAL",
        )

    def _by_spis(self, spis: EspSpis) -> _Child | None:
        return next((child for child in self._children if child.spis == spis), None)

    def _current(self, name: str, reqid: str) -> _Child | None:
        """The CHILD_SA in use under that name and reqid."""
        for child in reversed(self._children):
            if (child.name, child.reqid, child.replaced) == (name, reqid, False):
                return child
        return None


def _why_closed(child: _Child) -> Why | None:
    """Why a CHILD_SA went; if the peer decided it and it was not replaced, only the peer knows."""
    if child.replaced:
        return "replaced"
    if child.deleter == "peer":
        return None
    return "expired" if child.expired else "closed"


def _ike_spis(ike: Section) -> IkeSpis:
    return IkeSpis(ike_spi(_text(ike, "initiator-spi")), ike_spi(_text(ike, "responder-spi")))


def _esp_spis(child: Section) -> EspSpis:
    return EspSpis(esp_spi(_text(child, "spi-in")), esp_spi(_text(child, "spi-out")))


def _text(section: Section, name: str) -> str:
    value = section.get(name, "")
    return value if isinstance(value, str) else ""


def _seconds(section: Section, name: str) -> float | None:
    text = _text(section, name)
    return float(text) if text else None


def _section(section: Section, name: str) -> Section:
    value = section.get(name, {})
    return value if isinstance(value, Mapping) else {}


def _sections(section: Section, name: str) -> Iterator[Section]:
    for value in _section(section, name).values():
        if isinstance(value, Mapping):
            yield value
