"""Debian packages: what is missing, who may install it, and what is said where nobody may."""

from __future__ import annotations

import pytest

from tests.setup.scaffold import FakeMachine

DEBIAN = ("bash", "setup/debian.sh", "setup/debian-packages.txt")
TWO = "alpha  alpha  must  # makes sounds\nbeta   -      want  # listens to them\n"


def test_nothing_missing_asks_nobody(machine: FakeMachine) -> None:
    machine.lists(TWO)
    machine.write("installed", "alpha\nbeta\n")
    result = machine.run(*DEBIAN)
    assert (result.status, result.errors) == (0, "")
    assert machine.read("calls") == []


def test_root_installs_only_what_is_missing(machine: FakeMachine) -> None:
    machine.lists(TWO)
    machine.write("installed", "alpha\n")
    assert machine.run(*DEBIAN).status == 0
    assert [call.split()[-1] for call in machine.calls("apt-get")] == ["beta"]
    assert "beta" in machine.read("installed")


def test_a_removed_package_whose_settings_stay_is_missing(machine: FakeMachine) -> None:
    machine.write("removed", "alpha\n")
    assert machine.run(*DEBIAN).status == 0
    assert "alpha" in machine.read("installed")


def test_sudo_without_a_password_is_used(machine: FakeMachine) -> None:
    machine.with_sudo("free")
    assert machine.run(*DEBIAN).status == 0
    assert "alpha" in machine.read("installed")
    assert any("install-as-root.sh alpha" in call for call in machine.calls("sudo"))


@pytest.mark.parametrize("sudo", ["none", "password"])
def test_without_rights_it_lists_and_goes_on(machine: FakeMachine, sudo: str) -> None:
    machine.lists(TWO)
    machine.write("uid", "1000")
    if sudo != "none":
        machine.with_sudo(sudo)
    result = machine.run(*DEBIAN)
    assert result.status == 0
    assert machine.calls("apt-get") == []
    assert "you are not root" in result.errors
    assert "alpha            NEEDED: makes sounds" in result.errors
    assert "beta             listens to them" in result.errors
    assert "apt-get install --no-install-recommends alpha beta" in result.errors


def test_strict_makes_a_missing_package_an_error(machine: FakeMachine) -> None:
    machine.write("uid", "1000")
    result = machine.run(*DEBIAN, TESTBED_SETUP_STRICT="1")
    assert result.status == 1
    assert "TESTBED_SETUP_STRICT=1" in result.errors


def test_one_that_cannot_be_had_does_not_keep_the_others_away(machine: FakeMachine) -> None:
    machine.lists(TWO)
    machine.write("unavailable", "alpha\n")
    result = machine.run(*DEBIAN)
    assert result.status == 0
    assert "beta" in machine.read("installed")
    assert "could not be installed" in result.errors
    assert "makes sounds" in result.errors
    assert "listens to them" not in result.errors
    assert "E: Unable to locate package alpha" in result.errors


def test_the_index_is_fetched_only_when_a_package_is_not_in_it(machine: FakeMachine) -> None:
    assert machine.run(*DEBIAN).errors == "setup: installing Debian packages: alpha\n"
    assert not any(call.endswith("update") for call in machine.calls("apt-get"))
    machine.write("installed", "bash\n")
    (machine.state / "index").unlink()
    assert machine.run(*DEBIAN).errors == "setup: installing Debian packages: alpha\n"
    assert any(call.endswith("update") for call in machine.calls("apt-get"))


def test_apt_is_asked_to_wait_for_its_lock_and_to_remove_nothing(machine: FakeMachine) -> None:
    machine.run(*DEBIAN)
    (call,) = machine.calls("apt-get")
    for option in ("DPkg::Lock::Timeout=", "--no-install-recommends", "--no-remove"):
        assert option in call


def test_where_there_is_no_dpkg_programs_count(machine: FakeMachine) -> None:
    machine.lists(TWO + "gamma  gamma  want  # is not here\n")
    machine.without("dpkg-query")
    machine.tool("alpha", "#!/bin/sh\n")
    result = machine.run(*DEBIAN)
    assert result.status == 0
    assert "not a Debian system" in result.errors
    assert "is not here" in result.errors
    assert "makes sounds" not in result.errors  # its program is there
    assert "listens to them" not in result.errors  # it brings no program to look for
    assert machine.calls("apt-get") == []


@pytest.mark.parametrize(
    "line",
    ["alpha alpha # no rank", "alpha alpha maybe # odd rank", "alpha alpha want", "alpha want # x"],
)
def test_a_malformed_line_is_an_error_with_its_place(machine: FakeMachine, line: str) -> None:
    machine.lists(f"# a comment\n{line}\n")
    result = machine.run(*DEBIAN)
    assert result.status == 1
    assert "setup/debian-packages.txt:2: expected" in result.errors
    assert machine.calls("apt-get") == []
