"""An event in words, with its tone: good, bad, a warning, or plain."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from testbed.events import (
    CaptureStarted,
    CaptureStopped,
    CommandEnded,
    CommandStarted,
    Drop,
    Event,
    FaultApplied,
    FaultFailed,
    LabDown,
    LabUp,
    MappingCreated,
    MappingExpired,
    Note,
    PortsExhausted,
    Provisioned,
    ServiceExited,
    ServiceReady,
    ServiceStarted,
    Verdict,
)
from testbed.evidence import routing_words, sa_words

PLAIN = "plain"
GOOD = "good"
BAD = "bad"
WARN = "warn"


def in_words(event: Event) -> tuple[str, str]:
    """What the event says, and its tone; without the time and the place of its record."""
    teller = _TELLERS.get(type(event))
    return teller(event) if teller is not None else (event.kind, PLAIN)


_Told = tuple[str, str]
_TELLERS: dict[type[Event], Callable[..., _Told]] = {
    **sa_words.TELLERS,
    **routing_words.TELLERS,
}


def _tells(
    kind: type[Event],
) -> Callable[[Callable[..., _Told]], Callable[..., _Told]]:
    def register(teller: Callable[..., _Told]) -> Callable[..., _Told]:
        _TELLERS[kind] = teller
        return teller

    return register


def _seconds(value: float) -> str:
    return f"{value:.3g} s"


@_tells(LabUp)
def _lab_up(event: LabUp) -> _Told:
    nodes = "1 node" if event.nodes == 1 else f"{event.nodes} nodes"
    links = "1 link" if event.links == 1 else f"{event.links} links"
    size = f"{nodes}, {links}"
    return f"lab of topology {event.topology} is up ({size}) after {_seconds(event.seconds)}", GOOD


@_tells(LabDown)
def _lab_down(event: LabDown) -> _Told:
    asked = event.reason == "asked"
    return f"lab is down, {'as asked' if asked else event.reason}", PLAIN if asked else WARN


@_tells(ServiceStarted)
def _service_started(event: ServiceStarted) -> _Told:
    return f"starts {shlex.join(event.command)} (pid {event.pid})", PLAIN


@_tells(ServiceReady)
def _service_ready(event: ServiceReady) -> _Told:
    return f"ready ({event.condition}) after {_seconds(event.seconds)}", PLAIN


@_tells(ServiceExited)
def _service_exited(event: ServiceExited) -> _Told:
    if event.expected:
        return f"ended with status {event.status}", PLAIN
    return f"ended by itself with status {event.status}", BAD


@_tells(CommandStarted)
def _command_started(event: CommandStarted) -> _Told:
    return f"command {event.number}: {shlex.join(event.command)}", PLAIN


@_tells(CommandEnded)
def _command_ended(event: CommandEnded) -> _Told:
    tone = PLAIN if event.status == 0 else WARN
    return f"command {event.number} ended: status {event.status}, {_seconds(event.seconds)}", tone


@_tells(FaultApplied)
def _fault_applied(event: FaultApplied) -> _Told:
    detail = f" ({event.detail})" if event.detail else ""
    return f"fault {event.fault} on {event.target}{detail}", WARN


@_tells(FaultFailed)
def _fault_failed(event: FaultFailed) -> _Told:
    return f"fault {event.fault} on {event.target} failed: {event.why}", BAD


@_tells(CaptureStarted)
def _capture_started(event: CaptureStarted) -> _Told:
    return f"capture {event.file} begins on {len(event.interfaces)} interfaces", PLAIN


@_tells(CaptureStopped)
def _capture_stopped(event: CaptureStopped) -> _Told:
    words = f"capture {event.file} ends with {event.packets} packets"
    return (f"{words}, {event.lost} lost", WARN) if event.lost else (words, PLAIN)


@_tells(Drop)
def _drop(event: Drop) -> _Told:
    packet = str(event.packet) if event.packet else ""
    details = (packet, event.rule, event.clause, event.detail)
    words = "; ".join(detail for detail in details if detail)
    head = f"{event.component} drops ({event.reason}) at {event.place}"
    return f"{head}: {words}" if words else head, WARN


@_tells(MappingCreated)
def _mapping_created(event: MappingCreated) -> _Told:
    return f"{event.component} maps {event.protocol}: {_mapping(event)}", PLAIN


@_tells(MappingExpired)
def _mapping_expired(event: MappingExpired) -> _Told:
    head = f"{event.component} ends a {event.protocol} mapping ({event.reason})"
    return f"{head}: {_mapping(event)}", PLAIN


def _mapping(event: MappingCreated | MappingExpired) -> str:
    return f"{event.inside}:{event.inside_port} to {event.outside}:{event.outside_port}"


@_tells(PortsExhausted)
def _ports_exhausted(event: PortsExhausted) -> _Told:
    head = f"{event.component} has no {event.protocol} port left ({event.in_use} of {event.size})"
    return f"{head}: {event.inside}:{event.inside_port}", WARN


@_tells(Provisioned)
def _provisioned(event: Provisioned) -> _Told:
    return f"{event.component} provisioned: {event.detail}", GOOD


@_tells(Verdict)
def _verdict(event: Verdict) -> _Told:
    tone = {"passed": GOOD, "skipped": WARN}.get(event.outcome, BAD)
    why = f": {event.why.splitlines()[0]}" if event.why.strip() else ""
    return f"{event.scenario} {event.outcome} after {_seconds(event.seconds)}{why}", tone


@_tells(Note)
def _note(event: Note) -> _Told:
    return event.text, PLAIN
