"""The pytest plugin, run on a small topology of its own in a pytest of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.events import Verdict
from testbed.lab import Lab, read_events
from testbed.supervisor.channel import running_labs

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
    import pytest

    def test_reaches(lab, evidence):
        """Alice reaches Bob."""
        evidence.text("a thought", "this will work")
        assert lab.run("alice", ["ping", "-c1", "-W2", "192.0.2.2"]).ok

    def test_fails(lab):
        """Nobody answers at .99."""
        assert lab.run("alice", ["ping", "-c1", "-W1", "192.0.2.99"]).ok, "no answer"

    @pytest.mark.needs("program:no-such-program-here")
    def test_needs_something(lab):
        """Cannot run."""

    def test_own_lab(fresh_lab, topology):
        """A lab of its own."""
        lab = fresh_lab(topology)
        assert lab.run("bob", ["true"]).ok
'''


@dataclass(frozen=True)
class Ran:
    """A finished ``testbed test``."""

    status: int
    stdout: str
    stderr: str
    folder: Path
    data: dict[str, object]


def _testbed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TESTBED_RUNS": str(folder / "runs"),
    }
    return subprocess.run(
        [sys.executable, "-m", "testbed", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder with a topology and its scenarios, as an author has it."""
    home = tmp_path / "topologies" / "tiny"
    home.mkdir(parents=True)
    (home / "topology.py").write_text(textwrap.dedent(_TOPOLOGY))
    (home / "test_tiny.py").write_text(textwrap.dedent(_SCENARIOS))
    return tmp_path


def _run(folder: Path, *arguments: str) -> Ran:
    done = _testbed(folder, "test", *arguments, "--json")
    data = json.loads(done.stdout)
    return Ran(done.returncode, done.stdout, done.stderr, Path(data["run_folder"]), data)


def test_outcomes_evidence_and_report(tiny: Path) -> None:
    ran = _run(tiny, "tiny")
    assert ran.status == 1
    assert (ran.data["passed"], ran.data["failed"], ran.data["skipped"]) == (2, 1, 1)
    junit = (ran.folder / "junit.xml").read_text()
    assert 'tests="4"' in junit
    assert 'failures="1"' in junit
    assert 'skipped="1"' in junit
    html = (ran.folder / "report.html").read_text()
    for text in (
        "Alice reaches Bob.",
        "Nobody answers at .99.",
        "this will work",
        "no-such-program-here",
        "ping -c1 -W1 192.0.2.99",
    ):
        assert text in html, text
    captures = {path.name for path in ran.folder.glob("labs/*/captures/*.pcapng")}
    assert captures == {"test_reaches.pcapng", "test_fails.pcapng", "test_own_lab.pcapng"}


def test_verdicts_are_events_of_the_lab(tiny: Path) -> None:
    ran = _run(tiny, "tiny")
    verdicts = {}
    for path in ran.folder.glob("labs/*/events.jsonl"):
        for record in read_events(path):
            if isinstance(record.event, Verdict):
                verdicts[record.event.scenario.rpartition("::")[2]] = record.event.outcome
    assert verdicts == {"test_reaches": "passed", "test_fails": "failed", "test_own_lab": "passed"}


def test_a_failed_lab_is_kept_on_request_and_can_be_entered(tiny: Path) -> None:
    done = _testbed(tiny, "test", "tiny", "--keep")
    assert done.returncode == 1
    found = re.search(r"lab (\S+) is left up", done.stdout)
    assert found, done.stdout
    name = found[1]
    try:
        assert f"testbed shell {name} NODE" in done.stdout
        assert name in running_labs()
        assert Lab.connect(name).run("alice", ["ping", "-c1", "-W2", "192.0.2.2"]).ok
    finally:
        Lab.connect(name).down()
    assert not [lab for lab in running_labs() if lab.startswith("tiny-")]


def test_a_file_that_cannot_be_read_fails_the_run(tiny: Path) -> None:
    (tiny / "topologies/tiny/test_broken.py").write_text("import no_such_module_anywhere\n")
    ran = _run(tiny, "tiny")
    assert ran.status != 0
    assert "no_such_module_anywhere" in ran.stdout


def test_a_topology_that_does_not_come_up_is_an_error_with_its_reason(tiny: Path) -> None:
    path = tiny / "topologies/tiny/topology.py"
    path.write_text(path.read_text().replace('"bob:eth0 192.0.2.2/24"', '"bbo:eth0 192.0.2.2/24"'))
    ran = _run(tiny, "tiny", "-k", "reaches")
    assert ran.status == 1
    junit = (ran.folder / "junit.xml").read_text()
    assert "bbo" in junit
    assert "did you mean" in junit


def test_unknown_topologies_are_named(tiny: Path) -> None:
    done = _testbed(tiny, "test", "tyni")
    assert done.returncode == 1
    assert "no topology or test file 'tyni'" in done.stderr
    assert "Traceback" not in done.stderr
