"""The events of IKE_SAs and CHILD_SAs in words, with their tone."""

from __future__ import annotations

from collections.abc import Callable

from testbed.events import (
    ChildSaDeleted,
    ChildSaEstablished,
    ChildSaRekeyFailed,
    ChildSaRekeyStarted,
    ChildSaReplaced,
    Event,
    IkeSaDeleted,
    IkeSaEstablished,
    IkeSaRekeyFailed,
    IkeSaRekeyStarted,
    IkeSaReplaced,
    Probes,
)

WHY = {
    "replaced": "it was replaced",
    "expired": "its life ended",
    "closed": "it was closed",
    "dead-peer": "the peer did not answer",
    "redundant": "it lost a rekey collision",
    "with-ike-sa": "its IKE_SA went",
}
_Told = tuple[str, str]


def interval(seconds: float) -> str:
    """``7 h 30 min``, ``6 h 0 min 15 s``, ``1 min 5 s``, ``12.5 s``."""
    if abs(seconds) < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(abs(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else ""]
    parts.append(f"{minutes} min" if minutes or (hours and rest) else "")
    parts.append(f"{rest} s" if rest else "")
    return ("−" if seconds < 0 else "") + " ".join(part for part in parts if part)


def _by(who: str | None) -> str:
    return {"local": ", by this end", "peer": ", by the peer", None: ""}[who]


def _established(event: IkeSaEstablished | ChildSaEstablished) -> _Told:
    sort = _sort(event)
    details = [f"in {event.exchange}"] if event.exchange else []
    if event.rekey_s is not None:
        details.append(f"this end will rekey it after {interval(event.rekey_s)}")
    if event.life_s is not None:
        details.append(f"and keep it for {interval(event.life_s)}")
    more = f"; {', '.join(details)}" if details else ""
    return f"{sort} {event.spis} with {event.peer} established{_by(event.by)}{more}", "good"


def _rekey_started(event: IkeSaRekeyStarted | ChildSaRekeyStarted) -> _Told:
    return f"rekey of {_sort(event)} {event.spis} started{_by(event.by)}", "plain"


def _rekey_failed(event: IkeSaRekeyFailed | ChildSaRekeyFailed) -> _Told:
    answer = f": {event.notify}" if event.notify else ""
    return f"rekey of {_sort(event)} {event.spis} failed{_by(event.by)}{answer}", "bad"


def _replaced(event: IkeSaReplaced | ChildSaReplaced) -> _Told:
    return f"{_sort(event)} {event.old} replaced{_by(event.by)}: now {event.new}", "plain"


def _deleted(event: IkeSaDeleted | ChildSaDeleted) -> _Told:
    why = f", {WHY[event.why]}" if event.why else ""
    tone = "bad" if event.why == "dead-peer" else "plain"
    return f"{_sort(event)} {event.spis} with {event.peer} is gone{_by(event.by)}{why}", tone


def _probes(event: Probes) -> _Told:
    missing = event.sent - event.answered
    words = f"{event.name}: {event.answered} of {event.sent} probes answered"
    return (f"{words}, {missing} lost", "bad") if missing > 0 else (words, "plain")


def _sort(event: Event) -> str:
    return "IKE_SA" if event.kind.startswith("ike") else "CHILD_SA"


TELLERS: dict[type[Event], Callable[..., _Told]] = {
    IkeSaEstablished: _established,
    ChildSaEstablished: _established,
    IkeSaRekeyStarted: _rekey_started,
    ChildSaRekeyStarted: _rekey_started,
    IkeSaRekeyFailed: _rekey_failed,
    ChildSaRekeyFailed: _rekey_failed,
    IkeSaReplaced: _replaced,
    ChildSaReplaced: _replaced,
    IkeSaDeleted: _deleted,
    ChildSaDeleted: _deleted,
    Probes: _probes,
}
"""How each kind is told."""
