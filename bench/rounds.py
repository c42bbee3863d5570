"""Contenders that build the same line in turns, each run in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.contender import Report
from bench.figures import Sample
from bench.settle import Quiet
from testbed.errors import TestbedError

Pair = tuple[str, int]
"""A contender's name, and the number of nodes in its line."""


class ContenderError(TestbedError):
    """A contender did not do what it is measured at."""


@dataclass(frozen=True)
class Measured:
    """All rounds of one contender at one size; seconds.

    ``processes`` is the most that it ever needed.
    """

    up: Sample
    down: Sample
    processes: int


Results = dict[Pair, Measured]


def measure(
    run_one: Callable[[str, int], Report],
    pairs: Sequence[Pair],
    rounds: int,
    *,
    runs_in_a_round: Mapping[int, int],
) -> tuple[Results, list[str]]:
    """Have them take turns, so that all of them see the same moods of the machine.

    Args:
        run_one: one run of a contender at a size.
        pairs: who takes part.
        rounds: how often.
        runs_in_a_round: by size; 1 where nothing is said.

    Returns:
        the results of those that never failed, and what went wrong with the others, which are not
        tried again.
    """
    reports: dict[Pair, list[Report]] = {pair: [] for pair in pairs}
    trouble: list[str] = []
    with Quiet() as quiet:
        for number in range(rounds):
            print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            order = _order(reports, runs_in_a_round)
            # Every other round backwards: nobody always comes behind the same neighbour.
            for pair in order[:: -1 if number % 2 else 1]:
                if pair not in reports:
                    continue  # it has failed in this round
                quiet.wait()
                try:
                    reports[pair].append(run_one(*pair))
                except ContenderError as error:
                    trouble.append(str(error))
                    del reports[pair]
    return {pair: _measured(found) for pair, found in reports.items()}, trouble


def _order(reports: Mapping[Pair, object], runs_in_a_round: Mapping[int, int]) -> list[Pair]:
    times = max(runs_in_a_round.values(), default=1)
    return [
        pair
        for time in range(times, 0, -1)
        for pair in reports
        if runs_in_a_round.get(pair[1], 1) >= time
    ]


def _measured(reports: Sequence[Report]) -> Measured:
    return Measured(
        up=Sample.of([report.up for report in reports]),
        down=Sample.of([report.down for report in reports]),
        processes=max(report.processes for report in reports),
    )


def run_contender(
    command: Sequence[str],
    where: str,
    longest: float,
    *,
    environment: Mapping[str, str] | None = None,
) -> Report:
    """One run, to its end; it is killed if that does not come.

    Args:
        command: prints a report as its last line.
        where: which contender it is, for people.
        longest: seconds.
        environment: ours by default.

    Raises:
        ContenderError: it failed, or its network carries no ping.
    """
    try:
        result = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=longest,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise ContenderError(f"not done in {longest:g} s", where=where) from error
    if result.returncode != 0:
        raise ContenderError(
            f"ended with {result.returncode}: {result.stderr[-2000:]}", where=where
        )
    report = Report(**json.loads(result.stdout.splitlines()[-1]))
    if not report.works:
        raise ContenderError("came up, but a ping across it was not answered", where=where)
    return report
