"""The kernel probe's findings in the doctor's words."""

from __future__ import annotations

from testbed.doctor.capability import Kind, State
from testbed.doctor.kernel_features import describe
from testbed.kernel.probe import FEATURES, FeatureState


def test_a_feature_that_is_there() -> None:
    (first, second) = describe(
        FEATURES[:2],
        {FEATURES[0].name: FeatureState(True, "very"), FEATURES[1].name: FeatureState(True, "")},
    )
    assert (first.state, first.detail, first.remedy) == (State.YES, "very", "")
    assert (second.state, second.detail) == (State.YES, "tried, works")
    assert first.kind is Kind.KERNEL


def test_a_feature_that_is_not_names_what_would_bring_it() -> None:
    feature = FEATURES[0]
    (found,) = describe([feature], {feature.name: FeatureState(False, "refused")})
    assert (found.state, found.detail, found.remedy) == (State.NO, "refused", feature.provider)


def test_a_feature_that_was_forgotten_is_not_called_present() -> None:
    (found,) = describe(FEATURES[:1], {})
    assert (found.state, found.detail) == (State.NO, "was not probed")
