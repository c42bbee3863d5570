"""The kinds of event, as frozen dataclasses.

An :class:`Event` says what happened; a :class:`Record` adds when (nanoseconds, lab
clock), who said so (``origin``: ``harness``, ``service``, ``capture`` or ``test``) and where (node
and service).  ``kind`` is the stable name used in JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class PacketSummary:
    """The few fields of a packet that tell a reader which one it was.

    ``key`` identifies the IP packet wherever it is seen before translation (see
    :func:`testbed.components.packet.digest.packet_key`): the captures use it to attach comments.
    ``head`` is the first bytes of the packet, hexadecimal, at most 128 bytes.
    """

    source: str
    destination: str
    protocol: str
    length: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp: str | None = None
    key: str | None = None
    head: str | None = None

    def __str__(self) -> str:
        def end(address: str, port: int | None) -> str:
            if port is None:
                return address
            return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

        icmp = f" {self.icmp}" if self.icmp else ""
        return (
            f"{self.protocol}{icmp} {end(self.source, self.source_port)} > "
            f"{end(self.destination, self.destination_port)} ({self.length} bytes)"
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. Subclasses set ``kind``."""

    kind: ClassVar[str] = "event"


@dataclass(frozen=True, slots=True)
class LabUp(Event):
    """The lab's network stands and its services are ready."""

    kind: ClassVar[str] = "lab-up"
    topology: str
    nodes: int
    links: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LabDown(Event):
    """The lab has ended; ``reason`` is ``asked``, ``owner-gone`` or an error text."""

    kind: ClassVar[str] = "lab-down"
    reason: str


@dataclass(frozen=True, slots=True)
class ServiceStarted(Event):
    """A service's process was started."""

    kind: ClassVar[str] = "service-started"
    command: tuple[str, ...]
    pid: int


@dataclass(frozen=True, slots=True)
class ServiceReady(Event):
    """A service's readiness condition became true after ``seconds``."""

    kind: ClassVar[str] = "service-ready"
    condition: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ServiceExited(Event):
    """A service's process ended; ``expected`` when the lab had asked it to."""

    kind: ClassVar[str] = "service-exited"
    status: int
    expected: bool


@dataclass(frozen=True, slots=True)
class CommandStarted(Event):
    """A command was run in a node by a user or a test."""

    kind: ClassVar[str] = "command-started"
    command: tuple[str, ...]
    number: int


@dataclass(frozen=True, slots=True)
class CommandEnded(Event):
    """A command run in a node ended."""

    kind: ClassVar[str] = "command-ended"
    number: int
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FaultApplied(Event):
    """A fault was put on the lab, or lifted; ``due_ns`` is when a schedule wanted it."""

    kind: ClassVar[str] = "fault-applied"
    fault: str
    target: str
    detail: str = ""
    due_ns: int | None = None


@dataclass(frozen=True, slots=True)
class FaultFailed(Event):
    """A fault that was due by a schedule (at ``due_ns``) could not be put on the lab."""

    kind: ClassVar[str] = "fault-failed"
    fault: str
    target: str
    why: str
    due_ns: int


@dataclass(frozen=True, slots=True)
class CaptureStarted(Event):
    """A capture began on these ``node/interface`` names."""

    kind: ClassVar[str] = "capture-started"
    file: str
    interfaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaptureStopped(Event):
    """A capture ended: packets written and packets the kernel could not hand over."""

    kind: ClassVar[str] = "capture-stopped"
    file: str
    packets: int
    lost: int


@dataclass(frozen=True, slots=True)
class Drop(Event):
    """A packet was dropped, and why.

    ``reason`` is the value of the component's reason enum, ``clause`` the RFC clause behind it,
    ``rule`` the rule or mapping that decided, ``place`` where in the component
    (``tunnel ingress``, ``lan ingress``...).
    """

    kind: ClassVar[str] = "drop"
    component: str
    reason: str
    place: str
    packet: PacketSummary | None = None
    rule: str | None = None
    clause: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class MappingCreated(Event):
    """A NAPT made a mapping (RFC 4787): inside address and port to outside address and port."""

    kind: ClassVar[str] = "mapping-created"
    component: str
    protocol: str
    inside: str
    inside_port: int
    outside: str
    outside_port: int


@dataclass(frozen=True, slots=True)
class MappingExpired(Event):
    """A NAPT mapping ended; ``reason`` is ``idle``, ``closed``, ``flushed``..."""

    kind: ClassVar[str] = "mapping-expired"
    component: str
    protocol: str
    inside: str
    inside_port: int
    outside: str
    outside_port: int
    reason: str


@dataclass(frozen=True, slots=True)
class PortsExhausted(Event):
    """A NAPT had no port left for a new mapping; existing ones stay (RFC 6888 REQ-11)."""

    kind: ClassVar[str] = "ports-exhausted"
    component: str
    protocol: str
    inside: str
    inside_port: int
    in_use: int
    size: int


@dataclass(frozen=True, slots=True)
class Provisioned(Event):
    """A MAP-E CE or BR took its parameters into use."""

    kind: ClassVar[str] = "provisioned"
    component: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict(Event):
    """A scenario was judged: ``passed``, ``failed``, ``skipped`` or ``error``."""

    kind: ClassVar[str] = "verdict"
    scenario: str
    outcome: str
    seconds: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Note(Event):
    """Free text: evidence a test wants to keep, or a line a component wants to say."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """An event with its time (ns since the epoch, lab clock), its origin and its place."""

    time_ns: int
    origin: str
    event: Event
    node: str | None = None
    service: str | None = None
