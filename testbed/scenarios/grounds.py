"""The table of topology, backend, kernel and clock: where scenarios ran, and why not elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from testbed.evidence.report.data import OUTCOMES, SKIPPED, Ground
from testbed.model.topology import BACKENDS
from testbed.scenarios.choice import HOST
from testbed.scenarios.session import Scenario


def grounds(scenarios: Iterable[Scenario]) -> tuple[Ground, ...]:
    """One row for scenarios that share topology, place and reason; those that ran nowhere last."""
    rows: dict[tuple[str, str, str, str, str], Counter[str]] = {}
    for one in scenarios:
        if not one.kernel:
            continue  # nobody decided where it runs: pytest alone, not testbed test
        nowhere = one.outcome == SKIPPED
        place = ("", "", one.why) if nowhere else (one.kernel, one.clock, one.placed)
        key = (_topology(one), one.backend, *place)
        rows.setdefault(key, Counter())[one.outcome] += 1
    return tuple(
        Ground(topology, backend, kernel, clock, tuple(_counts(counts)), why)
        for (topology, backend, kernel, clock, why), counts in sorted(rows.items(), key=_order)
    )


def _topology(one: Scenario) -> str:
    """The folder that the test file lies in: of the topology, also where no lab came up."""
    return PurePosixPath(one.identity.partition("::")[0]).parent.name


def _counts(counts: Counter[str]) -> Iterator[tuple[str, int]]:
    for outcome in reversed(OUTCOMES):
        if counts[outcome]:
            yield outcome, counts[outcome]


def _order(row: tuple[tuple[str, str, str, str, str], Counter[str]]) -> tuple[object, ...]:
    topology, backend, kernel, clock, why = row[0]
    known = BACKENDS.index(backend) if backend in BACKENDS else len(BACKENDS)
    return topology, known, not kernel, kernel != HOST, clock, why
