"""Which scenarios a machine's shortcomings affect, and what would help."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from testbed.doctor.capability import Capability, Kind, State
from testbed.doctor.programs import INSTALL
from testbed.doctor.rights import NAMESPACES

Scenario = tuple[str, Sequence[str]]
"""A scenario's name and the names of the capabilities it needs."""

_WORST_FIRST = (State.NO, State.LIMITED, State.YES)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a scenario needs and does not get in full from the host.

    ``guest``: it runs in a guest, which has these.  ``missing``: it cannot run.  ``limited``: it
    runs, perhaps not to the end.  ``unknown``: it asks for something the doctor has no word for,
    which is a mistake in the scenario.
    """

    scenario: str
    missing: tuple[str, ...] = ()
    limited: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    guest: tuple[str, ...] = ()

    @property
    def can_run(self) -> bool:
        return not self.missing and not self.unknown


@dataclass(frozen=True, slots=True)
class Remedy:
    """Something to do, and for which capabilities."""

    action: str
    capabilities: tuple[str, ...]


def by_name(capabilities: Iterable[Capability]) -> dict[str, Capability]:
    """Capabilities by name; the worse one where two sources (kernel and rights) speak of it."""
    found: dict[str, Capability] = {}
    for capability in capabilities:
        known = found.get(capability.name)
        if known is None or _rank(capability) < _rank(known):
            found[capability.name] = capability
    return found


def effects_on(
    scenarios: Iterable[Scenario],
    capabilities: Iterable[Capability],
    guest_has: Callable[[Capability], bool] = lambda _capability: False,
) -> tuple[Effect, ...]:
    """One effect per scenario, in their order; each needs ``namespaces``, said or not.

    ``guest_has`` says what the guest kernel would bring; nothing, where there can be none.
    """
    known = by_name(capabilities)
    return tuple(_effect(name, needs, known, guest_has) for name, needs in scenarios)


def _effect(
    name: str,
    needs: Sequence[str],
    known: Mapping[str, Capability],
    guest_has: Callable[[Capability], bool],
) -> Effect:
    wanted = tuple(dict.fromkeys((NAMESPACES, *needs)))

    def those(state: State) -> tuple[str, ...]:
        return tuple(need for need in wanted if need in known and known[need].state is state)

    unknown = tuple(need for need in wanted if need not in known)
    missing = those(State.NO)
    if missing and all(guest_has(known[need]) for need in missing):
        return Effect(name, unknown=unknown, guest=missing)
    return Effect(name, missing, those(State.LIMITED), unknown)


def remedies(
    capabilities: Iterable[Capability], only: Iterable[str] | None = None
) -> tuple[Remedy, ...]:
    """What to do, each thing once: packages in one command, then the rest in order.

    ``only`` restricts it to the capabilities of those names.
    """
    wanted = None if only is None else frozenset(only)
    wanting = [
        capability
        for capability in by_name(capabilities).values()
        if capability.remedy and (wanted is None or capability.name in wanted)
    ]
    packages: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for capability in wanting:
        group, action = others, capability.remedy
        if capability.kind is Kind.PROGRAM and action.startswith(INSTALL):
            group, action = packages, action.removeprefix(INSTALL)
        group.setdefault(action, []).append(capability.name)
    result = [Remedy(action, tuple(names)) for action, names in others.items()]
    if packages:
        names = tuple(name for group in packages.values() for name in group)
        result.insert(0, Remedy(INSTALL + " ".join(packages), names))
    return tuple(result)


def _rank(capability: Capability) -> int:
    return _WORST_FIRST.index(capability.state)
