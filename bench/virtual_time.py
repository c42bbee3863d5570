"""What hours cost under virtual time: an idle lab, v6plus, and two charons."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import Sample, digits
from bench.section import Section, Target, sample_json, with_spread
from bench.virtual.labs import LABS
from bench.virtual.runs import Run, run

HOURS = {"idle": 48.0, "v6plus": 24.0, "azure_rekey": 48.0}
"""The labs, and how long each is left to itself."""

_GOAL_LAB, _GOAL_S = "azure_rekey", 30.0
_MOST = 6
"""How many of the things that wake a lab are named."""

_HOURS_COUNTED = 2.0


def measure(rounds: int) -> Section:
    """Measure; raises TestbedError if there is no guest kernel or a lab fails in it."""
    runs: dict[str, list[Run]] = {name: [] for name in HOURS}
    for _ in range(rounds):
        for name, hours in HOURS.items():
            runs[name].append(run(name, hours))
    counted = {name: run(name, _HOURS_COUNTED, wakeups=True) for name in HOURS}
    return judge(runs, counted)


def judge(runs: dict[str, list[Run]], counted: dict[str, Run]) -> Section:
    """The figures as tables and against the goal; pure."""
    heads = (
        "",
        "hours",
        "boot, s",
        "lab up, s",
        "the hours, s",
        "whole, s",
        "s/day",
        "CPU s/day",
        "whole CPU, s",
    )
    rows: list[tuple[str, ...]] = [heads]
    data = {}
    for name, found in runs.items():
        samples = _samples(found)
        data[name] = {"hours": found[0].hours} | {
            key: sample_json(sample) for key, sample in samples.items()
        }
        figures = (with_spread(sample) for sample in samples.values())
        rows.append((LABS[name].title, f"{found[0].hours:g}", *figures))
    whole = Sample.of([one.ended for one in runs[_GOAL_LAB]])
    boot = Sample.of([one.booted / one.ended for one in runs[_GOAL_LAB]])
    notes = [
        f"Of a run of {_GOAL_LAB}, {boot.median:.0%} is boot ({boot.low:.0%}-{boot.high:.0%}). "
        "What wakes the guest's kernel, counted by its tracepoints in "
        f"{_HOURS_COUNTED:g} further hours of each lab, per virtual hour:"
    ]
    notes += [_wakeups(name, one) for name, one in counted.items()]
    what = f"{_GOAL_LAB}, {HOURS[_GOAL_LAB]:g} virtual hours, boot to end, in at most {_GOAL_S:g} s"
    cpu = Sample.of([one.cpu for one in runs[_GOAL_LAB]])
    measured = f"{digits(whole.median)} s, with {digits(cpu.median)} s of CPU time"
    return Section(
        title="Hours of virtual time",
        about="Wall seconds of a lab in a guest with a virtual clock, on a compiled copy of the "
        "sources as `testbed test` uses it: until the guest starts the command, from there until "
        "the lab is up with its traffic, while the hours pass, and all in all; the third once more "
        "for one virtual day, in wall and in CPU seconds; and the CPU seconds of everything. Every "
        "ping is answered, or the run is none. ping's minute is 61.44 s, the kernel's timer wheel "
        "being what it is. No capture runs. Median (smallest-largest).",
        table=tuple(rows),
        targets=(Target(what, measured, whole.median <= _GOAL_S),),
        notes=tuple(notes),
        data={**data, "wakeups per hour": {n: _per_hour(one) for n, one in counted.items()}},
    )


def _samples(runs: Sequence[Run]) -> dict[str, Sample]:
    return {
        "boot_s": Sample.of([one.booted for one in runs]),
        "lab_up_s": Sample.of([one.up - one.booted for one in runs]),
        "hours_s": Sample.of([one.over - one.up for one in runs]),
        "whole_s": Sample.of([one.ended for one in runs]),
        "s_per_day": Sample.of([one.seconds_per_day for one in runs]),
        "cpu_s_per_day": Sample.of([one.cpu_per_day for one in runs]),
        "cpu_s": Sample.of([one.cpu for one in runs]),
    }


def _per_hour(run_: Run) -> dict[str, dict[str, float]]:
    return {
        kind: {name: count / run_.hours for name, count in counts.items()}
        for kind, counts in run_.wakeups.items()
    }


def _wakeups(name: str, run_: Run) -> str:
    lines = [f"- {LABS[name].title}"]
    for kind, counts in _per_hour(run_).items():
        most = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:_MOST]
        told = ", ".join(f"{what} {digits(count)}" for what, count in most)
        lines.append(f"  - {kind}: {digits(sum(counts.values()))} ({told})")
    return "\n".join(lines)
