"""The same line on each of our backends, and in the programs that one would use otherwise.

Nodes as bare namespaces, as Mininet's and as containers, all by ``Lab.up``; Mininet by itself; and
Kathara, whose nodes are containers, too.  Every run is a process of its own; contenders take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from bench import containers, kathara, startup
from bench.contender import Report
from bench.figures import Ratio, ratio
from bench.our_runs import IMAGE, run_ours
from bench.rounds import Measured, Results, measure, run_contender
from bench.section import Section, ratio_json, sample_json, times, with_spread
from testbed.backends.registry import trouble
from testbed.model.topology import DOCKER, MININET, NETNS

TITLE = "The same line on each backend"

SIZES = (10, 50)
_RUNS_IN_A_ROUND = {SIZES[0]: 3}  # a run of milliseconds is at the mercy of the scheduler
_LONGEST_RUN = 300.0

OUR_NETNS, OUR_MININET, OUR_DOCKER = (f"testbed, {name}" for name in (NETNS, MININET, DOCKER))
BARE_MININET, KATHARA = startup.MININET, kathara.NAME
CONTENDERS = (OUR_NETNS, OUR_MININET, OUR_DOCKER, BARE_MININET, KATHARA)
_BACKENDS = {OUR_NETNS: NETNS, OUR_MININET: MININET, OUR_DOCKER: DOCKER}
_UNITS = {NETNS: OUR_NETNS, BARE_MININET: BARE_MININET}
"""Whom the others are compared with, by what the head of a column calls them."""


def run(rounds: int) -> Section:
    """Measure; who cannot run here, fails, or carries no ping is told as such."""
    with kathara.installed(IMAGE) as theirs:
        missing = _missing() | ({KATHARA: theirs.missing} if theirs.missing else {})
        runners: dict[str, Callable[[int], Report]] = {
            **{name: partial(_run_ours, backend) for name, backend in _BACKENDS.items()},
            BARE_MININET: _run_mininet,
            KATHARA: lambda nodes: theirs.run(nodes, _LONGEST_RUN),
        }
        results, failures = measure(
            lambda name, nodes: runners[name](nodes),
            [(name, size) for size in SIZES for name in CONTENDERS if name not in missing],
            rounds,
            runs_in_a_round=_RUNS_IN_A_ROUND,
        )
    section = judge(results, missing, failures)
    return replace(section, data=section.data | {"error": failures}) if failures else section


def _missing() -> dict[str, str]:
    """Who cannot run here, and why."""
    reasons = {
        OUR_MININET: trouble(MININET),
        OUR_DOCKER: containers.why_not(IMAGE),
        BARE_MININET: startup.why_no_mininet(),
    }
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _run_ours(backend: str, nodes: int) -> Report:
    return run_ours(backend, nodes, _LONGEST_RUN)


def _run_mininet(nodes: int) -> Report:
    command = (*startup.COMMANDS[BARE_MININET], str(nodes))
    return run_contender(command, f"{BARE_MININET} with {nodes} routers", _LONGEST_RUN)


def judge(
    results: Results, missing: Mapping[str, str] | None = None, failures: Sequence[str] = ()
) -> Section:
    """The figures as a table, with a row for those who could not run, too; pure."""
    missing = missing or {}
    comparisons = [(what, unit) for what in ("up", "down") for unit in _UNITS]
    heads = [f"{what}, {unit} = 1" for what, unit in comparisons]
    table = [("routers", "", "up, s", "down, s", "processes", *heads)]
    data: dict[str, object] = {}
    for size in SIZES:
        for name in CONTENDERS:
            measured = results.get((name, size))
            if measured is None:
                what = "cannot run here" if name in missing else "failed"
                table.append((str(size), name, f"{what}, see below", *[""] * (2 + len(heads))))
                continue
            seconds = (with_spread(measured.up), with_spread(measured.down))
            against = [
                _against(measured, results.get((_UNITS[unit], size)), what)
                for what, unit in comparisons
            ]
            shown = ["" if each is None else times(each) for each in against]
            table.append((str(size), name, *seconds, str(measured.processes), *shown))
            data[f"{name} {size}"] = {
                "up_s": sample_json(measured.up),
                "down_s": sample_json(measured.down),
                "processes": measured.processes,
                **{
                    f"{what}_{unit}_ratio": ratio_json(each)
                    for (what, unit), each in zip(comparisons, against, strict=True)
                    if each is not None
                },
            }
    skipped = [f"{name}: {reason}" for name, reason in missing.items()]
    return Section(
        title=TITLE,
        about=_ABOUT,
        table=tuple(table),
        notes=(_NOTE,),
        skipped=(*skipped, *failures),
        data=data,
    )


def _against(measured: Measured, unit: Measured | None, what: str) -> Ratio | None:
    """How many times the unit's; None for the unit itself, and where there is none."""
    if unit is None or unit is measured:
        return None
    return ratio(getattr(measured, what), getattr(unit, what))


_ABOUT = """\
The line of the start-up benchmark (N routers, a /30 on each cable, static routes), each time in a
process of its own, in turns, and checked with a ping from end to end outside the measured time:
with our three backends, by `Lab.up` and `Lab.down` of the very same `Topology`; in Mininet by
itself, as in the start-up benchmark; and in Kathara, whose nodes are containers on Docker networks
of its own plugin. Imports before `up` are not counted for anybody, nor is the start of Docker's
engine or the making of images; but what our backends start as processes of their own is (Mininet in
Debian's Python, the keeper of the containers). Median (smallest-largest); a ratio's spread is that
of single rounds."""

_NOTE = """\
*Processes* are those that run while the lab is idle, besides the one that owns it. For containers
that is, for each node, the container's first process and Docker's shim beside it, and one keeper
for the lab (for Kathara none, but the switches of its plugin); the engine itself serves all labs
and is not counted. Our Mininet nodes have Mininet's shell each, beside one process for Mininet
itself. *down* is until the call returns: containers are then removed, bare namespaces are freed by
the kernel in the background. Containers are made of our image `base` (ip, ping, ps), and the engine
does no health checks in them; for Kathara, too, which is *up* when every node's start-up commands
are done. The smallest line is built three times in each round. Run only when asked for:
`python -m bench --only backends --record`."""
