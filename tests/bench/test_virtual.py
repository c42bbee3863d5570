"""Hours of virtual time: what is judged, what is counted, and that a run is what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import icount, record, virtual_time
from bench.__main__ import Benchmark, main
from bench.section import Section, markdown, section_json, section_markdown
from bench.virtual import runs
from bench.virtual.labs import LABS
from bench.virtual.runs import Run
from bench.virtual.wakeups import count
from testbed.guest.kernel_cache import GuestKernel
from tests.guest.conftest import kernel as kernel  # noqa: PLC0414  # fixtures are found by name

_WAKEUPS = {"timer": {"often": 200, "seldom": 2}, "process": {"charon-systemd": 50}}


def one(hours: float, whole: float) -> Run:
    """A run of which a fifth is boot, a fifth bringing up, and half the hours."""
    fifth = whole / 5
    return Run(
        hours, fifth, 2 * fifth, 2 * fifth + whole / 2, whole, whole, whole / 2, {}, _WAKEUPS
    )


@pytest.mark.parametrize(("whole", "met"), [(30.0, True), (30.1, False)])
def test_two_charons_for_two_days_are_judged_from_boot_to_end(whole: float, met: bool) -> None:
    found = {name: [one(hours, whole)] * 3 for name, hours in virtual_time.HOURS.items()}
    counted = {name: one(2, 5) for name in virtual_time.HOURS}
    section = virtual_time.judge(found, counted)
    assert [target.met for target in section.targets] == [met]
    text = markdown("x", [], [section])
    assert "20% is boot" in text
    assert "timer: 101 (often 100, seldom 1.00)" in text
    data = json.loads(json.dumps(section_json(section)))
    assert data["azure_rekey"]["s_per_day"]["median"] == pytest.approx(whole / 4)
    assert data["v6plus"]["s_per_day"]["median"] == pytest.approx(whole / 2)
    assert data["wakeups per hour"]["idle"]["process"] == {"charon-systemd": 25.0}


def test_qemu_is_told_in_units_of_ours() -> None:
    ours = {name: [one(hours, 10), one(hours, 12)] for name, hours in icount.HOURS.items()}
    theirs = {name: [one(hours, 100), one(hours, 60)] for name, hours in icount.HOURS.items()}
    section = icount.judge(ours, theirs, "6.1.0")
    text = markdown("x", [], [section])
    assert "7.27 (5.00-10.0)" in text
    assert json.loads(json.dumps(section_json(section)))["qemu's kernel"] == "6.1.0"


_TRACE = """\
# tracer: nop
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
          <idle>-0       [000] dnh..   604.040000: sched_wakeup: comm=charon-systemd pid=29 prio=120
          <idle>-0       [000] d....   604.040000: sched_switch: prev_comm=swapper prev_pid=0 \
prev_prio=120 prev_state=R ==> next_comm=kworker/0:1 next_pid=17 next_prio=120
     kworker/0:1-17      [000] d....   604.040000: sched_switch: prev_comm=kworker/0:1 prev_pid=17 \
prev_prio=120 prev_state=I ==> next_comm=swapper next_pid=0 next_prio=120
          <idle>-0       [000] ..s..   605.000000: timer_expire_entry: timer=000000006121 \
function=delayed_work_timer_fn now=4294937800 baseclk=4294937800
          <idle>-0       [000] d.h..   605.000000: hrtimer_expire_entry: hrtimer=00000000 \
function=tick_nohz_handler now=605000000000
     kworker/0:1-17      [000] .....   605.000000: workqueue_execute_start: work struct 00000000: \
function neigh_periodic_work
     kworker/0:1-17      [000] .....   606.000000: workqueue_execute_start: work struct 00000000: \
function neigh_periodic_work
"""


def test_a_trace_is_counted_without_the_idle_task() -> None:
    assert count(_TRACE.splitlines()) == {
        "timer": {"delayed_work_timer_fn": 1},
        "precise timer": {"tick_nohz_handler": 1},
        "work": {"neigh_periodic_work": 2},
        "process": {"kworker/0:1": 1},
    }


def test_an_hour_of_an_idle_lab_is_measured_in_a_guest(kernel: GuestKernel) -> None:
    done = runs.run("idle", 1, wakeups=True)
    assert 0 < done.booted < done.up < done.over < done.ended
    assert 0 < done.cpu_hours < done.cpu
    assert done.wakeups["precise timer"]["timerfd_tmrproc"] == 1, "the hour's end"
    processes = done.wakeups["process"]
    assert processes.get("testbed-lab", 0) <= 2, "a lab where nothing happens does nothing"
    assert processes.get("python", 0) <= 4


def test_a_lab_that_fails_in_the_guest_is_told(kernel: GuestKernel) -> None:
    with pytest.raises(
        runs.VirtualRunError, match=r"(?s)never said 'done'.*KeyError: 'no such lab'"
    ):
        runs.run("no such lab", 1)


def test_every_measured_lab_is_a_valid_topology() -> None:
    assert set(virtual_time.HOURS) <= set(LABS)
    assert {lab.topology().name for lab in LABS.values()} == {"idle", "v6plus", "azure-rekey"}


_OLD = "# Figures\n\nHead.\n\n## A\n\nold a\n\n## B\n\nold b\n\n- note\n"


def test_recording_replaces_a_section_and_keeps_the_others() -> None:
    new = section_markdown(Section("A", "new a"), "alone")
    assert record.replace_sections(_OLD, {"A": new}) == (
        "# Figures\n\nHead.\n\n## A\n\nalone\n\nnew a\n\n## B\n\nold b\n\n- note\n"
    )
    added = record.replace_sections(_OLD, {"C": "## C\n\nc"})
    assert added == _OLD + "\n## C\n\nc\n"
    assert record.replace_sections(added, {}) == added
    assert record.sections_of(added, ["C", "D"]) == {"C": "## C\n\nc\n"}


def test_whole_runs_keep_what_is_run_only_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def benchmark(title: str) -> Callable[[int], Section]:
        return lambda rounds: Section(title, f"{rounds} rounds", data={"rounds": rounds})

    monkeypatch.setattr(
        "bench.__main__.BENCHMARKS",
        {
            "usual": Benchmark("Usual", benchmark("Usual"), root=False),
            "asked": Benchmark("Asked", benchmark("Asked"), root=False, asked=True),
        },
    )
    report, results = tmp_path / "RESULTS.md", tmp_path / "results.json"
    report.write_text("# Figures\n\nold\n")
    results.write_text('{"benchmarks": {}}')
    monkeypatch.setattr("bench.__main__._REPORT", report)
    monkeypatch.setattr("bench.__main__._RESULTS", results)

    def bench(*words: str) -> dict[str, dict[str, object]]:
        monkeypatch.setattr("sys.argv", ["bench", *words])
        assert main() == 0
        found = json.loads(results.read_text())["benchmarks"]
        assert isinstance(found, dict)
        return found

    assert list(bench("--rounds", "1")) == ["usual"]
    assert bench("--only", "asked", "--rounds", "2", "--record")["asked"]["rounds"] == 2
    bench("--only", "asked", "--rounds", "7")
    found = bench("--rounds", "3")
    assert (found["usual"]["rounds"], found["asked"]["rounds"]) == (3, 2)
    text = report.read_text()
    assert "## Usual\n\n3 rounds" in text
    assert "2 rounds\n" in text.partition("## Asked\n")[2]
    assert "7 rounds" not in text
