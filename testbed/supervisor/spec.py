"""What a lab's supervisor is given when it is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed.model.topology import Topology
from testbed.plan.operations import Plan


@dataclass(frozen=True, slots=True)
class LabSpec:
    """``attached``: the lab ends with the process that started it; else it stays until told."""

    name: str
    topology: Topology
    plan: Plan
    run_folder: Path
    attached: bool

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must not appear in logs and events."""
        return tuple(
            secret
            for node in self.topology.nodes
            for service in node.services
            for secret in service.secrets
        )
