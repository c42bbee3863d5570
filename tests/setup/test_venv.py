"""The virtual environment: built once, whole or not at all, and rebuilt when it must be."""

from __future__ import annotations

import shutil
import signal

from tests.setup.scaffold import FakeMachine

VENV = ("bash", "setup/venv.sh")
CHECK = (*VENV, "--check")


def _built(machine: FakeMachine) -> None:
    assert machine.run(*VENV).status == 0
    machine.write("calls", "")


def test_the_first_run_builds_and_the_second_does_nothing(machine: FakeMachine) -> None:
    assert machine.run(*CHECK).status == 1
    assert machine.run(*VENV).status == 0
    locked, project = machine.calls("pip")
    assert "--require-hashes -r requirements.lock" in locked
    assert project.endswith("--no-deps --no-build-isolation -e .")
    machine.write("calls", "")
    assert machine.run(*CHECK).status == 0
    assert machine.run(*VENV).status == 0
    assert machine.read("calls") == []


def test_another_lock_rebuilds_it(machine: FakeMachine) -> None:
    _built(machine)
    (machine.project / "requirements.lock").write_text("one==2.0 --hash=sha256:00\n")
    assert machine.run(*CHECK).status == 1
    assert machine.run(*VENV).status == 0
    assert machine.calls("venv") != []


def test_another_pyproject_installs_only_the_project(machine: FakeMachine) -> None:
    _built(machine)
    (machine.project / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert machine.run(*CHECK).status == 1
    assert machine.run(*VENV).status == 0
    (call,) = machine.read("calls")
    assert call.endswith("-e .")
    assert machine.run(*CHECK).status == 0


def test_a_folder_that_was_moved_is_rebuilt(machine: FakeMachine) -> None:
    _built(machine)
    moved = machine.project.with_name("moved")
    shutil.move(machine.project, moved)
    machine.project = moved
    assert machine.run(*CHECK).status == 1


def test_when_pip_fails_the_old_one_stands(machine: FakeMachine) -> None:
    _built(machine)
    (machine.project / ".venv" / "mine").touch()
    (machine.project / "requirements.lock").write_text("one==2.0 --hash=sha256:00\n")
    machine.write("pip-fails", "")
    result = machine.run(*VENV)
    assert result.status == 1
    assert "no matching distribution" in result.errors
    assert (machine.project / ".venv" / "mine").exists()
    assert machine.run(*CHECK).status == 1  # it is still not what the lock says


def test_when_interrupted_nothing_half_made_stays(machine: FakeMachine) -> None:
    result = machine.interrupt(signal.SIGINT, *VENV)
    assert result.status == 130
    assert not (machine.project / ".venv").exists()
    assert machine.run(*VENV).status == 0


def test_when_killed_the_next_run_begins_anew(machine: FakeMachine) -> None:
    _built(machine)
    (machine.project / "requirements.lock").write_text("one==2.0 --hash=sha256:00\n")
    machine.interrupt(signal.SIGKILL, *VENV)
    assert machine.run(*CHECK).status == 1
    assert machine.run(*VENV).status == 0
    assert machine.run(*CHECK).status == 0
    assert not (machine.project / ".setup" / "venv.old").exists()


def test_no_pip_at_all_says_which_package(machine: FakeMachine) -> None:
    machine.write("no-ensurepip", "")
    result = machine.run(*VENV)
    assert result.status == 1
    assert "python3-venv" in result.errors
    assert not (machine.project / ".venv").exists()


def test_a_python_that_is_not_fit_is_named(machine: FakeMachine) -> None:
    result = machine.run(*VENV, TESTBED_PYTHON="/bin/false")
    assert result.status == 1
    assert "TESTBED_PYTHON=/bin/false is not a Python 3.11 or newer" in result.errors
