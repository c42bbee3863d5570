"""An event as a line of text."""

from __future__ import annotations

import shlex
import time

from testbed.cli.output import bad, bold, count, faint, good
from testbed.events import (
    CaptureStarted,
    CaptureStopped,
    CommandEnded,
    CommandStarted,
    Drop,
    Event,
    FaultApplied,
    LabDown,
    LabUp,
    MappingCreated,
    MappingExpired,
    Note,
    PortsExhausted,
    Provisioned,
    Record,
    ServiceExited,
    ServiceReady,
    ServiceStarted,
    Verdict,
)

_KIND_WIDTH = 16


def event_line(record: Record) -> str:
    """When, what kind, where, and what it says."""
    seconds, rest = divmod(record.time_ns, 1_000_000_000)
    clock = f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 1_000_000:03d}"
    where = record.node or ""
    if record.service is not None:
        where = f"{where}/{record.service}"
    kind = bold(record.event.kind.ljust(_KIND_WIDTH))
    return f"{faint(clock)} {kind} {where + ': ' if where else ''}{describe(record.event)}"


def describe(event: Event) -> str:
    """What the event says, on one line."""
    return " ".join(_text(event).split("\n"))


def _text(event: Event) -> str:
    match event:
        case LabUp():
            size = f"{count(event.nodes, 'node')}, {count(event.links, 'link')}"
            return f"{event.topology} is up: {size}, {event.seconds:.2f} s"
        case LabDown():
            return f"the lab goes down ({event.reason})"
        case ServiceStarted():
            return f"{shlex.join(event.command)} (pid {event.pid})"
        case ServiceReady():
            return f"{event.condition} ({event.seconds:.2f} s)"
        case ServiceExited():
            text = f"ended with {_status(event.status)}"
            return f"{text}, as asked" if event.expected else bad(f"{text}, by itself")
        case CommandStarted():
            return f"#{event.number} {shlex.join(event.command)}"
        case CommandEnded():
            return f"#{event.number} {_status(event.status)} ({event.seconds:.2f} s)"
        case FaultApplied():
            return f"{event.fault} {event.target} {event.detail}".rstrip()
        case CaptureStarted():
            return f"{event.file} on {', '.join(event.interfaces)}"
        case CaptureStopped():
            return f"{event.file}: {event.packets} packets, {event.lost} lost"
        case Drop():
            return _drop(event)
        case MappingCreated() | MappingExpired():
            text = (
                f"{event.protocol} {event.inside} {event.inside_port} as "
                f"{event.outside} {event.outside_port}"
            )
            return f"{text} ({event.reason})" if isinstance(event, MappingExpired) else text
        case PortsExhausted():
            return bad(
                f"no {event.protocol} port left for {event.inside} {event.inside_port}: "
                f"{event.in_use} of {event.size} in use"
            )
        case Provisioned():
            return f"{event.component}: {event.detail}"
        case Verdict():
            word = good(event.outcome) if event.outcome == "passed" else bad(event.outcome)
            why = f": {event.why}" if event.why else ""
            return f"{event.scenario} {word} ({event.seconds:.2f} s){why}"
        case Note():
            return event.text
        case _:
            return repr(event)


def _status(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit code {status}"


def _drop(event: Drop) -> str:
    text = f"{bad(event.reason)} at {event.component}, {event.place}"
    if event.packet is not None:
        text += f": {event.packet}"
    for name, value in (("rule", event.rule), ("", event.clause), ("", event.detail)):
        if value:
            text += f"; {name} {value}" if name else f"; {value}"
    return text
