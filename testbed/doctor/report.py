"""The doctor's report: everything found, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from testbed.doctor import rights
from testbed.doctor.backends import find_backends
from testbed.doctor.capability import Capability, Fact, Kind, State
from testbed.doctor.clocks import find_clocks
from testbed.doctor.effects import Effect, Remedy, Scenario, by_name, effects_on, remedies
from testbed.doctor.facts import Machine, read_machine
from testbed.doctor.kernel_features import find_features
from testbed.doctor.kernels import (
    IMPOSSIBLE,
    GuestState,
    KernelRow,
    compare,
    find_guest,
    in_guest,
)
from testbed.doctor.programs import find_others, find_programs


@dataclass(frozen=True, slots=True)
class Probes:
    """Where the findings come from; a test puts its own in place."""

    machine: Callable[[], Machine] = read_machine
    rights: Callable[[], rights.Results] = rights.try_out
    kernel: Callable[[], tuple[Capability, ...]] = find_features
    clocks: Callable[[], tuple[Capability, ...]] = find_clocks
    backends: Callable[[], tuple[Capability, ...]] = find_backends
    programs: Callable[[], tuple[Capability, ...]] = find_programs
    guest: Callable[[], GuestState] = find_guest


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """What this machine can and cannot do, and what that means for the scenarios given."""

    facts: tuple[Fact, ...]
    capabilities: tuple[Capability, ...]
    effects: tuple[Effect, ...] = ()
    guest: GuestState = field(default_factory=lambda: GuestState(IMPOSSIBLE, "not looked for"))

    @property
    def usable(self) -> bool:
        """Can any lab run here, be it in a guest?"""
        return self.host_usable or self.guest.possible

    @property
    def host_usable(self) -> bool:
        """Can any lab run under the host's kernel?"""
        capability = self.find(rights.NAMESPACES)
        return capability is not None and capability.present

    @property
    def kernels(self) -> tuple[KernelRow, ...]:
        """Host and guest side by side."""
        return compare(self.capabilities, self.guest)

    @property
    def affected(self) -> tuple[Effect, ...]:
        """The scenarios that cannot run, not in full, or only in a guest."""
        return tuple(e for e in self.effects if e.missing or e.limited or e.unknown or e.guest)

    def find(self, name: str) -> Capability | None:
        """The capability of that name."""
        return by_name(self.capabilities).get(name)

    def of_kind(self, kind: Kind) -> tuple[Capability, ...]:
        return tuple(capability for capability in self.capabilities if capability.kind is kind)

    def remedies(self) -> tuple[Remedy, ...]:
        """What to do: for the scenarios affected, or for everything where none were given."""
        # Without namespaces nothing of the kernel could be tried, so nothing is known to lack.
        known = [c for c in self.capabilities if self.host_usable or c.kind is not Kind.KERNEL]
        if not self.effects:
            return remedies(known)
        wanted = [name for effect in self.affected for name in (*effect.missing, *effect.limited)]
        return remedies(known, wanted)

    def summary(self) -> str:
        """One sentence."""
        if not self.usable:
            return "No lab can run here."
        if not self.effects:
            lacking = sum(c.state is not State.YES for c in self.capabilities)
            if not lacking:
                return "Labs can run here, and nothing is missing."
            total = len(self.capabilities)
            return f"Labs can run here; {lacking} of {total} capabilities are not there in full."
        running = sum(effect.can_run for effect in self.effects)
        away = sum(bool(effect.guest) and effect.can_run for effect in self.effects)
        where = f", {away} of them in a guest" if away else ""
        return f"{running} of {len(self.effects)} scenarios can run here{where}."

    def to_json(self) -> dict[str, Any]:
        """Plain data, for ``--json``."""
        return {
            "usable": self.usable,
            "summary": self.summary(),
            "facts": {fact.name: fact.value for fact in self.facts},
            "capabilities": [asdict(capability) for capability in self.capabilities],
            "guest_kernel": asdict(self.guest),
            "kernels": [asdict(row) for row in self.kernels],
            "scenarios": [asdict(e) | {"can_run": e.can_run} for e in self.effects],
            "remedies": [asdict(remedy) for remedy in self.remedies()],
        }


def examine(scenarios: Iterable[Scenario] = (), *, probes: Probes | None = None) -> DoctorReport:
    """Examine this machine; takes a second or two.

    ``scenarios`` are pairs of a scenario's name and the names of what it needs.  Changes nothing:
    what must be tried is tried in namespaces that end with the attempt.
    """
    sources, scenarios = probes or Probes(), tuple(scenarios)
    machine = sources.machine()
    # What this user may do comes first: where the kernel's own probe speaks of the same thing
    # (tun, overlayfs), it is shown once.
    found = by_name(
        (
            *rights.judge(machine, sources.rights()),
            *sources.kernel(),
            *sources.clocks(),
            *sources.backends(),
            *sources.programs(),
            *find_others(need for _, needs in scenarios for need in needs),
        )
    )
    capabilities, guest = tuple(found.values()), sources.guest()
    effects = effects_on(scenarios, capabilities, in_guest if guest.possible else _nothing)
    return DoctorReport(machine.facts(), capabilities, effects, guest)


def _nothing(_capability: Capability) -> bool:
    return False
