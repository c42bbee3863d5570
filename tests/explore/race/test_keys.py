"""What must hold however the two peers start."""

from __future__ import annotations

import re

import pytest

from testbed.scenarios.scenario_lab import ScenarioLab


@pytest.mark.invariant
def test_both_peers_believe_in_one_key(lab: ScenarioLab) -> None:
    """After both have renewed, data flows under one key."""
    lab.sleep("70s")
    keys = {}
    for name in ("alice", "bob"):
        log = (lab.run_folder / "logs" / f"{name}-peer.log").read_text()
        keys[name] = re.findall(r"^key (\d+)$", log, re.MULTILINE)[-1]
    assert keys["alice"] == keys["bob"], f"alice has {keys['alice']}, bob {keys['bob']}"


def test_the_wire_works(lab: ScenarioLab) -> None:
    """No invariant: explore leaves it out."""
    lab.run("alice", ["ping", "-c1", "192.0.2.2"], check=True)
