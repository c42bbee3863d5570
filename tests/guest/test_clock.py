"""Virtual time: exact, fast, and a function of the seed; real time: real."""

from __future__ import annotations

import re
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from testbed.guest.job import RUN_FOLDER
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.machine import Machine, VirtualClock
from tests.guest.running import run

START = datetime(2017, 7, 16, 9, 56, 52, tzinfo=UTC)
VIRTUAL = Machine(clock=VirtualClock(START), seed=1)


def test_an_hour_of_sleep_takes_an_hour_of_virtual_time(
    kernel: GuestKernel, tmp_path: Path
) -> None:
    said = run(kernel, tmp_path, "date -u +%s.%N; sleep 3600; date -u +%s.%N", VIRTUAL)
    before, after = (float(line) for line in said.output.split())
    assert START.timestamp() <= before < START.timestamp() + 0.1
    assert 3600 <= after - before < 3600.01
    assert said.result.wall_s < 360, "or it was not virtual"


def test_real_time_is_real(kernel: GuestKernel, tmp_path: Path) -> None:
    said = run(kernel, tmp_path, "date +%s; sleep 0.5; date +%s")
    first, last = (int(line) for line in said.output.split())
    now = datetime.now(UTC).timestamp()
    assert now - 60 < first <= last <= now + 1
    assert said.result.wall_s - said.result.started_s > 0.5


_TWO_HOSTS = """
    ip netns add a; ip netns add b
    ip link add x netns a type veth peer name x netns b
    for host in a b; do
        ip -n $host address add 192.0.2.$([ $host = a ] && echo 1 || echo 2)/24 dev x
        ip -n $host link set x up
    done
    ping() { ip netns exec a ping "$@" 192.0.2.2; }
    ping -q -c 1 > /dev/null  # the neighbours know each other
"""


def script(text: str) -> str:
    return textwrap.dedent(_TWO_HOSTS) + textwrap.dedent(text)


@pytest.mark.parametrize("delay_ms", [100, 8, 0.5])
def test_netem_delays_are_exact(kernel: GuestKernel, tmp_path: Path, delay_ms: float) -> None:
    """Pings go every two seconds and come back as late as asked for, to the microsecond.

    (Reading the clock takes 256 ns of virtual time.)
    """
    text = f"tc -n a qdisc add dev x root netem delay {delay_ms}ms; ping -c 5 -i 2"
    said = run(kernel, tmp_path, script(text), VIRTUAL)
    (summary,) = re.findall(r"rtt min/avg/max/mdev = ([\d.]+)/([\d.]+)/([\d.]+)/", said.output)
    assert [float(word) for word in summary] == pytest.approx([delay_ms] * 3, abs=0.0011)
    (whole,) = re.findall(r"0% packet loss, time (\d+)ms", said.output)
    assert 8000 <= int(whole) < 9000, "the timer wheel rounds up, by an eighth at most"


def test_a_thread_that_polls_without_end_does_not_stop_the_clock(
    kernel: GuestKernel, tmp_path: Path
) -> None:
    """System calls that succeed at once, for ever, and never a look at the clock."""
    program = """
        import os, select, threading, time
        reader, writer = os.pipe()
        os.write(writer, b"x")
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        def spin():
            while True:
                poll.poll()  # without a timeout Python does not ask for the time
        threading.Thread(target=spin, daemon=True).start()
        time.sleep(0.05)
        print("on time", flush=True)
        os._exit(0)
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    said = run(kernel, tmp_path, f"timeout 60 python3 {RUN_FOLDER}/program.py", VIRTUAL)
    assert said.output == "on time\n"


_DRAW = "head -c 32 /dev/urandom | xxd -p; python3 -c 'print(hash(\"x\"), id(object()))'"


def test_the_same_seed_draws_the_same(kernel: GuestKernel, tmp_path: Path) -> None:
    def draw(number: int, seed: int | None) -> str:
        machine = Machine(clock=VirtualClock(START), seed=seed)
        return run(kernel, tmp_path / str(number), _DRAW, machine).output

    first, again, other = draw(1, 5), draw(2, 5), draw(3, 6)
    assert first == again
    assert first != other
    assert draw(4, None) != draw(5, None), "without a seed it is the host's randomness"


def test_a_run_repeats_to_the_byte(kernel: GuestKernel, tmp_path: Path) -> None:
    """Pings, TCP with its random numbers and ports, and what was captured of them."""
    text = f"""
        ip netns exec b tcpdump -i x -U -w {RUN_FOLDER}/capture.pcap 2> /dev/null &
        sleep 1
        ip netns exec b python3 -m http.server 80 > /dev/null 2>&1 &
        sleep 1
        for i in 1 2 3; do
            ping -q -c 2 > /dev/null
            ip netns exec a curl -s -o /dev/null http://192.0.2.2/etc/hostname
            sleep 600
        done
    """

    def capture(name: str, seed: int) -> bytes:
        machine = Machine(clock=VirtualClock(START), seed=seed)
        run(kernel, tmp_path / name, script(text), machine)
        return (tmp_path / name / "capture.pcap").read_bytes()

    first = capture("a", 1)
    assert len(first) > 3000
    assert first == capture("a-longer-name", 1)
    assert first != capture("b", 2)
