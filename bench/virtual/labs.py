"""The labs whose hours are measured, with what goes on in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from testbed.errors import TestbedError
from testbed.events import ChildSaEstablished
from testbed.lab import Lab
from testbed.lab_command import RunningCommand
from testbed.model import Builder, Topology
from testbed.model.discover import find_topology

Finish = Callable[[], dict[str, Any]]
"""Ends the traffic; says what became of it."""


@dataclass(frozen=True, slots=True)
class MeasuredLab:
    """A lab: ``begin`` starts what goes on in it (ended with the stack at the latest)."""

    title: str
    topology: Callable[[], Topology]
    begin: Callable[[Lab, ExitStack], Finish]


def _idle_topology() -> Topology:
    lab = Builder("idle", "Two hosts behind a router, doing nothing")
    lab.host("alice", routes=["default via 192.0.2.1"])
    lab.router("router")
    lab.host("bob", routes=["default via 198.51.100.1"])
    lab.link("left", "alice:eth0 192.0.2.2/24", "router:left 192.0.2.1/24")
    lab.link("right", "bob:eth0 198.51.100.2/24", "router:right 198.51.100.1/24")
    return lab.build()


def _nothing(_lab: Lab, _stack: ExitStack) -> Finish:
    return dict


def _ping(node: str, target: str) -> Callable[[Lab, ExitStack], Finish]:
    def begin(lab: Lab, stack: ExitStack) -> Finish:
        ping = stack.enter_context(lab.start(node, ["ping", "-q", "-i", "60", target]))
        return lambda: _pinged(ping)

    return begin


def _pinged(ping: RunningCommand) -> dict[str, Any]:
    """Pings sent and answered.

    Raises:
        TestbedError: one was not (but for the last, whose answer may be on its way).
    """
    ping.send_signal(2)
    said = ping.wait(10).stdout
    numbers = re.search(r"(\d+) packets transmitted, (\d+) received", said)
    if numbers is None or int(numbers[2]) < int(numbers[1]) - 1 or int(numbers[1]) == 0:
        raise TestbedError(f"pings were lost: {said}")
    return {"sent": int(numbers[1]), "answered": int(numbers[2])}


def _tunnel(lab: Lab, stack: ExitStack) -> Finish:
    """A ping a minute through the tunnel, once both ends say that it stands."""

    def stands(records: list[Any]) -> bool:
        told = {one.node for one in records if isinstance(one.event, ChildSaEstablished)}
        return told >= {"rtx", "azure"}

    lab.wait_for(stands, "the tunnel to be up at both ends", timeout=120)
    finish = _ping("pc", "10.1.0.4")(lab, stack)

    def end() -> dict[str, Any]:
        sas = sum(isinstance(one.event, ChildSaEstablished) for one in lab.events())
        return {**finish(), "child_sas": sas}

    return end


LABS = {
    "idle": MeasuredLab("an idle lab: a router, two hosts", _idle_topology, _nothing),
    "v6plus": MeasuredLab(
        "v6plus, a ping a minute through MAP-E",
        lambda: find_topology("v6plus"),
        _ping("pc-a1", "203.0.113.80"),
    ),
    "azure_rekey": MeasuredLab(
        "azure_rekey: two charons, a ping a minute through the tunnel",
        lambda: find_topology("azure_rekey"),
        _tunnel,
    ),
}
