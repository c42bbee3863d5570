"""Names of needs: which there are, which follow from a topology, which this kernel lacks."""

from __future__ import annotations

import os

import pytest

from testbed.errors import TestbedError
from testbed.kernel.probe import FEATURES, FeatureState
from testbed.model import Builder, Impairment, Ready, Service
from testbed.model.topology import Topology
from testbed.scenarios import needs
from testbed.scenarios.needs import Need, check_needs, first_missing, needs_of_topology


def _check(*names: str) -> None:
    check_needs([Need(name, "test_x.py:3 (test_y)") for name in names])


def test_every_kind_of_name_is_known() -> None:
    _check("esp", "curl", "virtual-time", "root", "program:charon-cmd", "netem")
    _check("throughput")


@pytest.mark.parametrize(
    ("name", "near"), [("netm", "netem"), ("virtual-tiem", "virtual-time"), ("crul", "curl")]
)
def test_an_unknown_name_is_an_error_with_place_and_near_matches(name: str, near: str) -> None:
    with pytest.raises(TestbedError) as caught:
        _check("tun", name)
    assert caught.value.what == f"nobody knows the need {name!r}"
    assert caught.value.where == "test_x.py:3 (test_y)"
    assert caught.value.hint is not None
    assert f'did you mean "{near}"' in caught.value.hint


@pytest.mark.parametrize("name", ["program:", "", "zzzzzzzz"])
def test_names_without_a_near_one(name: str) -> None:
    with pytest.raises(TestbedError, match="nobody knows the need"):
        _check(name)


def test_throughput_in_virtual_time_contradicts_itself() -> None:
    with pytest.raises(TestbedError, match="contradict each other"):
        _check("virtual-time", "throughput")


def _topology() -> Topology:
    lab = Builder("shapes", "Something of everything")
    web = Service("web", ("nginx", "-g", "daemon off;"), ready=Ready("started"), needs=("tun",))
    own = Service("own", ("/opt/of-the-node/daemon",))
    lab.host("a", services=[web, own])
    lab.host("b")
    lab.link("ab", "a:x 192.0.2.1/24", "b:x 192.0.2.2/24", impairment=Impairment(delay=0.01))
    return lab.build()


def test_what_follows_from_a_topology() -> None:
    found = {need.name: need.place for need in needs_of_topology(_topology())}
    assert found.keys() == {"veth", "netem", "tun", "nginx"}
    assert found["netem"] == "a:x on link ab"
    assert found["nginx"] == "service a/web"
    check_needs(needs_of_topology(_topology()))


def test_the_kernel_is_asked_for_features_only(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {one.name: FeatureState(one.name != "esp", "because") for one in FEATURES}
    asked = []

    def features() -> dict[str, FeatureState]:
        asked.append(1)
        return states

    monkeypatch.setattr(needs, "_features", features)
    assert first_missing(["program:sh", "throughput"]) is None
    assert not asked, "trying out the kernel takes time"
    assert first_missing(["tun", "esp"]) == "this machine has no esp: because"
    assert first_missing(["tun"]) is None


def test_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "time_is_virtual", lambda: False)
    assert first_missing(["throughput"]) is None
    assert first_missing(["virtual-time"]) is not None
    monkeypatch.setattr(needs, "time_is_virtual", lambda: True)
    assert first_missing(["virtual-time"]) is None
    assert "would mean nothing" in str(first_missing(["throughput"]))


def test_programs_and_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "'no-such'" in str(first_missing(["program:no-such"]))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "ordinary user" in str(first_missing(["root"]))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert first_missing(["root"]) is None
