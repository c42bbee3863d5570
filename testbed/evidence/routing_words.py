"""The events of routing daemons in words, with their tone."""

from __future__ import annotations

from collections.abc import Callable

from testbed.events import AdjacencyDown, AdjacencyUp, Event, RouteChanged

_Told = tuple[str, str]


def _up(event: AdjacencyUp) -> _Told:
    return f"{_session(event)} is up", "good"


def _down(event: AdjacencyDown) -> _Told:
    why = f": {event.why}" if event.why else ""
    return f"{_session(event)} is down{why}", "bad"


def _session(event: AdjacencyUp | AdjacencyDown) -> str:
    known = "" if event.neighbor == event.address else f" ({event.address})"
    place = f" on {event.interface}" if event.interface else ""
    return f"{event.protocol} with {event.neighbor}{known}{place}"


def _route(event: RouteChanged) -> _Told:
    if not event.now:
        return f"no route to {event.prefix} any more (by {event.by})", "warn"
    was = f", was {_hops(event.was)}" if event.was else ""
    return f"route to {event.prefix} by {event.by}: {_hops(event.now)}{was}", "plain"


def _hops(hops: tuple[str, ...]) -> str:
    return " and ".join(hops)


TELLERS: dict[type[Event], Callable[..., _Told]] = {
    AdjacencyUp: _up,
    AdjacencyDown: _down,
    RouteChanged: _route,
}
"""How each kind is told."""
