"""Faults by schedule: what they are, that they come, and that failures are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from testbed.errors import LabError, TestbedError
from testbed.events import FaultApplied, FaultFailed
from testbed.expect import between, event, eventually, never
from testbed.lab import Lab
from testbed.model import Builder, Impairment, Topology
from testbed.model.fault import Fault
from testbed.model.schedule import (
    At,
    Every,
    ScheduleError,
    at,
    cut,
    every,
    flush_addresses,
    impair,
    kill_service,
    reboot,
    restart_service,
    restore,
    set_addresses,
)
from testbed.moments import MomentError
from tests.lab.conftest import two_hosts

BringUp = Callable[[Topology], Lab]


def test_a_schedule_is_data() -> None:
    assert at("3h", cut("home"), restore("office")) == At(
        timedelta(hours=3), (Fault("cut", "home"), Fault("restore", "office"))
    )
    assert at(90, cut("home", "wan")).faults == (Fault("cut", "home:wan"),)
    assert at("09:56:52", reboot("ce")).when == "09:56:52"
    hour = timedelta(hours=1)
    assert every("1h", reboot("ce")) == Every(hour, (Fault("reboot", "ce"),), hour, None)
    assert every("1h", reboot("ce"), first="5min", times=3) == Every(
        hour, (Fault("reboot", "ce"),), timedelta(minutes=5), 3
    )
    bad = Impairment(loss=0.1)
    assert [
        impair("home", bad),
        flush_addresses("ce", "wan"),
        set_addresses("ce:wan", "192.0.2.7/24"),
        kill_service("ce", "map-ce"),
        restart_service("ce/map-ce"),
    ] == [
        Fault("impair", "home", impairment=bad),
        Fault("flush-addresses", "ce:wan"),
        Fault("set-addresses", "ce:wan", addresses=("192.0.2.7/24",)),
        Fault("kill-service", "ce/map-ce"),
        Fault("restart-service", "ce/map-ce"),
    ]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: at("3h"), "an entry without a fault"),
        (lambda: every("1h"), "an entry without a fault"),
        (lambda: every("0s", cut("home")), "no time passes"),
        (lambda: every("1h", cut("home"), times=0), "never"),
        (lambda: every("hourly", cut("home")), "is no duration"),
        (lambda: every("1h", cut("home"), first=-1), "does not run backwards"),
        (lambda: at(-5, cut("home")), "does not run backwards"),
    ],
)
def test_schedules_that_make_no_sense(make: Callable[[], object], why: str) -> None:
    with pytest.raises(TestbedError, match=why):
        make()


def test_faults_come_in_their_order_beside_the_scenario(up: BringUp) -> None:
    lab = up(two_hosts())
    began = lab.clock.now()
    with lab.schedule(
        at("200ms", cut("cable"), restore("cable")),
        every("40ms", impair("alice:eth0", Impairment(rate=10**6)), first="0s", times=3),
    ) as schedule:
        assert lab.run("alice", ["true"]).ok
        schedule.wait()
    faults = between(lab, began, "now", "fault-applied", count=5)
    kinds = [record.event.fault for record in faults if isinstance(record.event, FaultApplied)]
    assert kinds == ["impair"] * 3 + ["cut", "restore"]
    for record in faults:
        assert isinstance(record.event, FaultApplied)
        assert record.event.due_ns is not None
        assert record.time_ns >= record.event.due_ns, "never before their time"
    assert lab.run("alice", ["ping", "-c1", "-W5", "192.0.2.2"]).ok, "it was restored last"


def test_what_is_still_to_come_ends_with_the_block(up: BringUp) -> None:
    lab = up(two_hosts())
    with lab.schedule(every("20ms", flush_addresses("bob:eth0")), at("9h", cut("cable"))):
        eventually(lab, "fault-applied", within="10s", count=2)
    never(lab, "fault-applied", during="100ms")


def test_what_the_lab_does_not_have_is_told_before_anything_begins(up: BringUp) -> None:
    lab = up(two_hosts())
    with pytest.raises(ScheduleError) as caught:
        lab.schedule(
            at("1h", cut("cabel")),
            at("2h", kill_service("alice/web")),
            at("3h", impair("cable", Impairment(loss=7))),
        )
    for words in ("'cabel' is none (did you mean \"cable\"?)", "'alice/web' is none", "loss"):
        assert words in str(caught.value)
    with pytest.raises(ScheduleError, match=r"2017-07-16 09:56:52 was .* ago"):
        lab.schedule(at("2017-07-16 09:56:52", cut("cable")))
    with pytest.raises(MomentError, match="is no moment"):
        lab.schedule(at("soon", cut("cable")))
    assert not [one for one in lab.events() if isinstance(one.event, FaultApplied)]


def test_a_fault_that_fails_is_told_and_the_others_come(up: BringUp) -> None:
    """The names are right, but when it is due, somebody has taken the interface away."""
    drawing = Builder("three")
    for name in ("alice", "bob", "carol"):
        drawing.host(name)
    drawing.link("gone", "alice:eth0", "bob:eth0")
    drawing.link("stays", "alice:eth1", "carol:eth0")
    lab = up(drawing.build())
    lab.run("alice", ["ip", "link", "delete", "eth0"], check=True)

    schedule = lab.schedule(at("50ms", cut("gone")), at("100ms", cut("stays")))
    with pytest.raises(ScheduleError, match=r"cut gone, due .* No such device"):
        eventually(lab, event("fault-applied", target="stays"), within="20s", since="0s")
    with pytest.raises(ScheduleError, match="1 fault of the schedule failed"):
        schedule.wait()
    done = [one.event for one in lab.events() if isinstance(one.event, FaultApplied | FaultFailed)]
    assert [(type(one), one.target) for one in done] == [
        (FaultFailed, "gone"),
        (FaultApplied, "stays"),
    ]
    with (
        pytest.raises(ScheduleError, match="cut gone"),
        lab.schedule(at("0s", cut("gone"))),
    ):
        eventually(lab, "fault-failed", within="20s", since="0s", count=2)


def test_the_faults_of_a_topology_come_at_their_times(up: BringUp) -> None:
    topology = replace(two_hosts(), faults=(Fault("cut", "cable", at=0.1),))
    lab = up(topology)
    (found,) = [eventually(lab, "fault-applied", within="10s", since=lab.clock.origin)]
    assert isinstance(found.event, FaultApplied)
    assert found.event.due_ns is not None
    assert found.time_ns >= found.event.due_ns


def test_a_lab_knows_its_schedules_only(up: BringUp) -> None:
    lab = up(two_hosts())
    schedule = lab.schedule(at("1h", cut("cable")))
    Lab.connect(lab.name)
    schedule.cancel()
    schedule.cancel()
    schedule.wait()
    with pytest.raises(LabError, match="no schedule 99"):
        lab._ask({"do": "schedule", "action": "cancel", "number": 99})
