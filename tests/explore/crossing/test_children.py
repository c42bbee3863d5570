"""What must hold when both ends renew a CHILD_SA at the same time."""

from __future__ import annotations

import pytest

from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab

pytestmark = [
    pytest.mark.needs("esp", "xfrm_interface", "virtual-time", "swanctl", "program:charon-systemd"),
    pytest.mark.timeout(0),  # it would count virtual time
]


@pytest.mark.invariant
def test_the_tunnel_carries_every_packet(lab: ScenarioLab, evidence: Evidence) -> None:
    """Nine renewals while a ping goes through every second; then one pair of SAs is left."""
    lab.sleep("5s")  # until the tunnel is up
    words = ["ping", "-c", "960", "-i", "1", "-q", "-I", "10.1.0.1", "10.2.0.1"]
    ping = lab.run("left", words, timeout=2000)
    evidence.text("ping", ping.stdout)
    lab.sleep("10s")  # what was replaced may stay for five seconds
    states = {node: _states(lab, node) for node in ("left", "right")}
    assert " 0% packet loss" in ping.stdout
    assert states == {"left": 2, "right": 2}, "one SA in, one out"


def _states(lab: ScenarioLab, node: str) -> int:
    """How many SAs this node's kernel has."""
    listed = lab.run(node, ["ip", "xfrm", "state", "list", "nokeys"], check=True).stdout
    return listed.count("proto esp spi ")
