"""Bringing labs up for scenarios: named apart, in the run's folder, kept on failure if wanted."""

from __future__ import annotations

import os
import re

from testbed.explore.apply import perturbed, schedule
from testbed.explore.perturbation import perturbation_of
from testbed.model.topology import NETNS, Topology
from testbed.scenarios.scenario_lab import ScenarioLab
from testbed.scenarios.session import ScenarioRun, secrets_of

_LONGEST_NAME = 60


class LabFactory:
    """Brings labs up for one test file or one test."""

    def __init__(self, run: ScenarioRun, label: str, backend: str) -> None:
        self._run, self._backend = run, backend
        self._label = re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip("-")  # of a test's parameters
        self._count = 0

    def up(self, topology: Topology) -> ScenarioLab:
        """A lab of this topology, under a name that no other process uses.

        In a run with a perturbation (see :mod:`testbed.explore`) it is perturbed.
        """
        self._count += 1
        perturbation = perturbation_of(self._run.folder)
        suffix = "" if self._count == 1 else f"-{self._count}"
        made = "" if self._backend == NETNS else f"-{self._backend}"
        label = f"{topology.name}-{self._label}{made}{suffix}"
        folder = self._run.folder / "labs" / label
        folder.mkdir(parents=True)
        self._run.secrets |= secrets_of(topology)  # also if it does not come up
        lab = ScenarioLab.up(
            perturbed(topology, perturbation),
            name=f"{label[:_LONGEST_NAME]}-{os.getpid()}",
            run_folder=folder,
            attached=not self._run.keep,
            backend=self._backend,
        )
        lab.perturbed_by(schedule(topology, perturbation))
        self._run.take_lab(lab)
        return lab


class KeptLab:
    """A lab that goes down at the end, unless a scenario failed in it and the user keeps those."""

    def __init__(self, lab: ScenarioLab, run: ScenarioRun) -> None:
        self.lab, self._run = lab, run

    def finish(self) -> None:
        """Take it down, or leave it and tell how to enter it."""
        if self._run.keep and self._run.failed_in(self.lab):
            self._run.leave_up(self.lab)
        else:
            self.lab.down()
