"""How long a line of routers takes to come up and go down: the floor, ours, Mininet.

Every run is a process of its own; contenders take turns, so that all of them see the same moods of
the machine.  Imports are not counted for anybody.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.contender import Report
from bench.figures import Ratio, digits, ratio
from bench.our_runs import run_ours
from bench.rounds import Results, measure, run_contender
from bench.section import Section, Target, ratio_json, sample_json, times, with_spread
from testbed.model.topology import NETNS

SIZES = (10, 50, 200)
BIG = 1000
_SMALL = SIZES[0]
_SMALL_RUNS = 3  # in each round: a run of milliseconds is at the mercy of the scheduler
_COMPARED = 200  # the size at which Mininet and `down` are judged
_FLOOR_FACTOR = 3.0
_MININET_FACTOR = 10.0
_DOWN_SECONDS = 0.1

_DEBIAN_PYTHON = "/usr/bin/python3"
_LONGEST_RUN = 120.0

FLOOR, OURS, MININET = "floor", "testbed", "Mininet"
COMMANDS: dict[str, tuple[str, ...]] = {
    FLOOR: (sys.executable, "-m", "bench.floor"),
    MININET: (
        *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *(_DEBIAN_PYTHON, "-m", "bench.line_mininet"),
    ),
}


def run(rounds: int) -> Section:
    """Measure; a contender that fails, or whose network carries no ping, is told as such."""
    missing = why_no_mininet()
    contenders = (FLOOR, OURS) if missing else (FLOOR, OURS, MININET)
    pairs = [(contender, size) for size in SIZES for contender in contenders]
    results, trouble = measure(
        _one_run, [*pairs, (OURS, BIG)], rounds, runs_in_a_round={_SMALL: _SMALL_RUNS}
    )
    skipped = [f"{MININET}: {missing}"] if missing else []
    section = judge(results, [*skipped, *trouble])
    return replace(section, data=section.data | {"error": trouble}) if trouble else section


def judge(results: Results, skipped: Sequence[str] = ()) -> Section:
    """The figures as a table and against the targets; pure."""
    table = [("routers", "", "up, ms", "up, floor = 1", "down, ms", "processes while idle")]
    data: dict[str, object] = {}
    for (contender, size), measured in results.items():
        floor = results.get((FLOOR, size))
        against = ratio(measured.up, floor.up) if floor else None
        up, down = measured.up.scaled(1000), measured.down.scaled(1000)
        shown = "" if against is None else "1" if contender == FLOOR else times(against)
        row = (str(size), contender, with_spread(up), shown, with_spread(down))
        table.append((*row, str(measured.processes)))
        data[f"{contender} {size}"] = {
            "up_s": sample_json(measured.up),
            "down_s": sample_json(measured.down),
            "processes": measured.processes,
            **({} if against is None else {"up_floor_ratio": ratio_json(against)}),
        }
    return Section(
        title="A line of routers with static routes",
        about=_ABOUT,
        table=tuple(table),
        targets=tuple(_targets(results)),
        notes=(_NOTE,),
        skipped=tuple(skipped),
        data=data,
    )


def _targets(results: Results) -> Iterator[Target]:
    ours, floor, mininet = (
        {size: found for (who, size), found in results.items() if who == contender}
        for contender in (OURS, FLOOR, MININET)
    )
    for size in SIZES:
        what = f"{size} routers up in at most {_FLOOR_FACTOR:g} times the floor"
        if size in ours and size in floor:
            value = ratio(ours[size].up, floor[size].up)
            yield Target(what, _times(value), value.value <= _FLOOR_FACTOR)
        else:
            yield Target(what, _FAILED, met=False)
    if _COMPARED in ours and _COMPARED in mininet:
        value = ratio(mininet[_COMPARED].up, ours[_COMPARED].up)
        what = f"{_COMPARED} routers up at least {_MININET_FACTOR:g} times faster than Mininet"
        yield Target(what, _times(value), value.value >= _MININET_FACTOR)
    what = f"down returns in less than {_DOWN_SECONDS * 1000:g} ms at {_COMPARED} routers"
    if _COMPARED in ours:
        down = ours[_COMPARED].down.median
        yield Target(what, f"{digits(down * 1000)} ms", down < _DOWN_SECONDS)
    else:
        yield Target(what, _FAILED, met=False)
    shown = f"in {digits(ours[BIG].up.median)} s, and carry pings" if BIG in ours else _FAILED
    yield Target(f"{BIG} routers come up", shown, BIG in ours)
    idle = max((measured.processes for measured in ours.values()), default=0)
    yield Target("no process for an idle node", str(idle), idle == 0 and bool(ours))


def _times(value: Ratio) -> str:
    return f"{digits(value.value)} times"


def _one_run(contender: str, size: int) -> Report:
    if contender == OURS:
        return run_ours(NETNS, size, _LONGEST_RUN)
    command = (*COMMANDS[contender], str(size))
    return run_contender(command, f"{contender} with {size} routers", _LONGEST_RUN)


def why_no_mininet() -> str | None:
    """The reason why Mininet cannot run here, or None."""
    if os.geteuid() != 0:
        return "it needs root"
    try:
        result = subprocess.run(
            (_DEBIAN_PYTHON, "-c", "import mininet.net"), check=False, capture_output=True
        )
    except OSError as error:
        return f"{_DEBIAN_PYTHON}: {error.strerror}"
    return None if result.returncode == 0 else "the package mininet is not installed"


_FAILED = "failed, see above"

_ABOUT = """\
Every contender builds the same network, in a process of its own for each run, in turns: N
namespaces in a line, a /30 on each cable, IPv4 forwarding, two static routes in each router; and
each is checked with pings from end to end, outside the measured time. The floor is that network by
hand-packed netlink messages in one process, and nothing else. Ours is `Lab.up` from a built
`Topology` to its return, and `Lab.down`: plan, a supervisor in namespaces of its own, run folder
and event log, further settings (IPv6, whole checksums, fixed MACs), and the proof that every cable
carries packets. Imports are not counted for anybody. Median (smallest-largest); a ratio's spread
is that of single rounds."""

_NOTE = """\
*down* is the time until the call returns; the kernel frees the namespaces in the background, for
every contender. The smallest line is built three times in each round. Processes are counted besides
the one that owns the network (ours has a supervisor for the whole lab, and none for a node).
Mininet runs in network, mount and process namespaces of its own, without switches and controller,
each node's settings and routes in one command. A line of 1000 is crossed in stages, since a packet
lives for 255 hops; and after its ping a stage's cables are cut, since all namespaces of a machine
share one neighbour table of 1024 entries."""
