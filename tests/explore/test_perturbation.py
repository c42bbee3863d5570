"""Perturbations: plain data, drawn from the seed alone, put on a lab."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.explore.apply import perturbed, schedule
from testbed.explore.draw import draw
from testbed.explore.perturbation import (
    LateStart,
    LinkDelay,
    Perturbation,
    PerturbationError,
    Scheduling,
    TimedFault,
    perturbation_of,
)
from testbed.explore.ranges import FaultRange, RangeError, Ranges, ranges_of
from testbed.explore.trial import machine_of
from testbed.model import Builder, Impairment, Service, Topology
from testbed.model.discover import find_topology
from testbed.model.schedule import At
from testbed.model.validate import validate

_NUMBER = st.integers(0, 10**9)
_NAME = st.text(max_size=10)
PARTS = st.one_of(
    st.builds(Scheduling, most_us=_NUMBER, per_mille=st.integers(0, 1000)),
    st.builds(LinkDelay, link=_NAME, delay_us=_NUMBER, jitter_us=_NUMBER),
    st.builds(LateStart, service=_NAME, late_us=_NUMBER),
    st.builds(TimedFault, fault=_NAME, target=_NAME, at_us=_NUMBER, lasts_us=_NUMBER),
)
RANGES = Ranges(
    scheduling="50us",
    delay="3ms",
    start="1s",
    faults=(
        FaultRange("cut", "left", at=("1s", "9s"), lasts=("100ms", "2s")),
        FaultRange("kill-service", "b/web", at=(0, "5s")),
        FaultRange("reboot", "a", at=("2s", "2s")),
    ),
)


def _lab() -> Topology:
    lab = Builder("small")
    lab.host("a", services=[Service("one", ("sleep", "1")), Service("two", ("sleep", "2"))])
    lab.host("b", services=[Service("web", ("sh", "-c", "echo $0", "{run}"))])
    lab.link("left", "a:e0 192.0.2.1/24", "b:e0 192.0.2.2/24")
    slow = Impairment(delay=0.01, rate=1_000_000)
    lab.link("right", "a:e1 198.51.100.1/24", "b:e1 198.51.100.2/24", impairment=slow)
    return lab.build()


@given(st.lists(PARTS, max_size=5))
def test_json_and_back(parts: list[LateStart]) -> None:
    one = Perturbation(tuple(parts))
    assert Perturbation.from_json(json.loads(json.dumps(one.to_json()))) == one
    assert len(list(one.lines())) == len(parts)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (None, "no perturbation of version 1"),
        ({"v": 2, "parts": []}, "no perturbation of version 1"),
        ({"v": 1, "parts": {}}, "its parts are a list"),
        ({"v": 1, "parts": [3]}, "unknown kind of part"),
        ({"v": 1, "parts": [{"kind": "quake"}]}, "unknown kind of part"),
        ({"v": 1, "parts": [{"kind": "late-start", "service": "x"}]}, "its fields are service, "),
        (
            {"v": 1, "parts": [{"kind": "late-start", "service": "x", "late_us": 1.5}]},
            "late_us is a whole number",
        ),
        (
            {"v": 1, "parts": [{"kind": "late-start", "service": 1, "late_us": 1}]},
            "service is a name",
        ),
    ],
)
def test_what_is_no_perturbation(tmp_path: Path, data: object, what: str) -> None:
    (tmp_path / "perturbation.json").write_text(json.dumps(data))
    with pytest.raises(PerturbationError) as caught:
        perturbation_of(tmp_path)
    assert what in caught.value.what
    assert str(tmp_path) in str(caught.value.where)


def test_a_run_without_the_file_is_not_perturbed(tmp_path: Path) -> None:
    assert perturbation_of(tmp_path) == Perturbation()
    assert perturbed(_lab(), Perturbation()) == _lab()


@given(st.integers(0, 2**64 - 1))
def test_what_is_drawn_stays_in_its_ranges(seed: int) -> None:
    found = draw(seed, _lab(), RANGES)
    assert found == draw(seed, _lab(), RANGES)
    for part in found.parts:
        match part:
            case Scheduling():
                assert 1 <= part.most_us <= 50
                assert 1 <= part.per_mille <= 50
            case LinkDelay():
                assert 1 <= part.delay_us <= 3000
                assert part.jitter_us <= part.delay_us // 2
            case LateStart():
                assert 1 <= part.late_us <= 1_000_000
            case TimedFault("cut"):
                assert 1_000_000 <= part.at_us <= 9_000_000
                assert 100_000 <= part.lasts_us <= 2_000_000


def test_a_seed_means_the_same_for_ever() -> None:
    """Kept findings name only a seed: these values must never change."""
    assert draw(7, _lab(), RANGES) == Perturbation(
        (
            LinkDelay(link="left", delay_us=1842, jitter_us=883),
            LinkDelay(link="right", delay_us=2255, jitter_us=735),
            LateStart(service="a/one", late_us=36073),
            LateStart(service="b/web", late_us=687454),
            TimedFault(fault="cut", target="left", at_us=5314494, lasts_us=476166),
        )
    )


@given(st.integers(0, 1000))
def test_one_thing_more_in_the_lab_changes_nothing_for_the_others(seed: int) -> None:
    before = draw(seed, _lab(), RANGES)
    lab = _lab()
    node = replace(lab.nodes[0], services=(*lab.nodes[0].services, Service("new", ("true",))))
    after = draw(seed, replace(lab, nodes=(node, *lab.nodes[1:])), RANGES)
    new = [part for part in after.parts if part not in before.parts]
    assert all(isinstance(part, LateStart) and part.service == "a/new" for part in new)
    assert [part for part in after.parts if part not in new] == list(before.parts)


def test_every_kind_of_part_is_drawn_by_about_half_of_the_seeds() -> None:
    drawn = [draw(seed, _lab(), RANGES).parts for seed in range(400)]
    for kind in (Scheduling, LinkDelay, LateStart, TimedFault):
        most = max(sum(isinstance(part, kind) for part in parts) for parts in drawn)
        share = sum(isinstance(part, kind) for parts in drawn for part in parts) / 400 / most
        assert 0.4 < share < 0.6, kind


def test_links_and_services_of_a_perturbed_lab() -> None:
    parts = (
        LinkDelay("left", 1500, 200),
        LinkDelay("right", 2000, 0),
        LateStart("b/web", 1_250_000),
        LateStart("nobody/here", 1),
        LinkDelay("no such link", 1, 1),
    )
    lab = perturbed(_lab(), Perturbation(parts))
    assert not validate(lab)
    assert lab.link("left").impairment == Impairment(delay=0.0015, jitter=0.0002)
    assert lab.link("right").impairment == Impairment(delay=0.012, rate=1_000_000)
    (web,) = lab.node("b").services
    words = ("sh", "-c", 'sleep "$0" && exec "$@"', "1.250000", "sh", "-c", "echo $0", "{run}")
    assert web.command == words
    assert web.ready.timeout == 11.25
    assert lab.node("a") == _lab().node("a")


def test_faults_of_a_perturbed_lab_are_mended() -> None:
    parts = (
        TimedFault("cut", "left", 2_000_000, 500_000),
        TimedFault("kill-service", "b/web", 1_000_000, 250_000),
        TimedFault("reboot", "a", 3_000_000, 1),
        TimedFault("cut", "elsewhere", 1, 1),
    )
    entries = schedule(_lab(), Perturbation(parts))
    assert all(isinstance(one, At) for one in entries)
    assert [(one.when, *((f.kind, f.target) for f in one.faults)) for one in entries] == [  # type: ignore[union-attr]  # see above
        (timedelta(seconds=2), ("cut", "left")),
        (timedelta(seconds=2.5), ("restore", "left")),
        (timedelta(seconds=1), ("kill-service", "b/web")),
        (timedelta(seconds=1.25), ("restart-service", "b/web")),
        (timedelta(seconds=3), ("reboot", "a")),
    ]


def test_the_guests_kernel_is_told_how_to_schedule() -> None:
    jitter = machine_of(9, Perturbation((Scheduling(30, 4),))).jitter
    assert jitter is not None
    assert (jitter.seed, jitter.max_ns, jitter.per_mille) == (9, 30_000, 4)
    assert machine_of(9, Perturbation()).jitter is None


@pytest.mark.parametrize(
    ("ranges", "what"),
    [
        (Ranges(links=("wrong",)), "this topology has no link 'wrong'"),
        (Ranges(services=("a/three",)), "this topology has no service 'a/three'"),
        (
            Ranges(faults=(FaultRange("cut", "a/one", at=(1, 2)),)),
            "this topology has no target of cut 'a/one'",
        ),
    ],
)
def test_ranges_name_what_is_there(ranges: Ranges, what: str) -> None:
    with pytest.raises(RangeError) as caught:
        ranges.check(_lab())
    assert caught.value.what == what


def test_ranges_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(RangeError, match="no fault to explore is called 'quake'"):
        FaultRange("quake", "left", at=(1, 2))
    with pytest.raises(RangeError, match="3s is after 2s"):
        FaultRange("cut", "left", at=("3s", "2s"))
    file = tmp_path / "topology.py"
    file.write_text("EXPLORE = {'delay': 3}\n")
    with pytest.raises(RangeError, match="EXPLORE is a dict, not a Ranges"):
        ranges_of(_lab(), file)
    file.write_text("from testbed.explore.ranges import Ranges\nEXPLORE = Ranges(delay=0)\n")
    assert ranges_of(_lab(), file) == Ranges(delay=0)
    assert ranges_of(_lab(), tmp_path / "topology.yaml") == Ranges()


@pytest.mark.parametrize("name", ["race", "crossing"])
def test_the_labs_to_explore_have_ranges_that_fit(name: str) -> None:
    file = Path(__file__).with_name(name) / "topology.py"
    topology = find_topology(file)
    ranges = ranges_of(topology, file)
    assert ranges != Ranges()
    for seed in range(20):
        assert not validate(perturbed(topology, draw(seed, topology, ranges)))
