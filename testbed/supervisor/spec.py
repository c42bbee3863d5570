"""What a lab's supervisor is given when it is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from testbed.kernel.channel import Channel
from testbed.model.topology import Topology
from testbed.plan.operations import Plan


@dataclass(frozen=True, slots=True)
class LabSpec:
    """What the owner hands over.

    ``attached``: the lab ends with the process that started it; else it stays until told.
    ``outside``: channels to the helpers that backends have outside the lab, by backend.
    """

    name: str
    topology: Topology
    plan: Plan
    run_folder: Path
    attached: bool
    outside: Mapping[str, Channel] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must not appear in logs and events."""
        return tuple(
            secret
            for node in self.topology.nodes
            for service in node.services
            for secret in service.secrets
        )
