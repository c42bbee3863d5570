"""What this machine can and cannot do, which scenarios that affects, and what to do about it."""

from testbed.doctor.capability import Capability, Fact, Kind, State
from testbed.doctor.effects import Effect, Remedy, Scenario
from testbed.doctor.render import render
from testbed.doctor.report import DoctorReport, Probes, examine

__all__ = [
    "Capability",
    "DoctorReport",
    "Effect",
    "Fact",
    "Kind",
    "Probes",
    "Remedy",
    "Scenario",
    "State",
    "examine",
    "render",
]
