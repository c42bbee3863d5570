"""What must hold when both ends renew a CHILD_SA at the same time."""

from __future__ import annotations

import pytest

from testbed.events import ChildSaDeleted, ChildSaEstablished, Record
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab

pytestmark = [
    pytest.mark.needs("esp", "xfrm_interface", "virtual-time", "swanctl", "program:charon-systemd"),
    pytest.mark.timeout(0),  # it would count virtual time
]


def _is_up(records: list[Record]) -> bool:
    return {r.node for r in records if isinstance(r.event, ChildSaEstablished)} == {"left", "right"}


@pytest.mark.invariant
def test_one_child_sa_is_left_and_nothing_is_lost(lab: ScenarioLab, evidence: Evidence) -> None:
    """Three renewals; a ping every second goes through all the time."""
    lab.wait_for(_is_up, "the tunnel to be up at both ends")
    words = ["ping", "-c", "1900", "-i", "1", "-q", "-I", "10.1.0.1", "10.2.0.1"]
    ping = lab.run("left", words, timeout=2500)
    evidence.text("ping", ping.stdout)
    records = lab.events()
    redundant = [r for r in records if getattr(r.event, "why", "") == "redundant"]
    evidence.text("CHILD_SAs that lost a collision", str(len(redundant)))
    assert " 0% packet loss" in ping.stdout
    for node in ("left", "right"):
        there = [r for r in records if r.node == node]
        made = sum(isinstance(r.event, ChildSaEstablished) for r in there)
        gone = sum(isinstance(r.event, ChildSaDeleted) for r in there)
        assert made - gone == 1, f"{node} has {made - gone} CHILD_SAs"
