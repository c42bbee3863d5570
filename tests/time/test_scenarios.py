"""Time in scenarios, as ``testbed test`` runs them: refused, begun anew, with faults that fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

_TOPOLOGY = """
    from testbed.model import Builder

    def topology():
        lab = Builder("tiny", "Two hosts")
        lab.host("alice")
        lab.host("bob")
        lab.link("cable", "alice:eth0 192.0.2.1/24", "bob:eth0 192.0.2.2/24")
        return lab.build()
"""
_SCENARIOS = '''
    from datetime import timedelta

    from testbed.expect import eventually
    from testbed.model.schedule import at, cut, flush_addresses, restore

    ended = []

    def test_waits(lab):
        """Half a second goes by."""
        lab.sleep("500ms")
        assert lab.clock.elapsed() >= timedelta(milliseconds=500)
        ended.append(lab.clock.now())

    def test_begins_anew(lab):
        """The clock of a scenario counts from its beginning."""
        assert lab.clock.origin >= ended[0]
        lab.sleep_until("+20ms")

    def test_hours(lab):
        """Hours of real time are refused."""
        lab.sleep("3h")

    def test_left_behind(lab):
        """Nothing of a schedule is left for the next scenario."""
        lab.schedule(at("1h", cut("cable")), at("10ms", flush_addresses("bob:eth0")))
        eventually(lab, "fault-applied", within="10s", since="0s")

    def test_unnoticed(lab):
        """A fault that failed is told, though nobody asked."""
        lab.run("alice", ["ip", "link", "delete", "eth0"], check=True)
        lab.schedule(at("10ms", restore("cable")))
        eventually(lab, "fault-failed", within="10s", since="0s")
'''


def test_time_in_scenarios(tmp_path: Path) -> None:
    home = tmp_path / "topologies" / "tiny"
    home.mkdir(parents=True)
    (home / "topology.py").write_text(textwrap.dedent(_TOPOLOGY))
    (home / "test_time.py").write_text(textwrap.dedent(_SCENARIOS))
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TESTBED_RUNS": str(tmp_path / "runs"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "testbed", "test", "tiny", "--kernel", "host", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = {
        one["id"].rpartition("::")[2]: (one["outcome"], one["why"])
        for one in json.loads(done.stdout)["scenarios"]
    }
    outcomes = {name: outcome for name, (outcome, _) in found.items()}
    assert outcomes == {
        "test_waits": "passed",
        "test_begins_anew": "passed",
        "test_hours": "failed",
        "test_left_behind": "passed",
        "test_unnoticed": "error",
    }
    report = (next(tmp_path.glob("runs/*")) / "report.html").read_text()
    assert "the scenario wants to wait 3h" in report
    assert "1 fault of the schedule failed" in report
