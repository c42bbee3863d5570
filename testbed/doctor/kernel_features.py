"""The kernel's features, in the doctor's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from testbed.doctor.capability import Capability, Kind, State
from testbed.kernel.probe import FEATURES, Feature, FeatureState, probe


def find_features() -> tuple[Capability, ...]:
    """Probe the running kernel."""
    return describe(FEATURES, probe())


def describe(
    features: Iterable[Feature], states: Mapping[str, FeatureState]
) -> tuple[Capability, ...]:
    """One capability per feature.  A feature that was not probed counts as missing, and says so."""
    return tuple(_describe(feature, states.get(feature.name)) for feature in features)


def _describe(feature: Feature, state: FeatureState | None) -> Capability:
    def verdict(found: State, detail: str, remedy: str = "") -> Capability:
        return Capability(feature.name, Kind.KERNEL, found, feature.purpose, detail, remedy)

    if state is None:
        return verdict(State.NO, "was not probed", feature.provider)
    if state.present:
        return verdict(State.YES, state.detail or "tried, works")
    return verdict(State.NO, state.detail, feature.provider)
