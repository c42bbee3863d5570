"""The set-up as a whole, as the Makefile calls it."""

from __future__ import annotations

import os

from tests.setup.scaffold import FakeMachine, await_that

SETUP = ("bash", "setup/setup.sh")


def test_when_all_is_there_it_says_and_does_nothing(machine: FakeMachine) -> None:
    assert machine.run(*SETUP).status == 0
    machine.write("calls", "")
    result = machine.run(*SETUP)
    assert (result.status, result.errors) == (0, "")
    assert machine.read("calls") == []


def test_two_at_once_build_one_environment(machine: FakeMachine) -> None:
    machine.write("installed", "alpha\n")
    machine.write("hang", "")
    first = machine.start(*SETUP)
    await_that((machine.state / "hanging").exists)
    second = machine.start(*SETUP)
    assert second.stderr is not None
    assert "another set-up runs" in second.stderr.readline()
    (machine.state / "hang").unlink()
    for process in (first, second):
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert len(machine.calls("venv")) == 1


def test_bench_asks_for_its_own_packages_as_well(machine: FakeMachine) -> None:
    bench = machine.project / "setup" / "debian-packages-bench.txt"
    bench.write_text("rival  rival  want  # is measured against\n")
    assert machine.run(*SETUP).status == 0
    assert "rival" not in machine.read("installed")
    assert machine.run(*SETUP, "bench").status == 0
    assert "rival" in machine.read("installed")
    result = machine.run(*SETUP, "bensh")
    assert (result.status, result.errors.count("debian-packages-bensh.txt")) == (1, 1)


def test_without_rights_the_environment_is_built_all_the_same(machine: FakeMachine) -> None:
    machine.write("uid", "1000")
    result = machine.run(*SETUP)
    assert result.status == 0
    assert "these Debian packages are missing" in result.errors
    assert (machine.project / ".venv" / "bin" / "python").exists()


def test_a_folder_one_may_not_write_to_is_refused_by_name(machine: FakeMachine) -> None:
    # Root may write everywhere, unless it is root of nothing: a user namespace without a mapping.
    nobody = ("/usr/bin/unshare", "--user") if os.geteuid() == 0 else ()
    machine.project.chmod(0o555)
    result = machine.run(*nobody, *SETUP)
    machine.project.chmod(0o755)
    assert result.status == 1
    assert "may not write to it" in result.errors
    assert not (machine.project / ".venv").exists()
