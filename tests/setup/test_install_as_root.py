"""The part with root rights: no daemon starts, and its guard never stays behind."""

from __future__ import annotations

import signal

import pytest

from tests.setup.scaffold import FakeMachine

INSTALL = ("bash", "setup/install-as-root.sh")


def test_the_guard_is_there_while_apt_works_and_gone_after(machine: FakeMachine) -> None:
    assert machine.run(*INSTALL, "alpha").status == 0
    assert machine.read("guard") == ["present"]
    assert not machine.guard.exists()


def test_a_guard_of_the_machine_stays_as_it_is(machine: FakeMachine) -> None:
    machine.guard.write_text("#!/bin/sh\nexit 0\n")
    assert machine.run(*INSTALL, "alpha").status == 0
    assert machine.guard.read_text() == "#!/bin/sh\nexit 0\n"


def test_a_guard_that_is_a_dangling_link_stays_too(machine: FakeMachine) -> None:
    machine.guard.symlink_to("nowhere")
    assert machine.run(*INSTALL, "alpha").status == 0
    assert machine.guard.is_symlink()


def test_the_guard_goes_when_apt_fails(machine: FakeMachine) -> None:
    machine.write("unavailable", "alpha\n")
    result = machine.run(*INSTALL, "alpha", "beta")
    assert result.status == 1
    assert "could not be installed: alpha" in result.errors
    assert set(machine.read("guard")) == {"present"}
    assert not machine.guard.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_guard_goes_when_interrupted(machine: FakeMachine, number: signal.Signals) -> None:
    result = machine.interrupt(number, *INSTALL, "alpha")
    assert result.status == 128 + number
    assert machine.read("guard") == ["present"]
    assert not machine.guard.exists()


def test_a_guard_left_by_a_killed_installation_goes_next_time(machine: FakeMachine) -> None:
    machine.interrupt(signal.SIGKILL, *INSTALL, "alpha")
    assert machine.guard.exists()
    assert machine.run(*INSTALL, "alpha").status == 0
    assert machine.read("guard") == ["present", "present"]
    assert not machine.guard.exists()


def test_two_installations_take_turns(machine: FakeMachine) -> None:
    """Else the second would take the first one's guard for one left behind."""
    machine.write("hang", "")
    first = machine.start(*INSTALL, "alpha")
    second = machine.start(*INSTALL, "beta")
    (machine.state / "hang").unlink()
    for process in (first, second):
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert machine.read("guard") == ["present", "present"]
    assert not machine.guard.exists()


def _with_daemons(machine: FakeMachine) -> None:
    machine.write("installed", "old\n")
    for package in ("old", "alpha"):
        unit = f"/lib/systemd/system/{package}.service"
        machine.write(f"files.{package}", f"/usr/sbin/{package}\n{unit}\n")


def test_daemons_that_came_in_are_disabled_and_no_others(machine: FakeMachine) -> None:
    _with_daemons(machine)
    machine.write("enabled", "old.service\nalpha.service\n")
    assert machine.run(*INSTALL, "alpha").status == 0
    assert machine.calls("systemctl") == ["systemctl disable alpha.service"]
    assert machine.read("enabled") == ["old.service"]


def test_daemons_are_disabled_also_when_interrupted(machine: FakeMachine) -> None:
    """Else the next run would take them for the machine's own."""
    _with_daemons(machine)
    machine.write("enabled", "old.service\nalpha.service\n")
    machine.write("early", "")  # apt has installed it before it hangs
    assert machine.interrupt(signal.SIGINT, *INSTALL, "alpha").status == 130
    assert machine.read("enabled") == ["old.service"]


def test_daemons_are_disabled_where_systemd_is_not_installed(machine: FakeMachine) -> None:
    _with_daemons(machine)
    machine.without("systemctl")
    wants = machine.unit_links / "multi-user.target.wants"
    wants.mkdir()
    for package in ("old", "alpha"):
        (wants / f"{package}.service").symlink_to(f"/lib/systemd/system/{package}.service")
    assert machine.run(*INSTALL, "alpha").status == 0
    assert [link.name for link in wants.iterdir()] == ["old.service"]
