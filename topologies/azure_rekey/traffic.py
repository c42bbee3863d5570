"""The traffic through the tunnel, from branch to VNet: a ping a minute, a trickle of TCP."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from testbed.events import Probes
from testbed.lab import Lab
from testbed.lab_command import RunningCommand
from topologies.azure_rekey.topology import PORT, VM

PING_S = 60
TRICKLE_S = 300
PING = "ping branch to vm"
TRICKLE = "TCP branch to vm"
_PING_LOG, _TRICKLE_LOG, _PROGRAM = "/run/ping.log", "/run/trickle.log", "/run/trickle.py"
_HOUR_NS = 3600 * 10**9
_PATIENCE_S = 30.0

_ANSWERED = re.compile(r"\[(\d+)\.(\d+)\] \d+ bytes from .* icmp_seq=(\d+) .* time=([\d.]+) ms")
_SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) received")


@dataclass(frozen=True, slots=True)
class Probe:
    """A question that was answered."""

    number: int
    answered_ns: int
    round_trip_s: float


@dataclass(frozen=True, slots=True)
class Stream:
    """All of one stream; ``sent`` is what the sender says it sent.

    ``lost_ns`` is when unanswered questions were sent, if the sender tells; ``trouble`` how the
    sender ended, if it did not go on until it was stopped.
    """

    name: str
    every_s: int
    sent: int
    answered: tuple[Probe, ...]
    lost_ns: tuple[int, ...] = ()
    trouble: str | None = None


class Traffic:
    """Ping and trickle while they run."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        program = Path(__file__).with_name("trickle.py").read_text(encoding="utf-8")
        lab.put("pc", _PROGRAM, program)
        self._ping = _to_file(lab, f"exec ping -D -i {PING_S} {VM}", _PING_LOG)
        self._trickle = lab.start(
            "pc", [sys.executable, _PROGRAM, "ask", VM, str(PORT), str(TRICKLE_S), _TRICKLE_LOG]
        )

    def end(self) -> tuple[Stream, Stream]:
        """Stop both; what became of them."""
        self._ping.send_signal(signal.SIGINT)
        self._ping.wait(_PATIENCE_S)
        trouble = _how_it_ended(self._trickle)
        return (
            read_ping(self._lab.get("pc", _PING_LOG)),
            replace(read_trickle(self._lab.get("pc", _TRICKLE_LOG)), trouble=trouble),
        )


def read_ping(text: str) -> Stream:
    """What ``ping -D`` wrote.

    Raises:
        ValueError: its last words are missing, so it is not known how many it sent.
    """
    summary = _SUMMARY.search(text)
    if summary is None:
        raise ValueError("ping did not say how many it sent")
    answered = tuple(
        Probe(int(number), int(seconds) * 10**9 + int(f"{part:0<9}"), float(milliseconds) / 1000)
        for seconds, part, number, milliseconds in _ANSWERED.findall(text)
    )
    return Stream(PING, PING_S, int(summary[1]), answered)


def read_trickle(text: str) -> Stream:
    """What ``trickle.py ask`` wrote of each question: that it was sent, that it was answered."""
    sent: dict[int, int] = {}
    answered: list[Probe] = []
    for line in text.splitlines():
        number, start, *end = (int(word) for word in line.split())
        sent[number] = start
        answered += [Probe(number, when, (when - start) / 1e9) for when in end]
    lost = sent.keys() - {probe.number for probe in answered}
    return Stream(
        TRICKLE,
        TRICKLE_S,
        len(sent),
        tuple(answered),
        tuple(sent[number] for number in sorted(lost)),
    )


def probes(
    stream: Stream, lost_ns: Sequence[int], began_ns: int, ended_ns: int
) -> Iterator[tuple[int, Probes]]:
    """The stream hour by hour as events, each with its time.

    ``lost_ns`` is when the questions that were not answered were sent.
    """
    for since in range(began_ns, ended_ns, _HOUR_NS):
        until = min(since + _HOUR_NS, ended_ns)
        here = [probe for probe in stream.answered if since <= probe.answered_ns < until]
        lost = tuple(time_ns for time_ns in lost_ns if since <= time_ns < until)
        slowest = max((probe.round_trip_s for probe in here), default=None)
        event = Probes(stream.name, since, len(here) + len(lost), len(here), lost, slowest)
        yield until, event


def _how_it_ended(command: RunningCommand) -> str | None:
    """Stop it; in words if it had ended before, or did not end as asked."""
    command.output_so_far()  # takes in the news of its end
    early = command.status is not None
    result = command.stop()
    if not early and result.ok:
        return None
    *_, words = ["without a word", *result.stderr.split("\n\n")[-1].strip().splitlines()]
    when = "before it was stopped" if early else "when it was stopped"
    return f"it ended {when}, with status {result.status}: {words}"


def _to_file(lab: Lab, command: str, file: str) -> RunningCommand:
    # Not by a pipe: nobody would empty it for days.
    return lab.start("pc", ["sh", "-c", f"{command} > {file}"])
