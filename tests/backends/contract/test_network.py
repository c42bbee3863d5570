"""Nodes reach each other, links limit and fail, and faults change that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import KernelError, LabError
from testbed.lab import Lab
from testbed.model import Builder, Impairment, Service, Topology
from testbed.supervisor.channel import running_labs
from tests.lab.conftest import two_hosts, unique
from tests.waiting import wait_until

Up = Callable[[Topology], Lab]


def test_hosts_reach_each_other_over_both_families(up: Up) -> None:
    lab = up(two_hosts())
    for address in ("192.0.2.2", "2001:db8::2"):
        assert lab.run("alice", ["ping", "-c1", "-W2", address]).ok


def test_a_router_forwards_and_its_absence_does_not(up: Up) -> None:
    lab = Builder("routed")
    lab.host("left", routes=["default via 192.0.2.1"])
    lab.router("middle")
    lab.host("right", routes=["default via 198.51.100.1"])
    lab.link("one", "left:eth0 192.0.2.9/24", "middle:a 192.0.2.1/24")
    lab.link("two", "right:eth0 198.51.100.9/24", "middle:b 198.51.100.1/24")
    running = up(lab.build())
    assert running.run("left", ["ping", "-c1", "-W2", "198.51.100.9"]).ok
    running.cut("two")
    assert not running.run("left", ["ping", "-c1", "-W1", "198.51.100.9"]).ok
    running.restore("two")
    assert running.run("left", ["ping", "-c1", "-W2", "198.51.100.9"]).ok


def _two_ways() -> Topology:
    """A router with a default route through one link and a route through the other."""
    lab = Builder("two-ways")
    lab.host("left", routes=["default via 192.0.2.1"])
    lab.router(
        "middle",
        routes=["default via 198.51.100.9", "203.0.113.0/24 via 192.0.2.9"],
        services=[Service("talker", ("sleep", "1000"))],
    )
    lab.host("right", routes=["default via 198.51.100.1"])
    lab.link("one", "left:eth0 192.0.2.9/24", "middle:a 192.0.2.1/24")
    lab.link("two", "right:eth0 198.51.100.9/24", "middle:b 198.51.100.1/24")
    return lab.build()


def test_links_come_back_in_any_order(up: Up) -> None:
    lab = up(_two_ways())
    planned = lab.run("middle", ["ip", "route"]).stdout
    lab.cut("one")
    lab.cut("two")
    lab.restore("two")
    assert not lab.run("left", ["ping", "-c1", "-W1", "198.51.100.9"]).ok
    lab.restore("one")
    assert lab.run("middle", ["ip", "route"]).stdout == planned
    assert lab.run("left", ["ping", "-c1", "-W2", "198.51.100.9"]).ok


def test_a_node_comes_back_from_a_reboot(up: Up) -> None:
    lab = up(_two_ways())
    planned = lab.run("middle", ["ip", "route"]).stdout
    lab.fault("reboot", "middle")
    assert lab.run("middle", ["ip", "route"]).stdout == planned
    assert lab.status()["services"]["middle/talker"] == "ready"
    assert lab.run("left", ["ping", "-c1", "-W2", "198.51.100.9"]).ok


def test_a_segment_and_a_switch_carry_frames_between_all_ends(up: Up) -> None:
    lab = Builder("lan")
    for number in range(1, 5):
        lab.host(f"h{number}")
    lab.switch("sw")
    lab.link("segment", *(f"h{number}:eth0 192.0.2.{number}/24" for number in range(1, 5)))
    lab.link("p1", "h1:eth1 198.51.100.1/24", "sw:p1")
    lab.link("p2", "h2:eth1 198.51.100.2/24", "sw:p2")
    running = up(lab.build())
    for target in ("192.0.2.2", "192.0.2.3", "192.0.2.4", "198.51.100.2"):
        assert running.run("h1", ["ping", "-c1", "-W2", target]).ok, target


def test_addresses_change_on_demand(up: Up) -> None:
    lab = up(two_hosts())
    lab.fault("set-addresses", "alice:eth0", addresses=["192.0.2.77/24", "2001:db8::77/64"])
    assert not lab.run("bob", ["ping", "-c1", "-W1", "192.0.2.1"]).ok
    assert lab.run("bob", ["ping", "-c1", "-W2", "192.0.2.77"]).ok
    assert lab.run("bob", ["ping", "-c1", "-W2", "2001:db8::77"]).ok


def test_an_unknown_fault_or_target_is_refused_with_the_choices(up: Up) -> None:
    lab = up(two_hosts())
    with pytest.raises(LabError, match="no link or interface 'rope'") as caught:
        lab.cut("rope")
    assert "cable" in str(caught.value.hint)
    with pytest.raises(LabError, match="no fault is called 'explode'"):
        lab.fault("explode", "cable")
    with pytest.raises(LabError, match="no service 'alice/web'"):
        lab.fault("kill-service", "alice/web")


def test_delay_without_netem_is_an_error_that_says_what_would_provide_it(
    tmp_path: Path, backend: str
) -> None:
    from testbed.kernel.probe import probe

    builder = Builder("slow")
    builder.host("a")
    builder.host("b")
    builder.link(
        "cable", "a:eth0 192.0.2.1/24", "b:eth0 192.0.2.2/24", impairment=Impairment(delay=0.05)
    )
    topology = builder.build()
    name = unique("slow")
    if probe()["netem"].present:
        with Lab.up(topology, name=name, run_folder=tmp_path / "slow", backend=backend) as lab:
            result = lab.run("a", ["ping", "-c1", "-W2", "192.0.2.2"], check=True)
            time = float(result.stdout.partition("time=")[2].split()[0])
            assert time > 100
        return
    with pytest.raises(KernelError, match="netem") as caught:
        Lab.up(topology, name=name, run_folder=tmp_path / "slow", backend=backend)
    assert "CONFIG_NET_SCH_NETEM" in str(caught.value.hint)
    wait_until(lambda: name not in running_labs(), "the half-built lab to end")


def test_a_rate_limit_is_in_force(up: Up) -> None:
    builder = Builder("rate")
    builder.host("a")
    builder.host("b")
    builder.link(
        "cable",
        "a:eth0 192.0.2.1/24",
        "b:eth0 192.0.2.2/24",
        impairment=Impairment(rate=5_000_000),
    )
    lab = up(builder.build())
    shown = lab.run("a", ["tc", "qdisc", "show", "dev", "eth0"]).stdout
    assert "tbf" in shown
    assert "rate 5Mbit" in shown
