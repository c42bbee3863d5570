"""``testbed replay``: the same to the byte, or what differs first, or why it cannot be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.cli.main import main
from testbed.guest.kernel_cache import GuestKernel
from testbed.replay.errors import ReplayError
from testbed.replay.recipe import FILE, REAL, Recipe

_ROOT = Path(__file__).parents[2]
_TOPOLOGY = """
from testbed.model import Builder, Topology

def topology() -> Topology:
    lab = Builder("tiny")
    lab.host("alice")
    lab.host("bob")
    lab.link("cable", "alice:eth0 192.0.2.1/24", "bob:eth0 192.0.2.2/24")
    return lab.build()
"""
_TEST = """
def test_it(lab):
    lab.run("alice", ["ping", "-c1", "-p", "5a", "192.0.2.2"], check=True)
"""
RECIPE = Recipe(
    words=("test", "tiny"),
    module="testbed",
    folder="/opt/testbed/code",
    kernel="0123456789abcdef",
    release="6.12.0-testbed",
    clock="virtual",
    start="2025-01-01T00:00:00+00:00",
    seed=5,
    memory_mb=1024,
    testbed="0.1.0",
    sources="fedcba9876543210",
    python="3.11.2",
    fixed_layout=True,
    origin="/nowhere",
    history="00" * 32,
)


def command(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return ended.value.code


def test_a_run_is_done_again_and_compared(
    kernel: GuestKernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the sources have changed: with those of the run, and with the present ones."""
    project = tmp_path / "project"
    lab = project / "topologies/tiny"
    lab.mkdir(parents=True)
    (lab / "topology.py").write_text(_TOPOLOGY)
    (lab / "test_ping.py").write_text(_TEST)
    words = ["test", "tiny", "--kernel", "guest", "--clock", "virtual", "--seed", "7", "--json"]
    ran = subprocess.run(
        [sys.executable, "-m", "testbed", *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    run = Path(json.loads(ran.stdout)["run_folder"])
    (guest,) = json.loads((run / "report.json").read_text())["guests"]
    assert (guest["seed"], guest["clock"], guest["kernel"]) == (7, "virtual", kernel.key)
    assert guest["start"].startswith("2025-01-01T00:00:00")
    assert guest["history"] in (run / "report.html").read_text()

    runs = ("--runs", str(tmp_path / "again"))
    (lab / "test_ping.py").write_text(_TEST.replace("5a", "5b"))
    assert command("replay", str(run), *runs) == 0
    said = capsys.readouterr()
    assert "the same to the byte: 1 capture, 1 event stream" in said.out
    assert "the sources have changed since: replaying the kept copy" in said.err

    assert command("replay", str(run), "--present", "--json", *runs) == 1
    said = capsys.readouterr()
    (found,) = json.loads(said.out)
    assert (found["same"], found["before"]) == (False, guest["history"])
    assert "trying with the present ones" in said.err
    difference = found["difference"]
    assert difference["file"] == "labs/tiny-test_ping/events.jsonl"
    assert "-p 5a" in difference["one"]
    assert "-p 5b" in difference["other"]


def _run(tmp_path: Path, recipe: Recipe) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    recipe.write(folder)
    return folder


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"clock": REAL, "start": None}, "this run was in real time, which nobody can repeat"),
        ({"seed": None}, "this run had the host's randomness, not a seed"),
        ({"history": None}, "this run did not come to its end"),
        ({}, "the guest kernel of this run (0123456789abcdef, Linux 6.12.0-testbed) is not here"),
    ],
)
def test_what_cannot_be_repeated_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object], what: str
) -> None:
    run = _run(tmp_path, replace(RECIPE, **change))  # type: ignore[arg-type]  # each fits its field
    assert command("replay", str(run), "--runs", str(tmp_path / "runs")) == 1
    assert what in capsys.readouterr().err


def test_a_run_on_the_hosts_kernel_and_no_run_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("replay", str(tmp_path)) == 1
    assert "this run was not in a guest" in capsys.readouterr().err
    assert command("replay", str(tmp_path / "none")) == 1
    assert "there is no such run" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"v": 2}', '{"v": 1, "words": 3}', "null"])
def test_a_damaged_recipe_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ReplayError):
        Recipe.read(tmp_path)


def test_recipes_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert Recipe.read(_run(tmp_path, RECIPE)) == RECIPE
    assert RECIPE.machine.seed == 5
    assert RECIPE.repeats
