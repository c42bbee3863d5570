"""Does this machine have what a scenario needs?"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from testbed.kernel.namespaces import find_program
from testbed.kernel.probe import FEATURES, FeatureState, probe

_NAMES = frozenset(feature.name for feature in FEATURES)


@cache
def _features() -> dict[str, FeatureState]:
    return probe()


def first_missing(names: Iterable[str]) -> str | None:
    """Why the scenario cannot run here, or None if it can.

    A name is a kernel feature as ``testbed doctor`` lists it, else a program.
    """
    for name in names:
        if name in _NAMES:  # trying out the kernel takes time: not for the sake of a program
            state = _features()[name]
            if not state.present:
                return f"this machine has no {name}: {state.detail}"
        elif find_program(name) is None:
            return f"the program {name!r} is not installed (see testbed doctor)"
    return None
