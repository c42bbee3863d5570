"""Side by side with what anyone could use today: qemu, which also skips idle time.

``qemu-system-x86_64 -icount shift=2,sleep=off`` counts instructions for a clock (4 ns each) and
jumps to the next timer when the guest is idle.  It has Debian's cloud kernel here, and the very
same labs and programs as our guest.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

import testbed
from bench.figures import Sample, ratio
from bench.section import Section, sample_json, times, with_spread
from bench.virtual.labs import LABS
from bench.virtual.qemu_image import Image, make_image
from bench.virtual.runs import Lines, Run, VirtualRunError, children_cpu_s, run, run_of
from testbed.replay.sources import Trees, take

TITLE = "Hours of virtual time, beside qemu -icount"

HOURS = {"idle": 24.0, "azure_rekey": 24.0}
QEMU_HOURS = 2.0
"""For ours; qemu gets fewer, or nobody would wait for it."""

_QEMU = "qemu-system-x86_64"
_LONGEST_S = 1800.0
_MACHINE = (
    *("-machine", "pc", "-accel", "tcg", "-cpu", "max", "-m", "1024"),
    *("-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"),
    *("-icount", "shift=2,sleep=off", "-rtc", "clock=vm,base=2025-01-01"),
)
_LINE = "console=ttyS0 quiet panic=-1 tsc=reliable nowatchdog"
"""Without the two kinds of watchdog, which would wake it twice a second."""

_US, _QEMU_NAME = "testbed's guest", "qemu -icount"


def measure(rounds: int) -> Section:
    """Measure; raises TestbedError where one of the two cannot run."""
    if shutil.which(_QEMU) is None:
        raise VirtualRunError(f"no {_QEMU} here", hint="apt-get install qemu-system-x86")
    ours: dict[str, list[Run]] = {name: [] for name in HOURS}
    theirs: dict[str, list[Run]] = {name: [] for name in HOURS}
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        root = Path(testbed.__file__).resolve().parents[1]
        sources = take(Trees(root, None, ("bench", "topologies")))
        image = make_image(folder, sources.folder / "code", [Path(yaml.__file__).parent])
        for _ in range(rounds):
            for name, hours in HOURS.items():
                ours[name].append(run(name, hours))
                theirs[name].append(run_in_qemu(image, name, QEMU_HOURS))
    finally:
        shutil.rmtree(folder)
    return judge(ours, theirs, image.release)


def judge(ours: dict[str, list[Run]], theirs: dict[str, list[Run]], release: str) -> Section:
    """The figures as a table; pure."""
    rows: list[tuple[str, ...]] = [
        ("", "", "boot, s", "lab up, s", "s/day", "CPU s/day", "ours = 1")
    ]
    data: dict[str, Any] = {"qemu's kernel": release}
    for name, title in ((name, LABS[name].title) for name in HOURS):
        costs = {who: _costs(found[name]) for who, found in ((_US, ours), (_QEMU_NAME, theirs))}
        for who, runs in ((_US, ours[name]), (_QEMU_NAME, theirs[name])):
            samples = {
                "boot_s": Sample.of([one.booted for one in runs]),
                "lab_up_s": Sample.of([one.up - one.booted for one in runs]),
                "s_per_day": Sample.of([one.seconds_per_day for one in runs]),
                "cpu_s_per_day": costs[who],
            }
            times_ours = "1" if who == _US else times(ratio(costs[who], costs[_US]))
            rows.append((title, who, *map(with_spread, samples.values()), times_ours))
            data[f"{name}, {who}"] = {key: sample_json(found) for key, found in samples.items()}
    hours = ", ".join(f"{name} {hours:g}" for name, hours in HOURS.items())
    return Section(
        title=TITLE,
        about=f"The same labs, programs and traffic in testbed's guest and in `{_QEMU} "
        f"{' '.join(_MACHINE[-4:])}` (TCG, one CPU, Debian's {release} with all it needs in an "
        f"initramfs), in turns; hours: {hours}, and {QEMU_HOURS:g} in qemu. Boot is until the "
        "command starts, *s/day* wall seconds for a virtual day of the lab, boot and bringing up "
        "apart; the ratio is one of CPU seconds, which a busy machine disturbs less. Median "
        "(smallest-largest). Run only when asked for: `python -m bench --only icount --record`.",
        table=tuple(rows),
        data=data,
    )


def _costs(runs: Sequence[Run]) -> Sample:
    return Sample.of([one.cpu_per_day for one in runs])


def run_in_qemu(image: Image, name: str, hours: float) -> Run:
    """The same as ``bench.virtual.runs.run``, in qemu.

    Raises:
        VirtualRunError: the lab failed in there, or took longer than anybody would wait.
    """
    line = f"{_LINE} bench={name},{hours:g}"
    command = (_QEMU, *_MACHINE, "-kernel", str(image.kernel), "-initrd", str(image.initramfs))
    before, began = children_cpu_s(), time.monotonic()
    with subprocess.Popen(
        [*command, "-append", line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        lines = Lines(began, process.pid)
        alarm = threading.Timer(_LONGEST_S, process.kill)
        alarm.start()
        try:
            for text in process.stdout:
                lines.take(text.strip())
        finally:
            alarm.cancel()
            process.kill()
    ended = time.monotonic() - began
    booted = lines.get("booted").seconds
    return run_of(lines, hours, booted, ended, children_cpu_s() - before)
