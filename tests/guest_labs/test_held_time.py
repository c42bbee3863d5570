"""A virtual clock waits for its user: it moves as far as a request needs, and then stands still."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from testbed.evidence.pcapng_reader import PcapngReader
from testbed.lab import Lab
from tests.cli.conftest import Terminal, command, read_until
from tests.guest_labs.conftest import call, clock_of
from tests.waiting import wait_until

HOUR_NS = 3600 * 10**9
MOMENT_NS = 10**6
"""More than a few requests may take, and less than anything waits for."""


def now_ns(lab: Lab) -> int:
    now = clock_of(lab)["now_ns"]
    assert isinstance(now, int)
    return now


def test_time_stands_still_while_nobody_asks(held: Lab) -> None:
    before = clock_of(held)
    assert (before["virtual"], before["held"], before["speed"]) == (True, True, None)
    time.sleep(0.5)  # an idle guest whose clock is not held gets through hours in this time
    assert now_ns(held) - before["now_ns"] < MOMENT_NS


def test_a_command_gets_the_time_it_waits_for(held: Lab) -> None:
    before = now_ns(held)
    ran = call("exec", held.name, "alice", "--", "sleep", "3600")
    assert ran.returncode == 0, ran.stderr
    assert HOUR_NS <= now_ns(held) - before < HOUR_NS + MOMENT_NS


def test_a_command_that_only_computes_gets_none(held: Lab) -> None:
    before = now_ns(held)
    ran = call("exec", held.name, "alice", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "out\n", "err\n")
    assert now_ns(held) - before < MOMENT_NS


def test_waiting_for_input_takes_no_time(held: Lab) -> None:
    before = now_ns(held)
    with subprocess.Popen(
        command("exec", held.name, "alice", "--", "sh", "-c", "echo ready; cat"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        read_until(process.stdout, b"ready\n")
        time.sleep(0.5)  # so long somebody thinks, and time must not pass; see above
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"late\n")
        process.stdin.close()
        assert process.stdout.read() == b"late\n"
    # For up to two more (see the sizes of slices), it is not known what the program waits for.
    assert now_ns(held) - before < 100 * MOMENT_NS


def test_input_that_is_not_read_is_left_to_others(held: Lab) -> None:
    """As in a loop of the shell that reads lines and runs a command for each."""
    script = (
        f"printf 'one\\ntwo\\n' | while read word; do {' '.join(command('exec', held.name))} "
        "alice -- echo got $word; done"
    )
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert ran.stdout == "got one\ngot two\n", ran.stderr


def test_much_input_and_output_comes_through_whole(held: Lab) -> None:
    text = "".join(f"{number}\n" for number in range(100_000))
    ran = call("exec", held.name, "alice", "--", "tac", stdin=text)
    assert ran.stdout == "".join(f"{number}\n" for number in reversed(range(100_000)))


def test_time_waits_for_a_reader_that_does_not_read(held: Lab) -> None:
    script = "while :; do sleep 1; seq 20000; done"
    with subprocess.Popen(
        command("exec", held.name, "alice", "--", "sh", "-c", script), stdout=subprocess.PIPE
    ) as process:
        read_until(process.stdout, b"20000\n")
        shown = [-1, now_ns(held)]

        def stands() -> bool:
            shown.append(now_ns(held))
            return shown[-1] - shown[-2] < MOMENT_NS

        try:  # what is on its way fills the pipes first
            wait_until(stands, "time to stand still", timeout=60)
            assert process.poll() is None
        finally:
            process.terminate()


def test_clock_by_and_to_are_exact(held: Lab) -> None:
    before = now_ns(held)
    ran = call("clock", held.name, "--by", "2h 30min", "--json")
    answer = json.loads(ran.stdout)
    assert answer["arrived"] is True
    assert 0 <= answer["now_ns"] - before - 2.5 * HOUR_NS < MOMENT_NS
    ran = call("clock", held.name, "--to", "2017-07-17 09:56:52")
    assert ran.stdout.startswith(f"{held.name}: 2017-07-17 09:56:52, time held ("), ran.stderr
    date = call("exec", held.name, "alice", "--", "date", "-u", "+%F %T")
    assert date.stdout == "2017-07-17 09:56:52\n"
    ran = call("clock", held.name, "--to", "36h", "--json")
    state = json.loads(ran.stdout)
    up = datetime.fromtimestamp(state["up_ns"] // 10**9, UTC)
    assert (datetime.fromisoformat(state["now"]) - up).total_seconds() // 3600 == 36


def test_ctrl_c_stops_a_long_way_where_it_is(held: Lab, terminal: Callable[..., Terminal]) -> None:
    before = now_ns(held)
    screen = terminal("clock", held.name, "--by", "30000 d")
    screen.expect("Ctrl-C stops here")
    screen.type("\x03")
    assert screen.wait() == 130
    assert "time held" in screen.seen and "stopped on the way" in screen.seen
    stopped = clock_of(held)
    assert stopped["held"]
    assert before < stopped["now_ns"] < before + 30_000 * 24 * HOUR_NS
    assert now_ns(held) - stopped["now_ns"] < MOMENT_NS


def test_running_time_keeps_pace_and_can_be_held(held: Lab) -> None:
    began, before = time.monotonic(), now_ns(held)
    ran = call("clock", held.name, "--run", "--speed", "600")
    assert "time running, 600 times as fast as here" in ran.stdout
    call("exec", held.name, "alice", "--", "sleep", "120")
    took = time.monotonic() - began
    assert took >= 120 / 600
    ran = call("clock", held.name, "--hold", "--json")
    state = json.loads(ran.stdout)
    assert state["held"]
    passed = (state["now_ns"] - before) / 1e9
    # It is never ahead of the wall clock (but for one step), and not held when it should run.
    assert 120 <= passed <= 600 * (time.monotonic() - began) + 600 * 0.02
    assert now_ns(held) - state["now_ns"] < MOMENT_NS


def test_hold_stops_the_way_of_others(held: Lab) -> None:
    with subprocess.Popen(
        command("clock", held.name, "--by", "30000 d"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            wait_until(lambda: not clock_of(held)["held"], "time to move")
            call("clock", held.name, "--hold")
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 1
    assert b"stopped on the way by testbed clock --hold" in errors


def test_what_cannot_be_asked_of_a_clock(held: Lab, refused: Callable[..., str]) -> None:
    clock = ("clock", held.name)
    call(*clock, "--by", "1s")
    past = refused(*clock, "--to", "2017-07-16 00:00")
    assert "ago, and time does not run backwards" in past and "--start" in past
    assert "is no moment" in refused(*clock, "--to", "tomorrow")
    assert "no duration" in refused(*clock, "--by", "6")
    assert "no duration" in refused(*clock, "--by", "-6h")
    assert "only one of" in refused(*clock, "--by", "6h", "--hold")
    assert "goes with --run" in refused(*clock, "--speed", "6")


def test_capture_for_an_hour_of_the_labs_time(held: Lab, tmp_path: Path) -> None:
    file = tmp_path / "hour.pcapng"
    pings = subprocess.Popen(
        command(
            "exec", held.name, "alice", "--", "ping", "-q", "-c", "5", "-i", "600", "192.0.2.2"
        ),
        stdout=subprocess.DEVNULL,
    )
    with pings:
        ran = call("capture", held.name, "bob:eth0", "-w", file, "--seconds", "9000")
    assert ran.returncode == 0, ran.stderr
    with file.open("rb") as packets:
        times = [packet.time_ns or 0 for packet in PcapngReader(packets)]
    assert len(times) >= 8, "request and reply of four pings at least"
    assert times[-1] - times[0] >= 1800 * 10**9


def test_capture_shows_packets_while_time_is_held_again(held: Lab) -> None:
    with subprocess.Popen(
        command("capture", held.name, "bob:eth0"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        read_until(process.stderr, b"Ctrl-C ends it\n")
        call("exec", held.name, "alice", "--", "ping", "-c", "1", "192.0.2.2")
        read_until(process.stdout, b"ICMP echo reply")
        process.send_signal(2)
        assert process.wait(30) == 0


def test_a_python_program_uses_it_as_any_lab(held: Lab) -> None:
    lab = Lab.connect(held.name)
    assert lab.run("alice", ["ping", "-c", "1", "192.0.2.2"]).ok
    with lab.capture("bob:eth0", file="mine.pcapng") as capture:
        lab.run("alice", ["ping", "-c", "2", "192.0.2.2"], check=True)
    assert capture.packets == 4
    with (held.run_folder / "captures" / "mine.pcapng").open("rb") as packets:
        assert len(list(PcapngReader(packets))) == 4
    lab.put("alice", "/srv/note", "kept")
    assert lab.get("alice", "/srv/note") == "kept"
    kinds = {record.event.kind for record in lab.events()}
    assert {"lab-up", "command-started", "capture-stopped"} <= kinds
    lab.cut("cable")
    assert not lab.run("alice", ["ping", "-c", "1", "-W", "1", "192.0.2.2"]).ok
    lab.restore("cable")
    assert lab.run("alice", ["ping", "-c", "1", "192.0.2.2"]).ok


def test_list_and_status_tell_of_the_guest(held: Lab) -> None:
    listed = call("list")
    assert f"{held.name} is in a guest, at 2017-" in listed.stdout
    state = json.loads(call("status", held.name, "--json").stdout)
    assert state["kernel"] == "guest"
    assert state["guest"]["seed"] == 1
    assert state["run_folder"] == str(held.run_folder)
    shown = call("status", held.name).stdout
    assert "seed 1" in shown and "time held" in shown
