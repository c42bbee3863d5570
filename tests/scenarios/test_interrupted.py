"""Guests that do not end after Ctrl-C are ended when patience is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from testbed.guest.job import Job
from testbed.guest.link import Kind
from testbed.guest.machine import Machine
from testbed.scenarios import sharing
from testbed.scenarios.guests import Ended, GuestTeam, Said, Task
from testbed.scenarios.part_run import PartRun

_TASK = Task("deaf", Job(("true",)), Path(), Machine())


class _Team:
    """A guest that says one thing and then nothing, until it is killed."""

    def __init__(self) -> None:
        self.killed = 0
        self.looks = 0

    def news(self, look_every_s: float | None = None) -> Iterator[Said | Ended | None]:
        yield Said(_TASK, Kind.OUTPUT, b"one thing")
        while not self.killed:
            assert look_every_s is not None, "nobody would ever look at the clock"
            assert self.looks < 1000, "patience has no end"
            self.looks += 1
            yield None
        yield Ended(_TASK)

    def kill(self) -> None:
        self.killed += 1


class _Run:
    def __init__(self) -> None:
        self.log: list[object] = []

    def take(self, said: Said) -> None:
        self.log.append(said.data)

    def end(self, ended: Ended, *, interrupted: bool = False) -> None:
        self.log.append((ended, interrupted))


def test_a_silent_guest_is_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    team, run, now = _Team(), _Run(), iter(range(10_000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(now)))
    sharing._drain(cast(GuestTeam, team), {"deaf": cast(PartRun, run)})
    assert run.log == [b"one thing", (Ended(_TASK), True)]
    assert team.killed
    assert 25 <= team.looks <= 35, "a second of this clock each"
