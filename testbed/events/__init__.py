"""Everything that happens is an event: the typed stream that reports, tests and logs are views of.

This package only defines what events are and how they look as JSON lines.  It does no I/O except
:class:`~testbed.events.emitter.Emitter`, which a service uses to hand its events to the lab.
"""

from testbed.events.codec import decode, encode, to_json
from testbed.events.emitter import Emitter
from testbed.events.kinds import (
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
    PacketSummary,
    PortsExhausted,
    Provisioned,
    Record,
    ServiceExited,
    ServiceReady,
    ServiceStarted,
    Verdict,
)
from testbed.events.schema import json_schema

__all__ = [
    "CaptureStarted",
    "CaptureStopped",
    "CommandEnded",
    "CommandStarted",
    "Drop",
    "Emitter",
    "Event",
    "FaultApplied",
    "LabDown",
    "LabUp",
    "MappingCreated",
    "MappingExpired",
    "Note",
    "PacketSummary",
    "PortsExhausted",
    "Provisioned",
    "Record",
    "ServiceExited",
    "ServiceReady",
    "ServiceStarted",
    "Verdict",
    "decode",
    "encode",
    "json_schema",
    "to_json",
]
