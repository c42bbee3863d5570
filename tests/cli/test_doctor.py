"""``testbed doctor``: the scenarios it looks at, its two forms and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.cli.doctor import scenario_needs
from testbed.doctor import Capability, DoctorReport, Fact, Kind, State
from tests.cli.conftest import Call

_TOPOLOGY = """
from testbed.model import Builder, Service
lab = Builder("small")
lab.host("box", services=[Service(name="s", command=("true",), needs=("tun",))])
TOPOLOGY = lab.build()
"""
_TESTS = """
import pytest
pytestmark = pytest.mark.needs("netem")
@pytest.mark.needs("curl", "netem")
def test_two(lab): raise AssertionError("it must not be run")
@pytest.mark.parametrize("n", [1, 2])
def test_each(lab, n): pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of topologies with one topology in it."""
    topologies = tmp_path / "topologies"
    (topologies / "small").mkdir(parents=True)
    (topologies / "small" / "topology.py").write_text(_TOPOLOGY)
    # Python keeps a module by its name: another test's file must not be taken for this one.
    (topologies / "small" / f"test_{tmp_path.name}.py").write_text(_TESTS)
    monkeypatch.setattr("testbed.model.discover.default_search", lambda: (topologies,))
    return topologies


def test_scenarios_and_their_needs_are_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {name.rpartition("::")[2]: set(needs) for name, needs in scenario_needs()}
    assert found == {
        "test_two": {"curl", "netem", "tun"},
        "test_each[1]": {"netem", "tun"},
        "test_each[2]": {"netem", "tun"},
    }
    assert capsys.readouterr() == ("", "")


def _report(state: State) -> DoctorReport:
    capability = Capability("namespaces", Kind.MACHINE, state, "every lab", "tried", "be root")
    return DoctorReport((Fact("kernel", "6.1"),), (capability,))


@pytest.mark.parametrize(("state", "code"), [(State.YES, 0), (State.LIMITED, 0), (State.NO, 1)])
def test_the_exit_code_says_whether_labs_can_run(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, state: State, code: int
) -> None:
    monkeypatch.setattr("testbed.doctor.examine", lambda _: _report(state))
    shown = call("doctor")
    assert shown.code == code
    assert "6.1" in shown.out
    data = call("doctor", "--json")
    assert data.code == code
    assert json.loads(data.out)["usable"] is (code == 0)


def test_this_machine(call: Call, folder: Path) -> None:
    """The real examination, with the scenarios of the folder."""
    data = json.loads(call("doctor", "--json").out)
    assert {one["name"] for one in data["capabilities"]} >= {"namespaces", "tun", "netem"}
    assert len(data["scenarios"]) == 3
