"""Host and guest kernel side by side, and what that means for scenarios."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.doctor import Kind, State, examine
from testbed.doctor.clocks import find_clocks
from testbed.doctor.kernels import (
    BUILT,
    DAMAGED,
    IMPOSSIBLE,
    NOT_BUILT,
    GuestState,
    KernelRow,
    compare,
    find_guest,
)
from testbed.guest import availability, kernel_key
from testbed.guest.availability import no_guest_here
from testbed.guest.errors import GuestKernelError
from testbed.scenarios.choice import Choice
from testbed.scenarios.placement import Kernels, place
from tests.doctor.test_report import KERNEL, PROGRAMS, _capability, _examine, _text

THERE = GuestState(BUILT, "Linux 6.12")
LATER = GuestState(NOT_BUILT, "built when needed")
NEVER = GuestState(IMPOSSIBLE, "needs gcc")


def _rows(guest: GuestState) -> dict[str, KernelRow]:
    rows = compare((*KERNEL, *find_clocks(), *PROGRAMS), guest)
    return {row.need: row for row in rows}


@pytest.mark.parametrize("guest", [THERE, LATER])
def test_what_the_host_lacks_the_guest_has(guest: GuestState) -> None:
    rows = _rows(guest)
    assert rows["tun"] == KernelRow("tun", host=True, guest=True, auto="host")
    assert rows["netem"] == KernelRow("netem", host=False, guest=True, auto="guest, real clock")
    assert rows["virtual-time"].auto == "guest, virtual clock"
    assert rows["throughput"].auto == "host"
    assert "curl" not in rows, "programs are the same in both"


def test_without_a_guest_there_is_nowhere_to_go() -> None:
    rows = _rows(NEVER)
    assert rows["tun"].auto == "host"
    assert rows["netem"].auto == rows["virtual-time"].auto == "nowhere"


@pytest.mark.parametrize("guest", [THERE, LATER, NEVER])
def test_the_table_says_what_auto_does(guest: GuestState) -> None:
    """The doctor's word against the decision itself."""
    capabilities = {one.name: one for one in (*KERNEL, *find_clocks())}

    def missing(name: str) -> str | None:
        return None if capabilities[name].state is State.YES else "absent"

    kernels = Kernels(missing, lambda: None if guest.possible else guest.detail)
    for row in compare(capabilities.values(), guest):
        placed = place([row.need], Choice(), kernels)
        assert row.auto == ("nowhere" if placed.refused else placed.machine)


def test_scenarios_that_need_the_guest_are_not_lost() -> None:
    report = _examine((("delay", ("netem", "tun")), ("no dig", ("netem", "dig"))), guest=THERE)
    delay, names = report.effects
    assert (delay.guest, delay.missing, delay.can_run) == (("netem",), (), True)
    assert (names.guest, names.missing) == ((), ("netem", "dig")), "the guest has no dig either"
    assert report.summary() == "1 of 2 scenarios can run here, 1 of them in a guest."
    shown = _text(report)
    assert "the host has no netem" in shown
    assert "guest (built)" in shown
    data = report.to_json()
    assert data["guest_kernel"] == {"state": "built", "detail": "Linux 6.12"}
    assert {"need": "netem", "host": False, "guest": True, "auto": "guest, real clock"} in data[
        "kernels"
    ]


def test_a_machine_without_namespaces_can_still_have_guests() -> None:
    rights = {"namespaces": "Operation not permitted"}
    assert not _examine(rights=rights).usable
    assert _examine(rights=rights, guest=THERE).usable


def test_programs_that_are_not_in_the_list() -> None:
    report = examine([("a", ("program:sh", "program:no-such-program"))])
    (effect,) = report.effects
    assert effect.missing == ("program:no-such-program",)
    assert effect.unknown == ()


def test_without_tools_there_is_no_guest_and_the_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_key, "PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    reason = no_guest_here()
    assert reason is not None
    assert "gcc" in reason
    assert "apt-get install" in reason
    state = find_guest()
    assert (state.state, state.possible, state.detail) == (IMPOSSIBLE, False, reason)


def test_in_a_guest_there_is_no_further_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hostlink").touch()
    monkeypatch.setattr(availability, "DEVICE", str(tmp_path / "hostlink"))
    assert no_guest_here() == "this is a guest already"


def test_a_damaged_kernel_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> None:
        raise GuestKernelError("the cached guest kernel is not complete", hint="remove it")

    monkeypatch.setattr("testbed.doctor.kernels.no_guest_here", lambda: None)
    monkeypatch.setattr("testbed.doctor.kernels.find_kernel", damaged)
    assert find_guest() == GuestState(
        DAMAGED, "the cached guest kernel is not complete (remove it)"
    )


def test_not_built_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.doctor.kernels.no_guest_here", lambda: None)
    monkeypatch.setattr("testbed.doctor.kernels.find_kernel", lambda: None)
    state = find_guest()
    assert (state.state, state.possible) == (NOT_BUILT, True)


def test_rights_that_an_ordinary_user_lacks_are_there_in_a_guest() -> None:
    root = _capability("root", Kind.MACHINE, State.NO)
    (row,) = compare((root,), THERE)
    assert (row.host, row.guest, row.auto) == (False, True, "guest, real clock")
