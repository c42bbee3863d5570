"""The table of topology, backend, kernel and clock."""

from __future__ import annotations

from testbed.evidence.report.data import Ground
from testbed.scenarios.grounds import grounds
from testbed.scenarios.placement import Placement
from testbed.scenarios.session import Scenario


def _scenario(identity: str, placement: Placement, outcome: str, why: str = "") -> Scenario:
    scenario = Scenario(identity, "", outcome=outcome, why=why)
    placement.tell(scenario)
    return scenario


def test_rows_are_places_and_reasons() -> None:
    here = Placement("host", "real")
    away = Placement("guest", "virtual", "virtual time is needed")
    boxes = Placement("host", "real", backend="docker")
    rows = grounds(
        [
            _scenario("topologies/a/test_x.py::test_one[docker]", boxes, "skipped", "no engine"),
            _scenario("topologies/a/test_x.py::test_two[docker]", boxes, "skipped", "no engine"),
            _scenario("topologies/a/test_x.py::test_one[netns]", here, "passed"),
            _scenario("topologies/a/test_y.py::test_two[netns]", here, "failed"),
            _scenario("topologies/a/test_y.py::test_three[netns]", here, "passed"),
            _scenario("topologies/a/test_z.py::test_four[netns]", away, "passed"),
        ]
    )
    assert rows == (
        Ground("a", "netns", "host", "real", (("passed", 2), ("failed", 1))),
        Ground("a", "netns", "guest", "virtual", (("passed", 1),), "virtual time is needed"),
        Ground("a", "docker", "", "", (("skipped", 2),), "no engine"),
    )


def test_nobody_decided() -> None:
    assert grounds([Scenario("tests/test_x.py::test_one", "")]) == ()
