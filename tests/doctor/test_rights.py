"""What a user may do: from what was refused to what to do about it; and one real attempt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.doctor import attempt, rights
from testbed.doctor.capability import Capability, State
from testbed.doctor.facts import Machine
from tests.doctor.test_facts import PLAIN

STEPS = (
    attempt.NAMESPACES,
    attempt.ROOT_FOLDER,
    attempt.MOUNTS,
    attempt.SYS_VIEW,
    attempt.OVERLAY,
    attempt.TUN,
    attempt.PACKET_SOCKET,
    attempt.IPV6,
    attempt.FORWARDING,
)
ALL_WELL = dict.fromkeys(STEPS, "")
USER = replace(PLAIN, user=1000)


def _judge(
    machine: Machine, results: Mapping[str, str], root: Path = Path("/nowhere")
) -> dict[str, Capability]:
    return {c.name: c for c in rights.judge(machine, results, root)}


def test_root_on_a_plain_machine_may_do_all() -> None:
    found = _judge(PLAIN, ALL_WELL)
    assert {c.state for c in found.values()} == {State.YES}
    assert not any(c.remedy for c in found.values())


def test_an_ordinary_user_lacks_only_root() -> None:
    found = _judge(USER, {attempt.USER_NAMESPACE: "", **ALL_WELL})
    assert [c.name for c in found.values() if c.state is not State.YES] == ["root"]
    assert "inside a user namespace" in found["namespaces"].detail


@pytest.mark.parametrize(
    ("setting", "value", "action"),
    [
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_the_setting_that_forbids_user_namespaces_is_named(
    tmp_path: Path, setting: str, value: str, action: str
) -> None:
    path = tmp_path / "proc/sys" / setting
    path.parent.mkdir(parents=True)
    path.write_text(f"{value}\n")
    found = _judge(USER, {attempt.USER_NAMESPACE: "Operation not permitted"}, tmp_path)
    capability = found["namespaces"]
    assert capability.state is State.NO
    assert capability.detail == "user namespace: Operation not permitted"
    assert capability.remedy.endswith(action)


def test_what_builds_on_a_failed_step_is_not_called_tried() -> None:
    found = _judge(USER, {attempt.USER_NAMESPACE: "Operation not permitted"})
    for name in ("tun", "packet_socket", "ipv6", "sysctl", "overlayfs", "sys-view"):
        assert found[name].state is State.NO
        assert found[name].detail.startswith("not tried")


def test_in_a_container_the_options_of_its_start_are_named() -> None:
    boxed = replace(PLAIN, container="docker")
    found = _judge(boxed, {attempt.NAMESPACES: "Operation not permitted"})
    assert "--cap-add SYS_ADMIN" in found["namespaces"].remedy


def test_a_chroot_is_told(tmp_path: Path) -> None:
    found = _judge(PLAIN, {attempt.NAMESPACES: "", attempt.ROOT_FOLDER: "this is a chroot"})
    assert found["namespaces"].state is State.NO
    assert "pivot_root" in found["namespaces"].remedy


def test_a_tun_device_closed_to_users(tmp_path: Path) -> None:
    device = tmp_path / "dev/net/tun"
    device.parent.mkdir(parents=True)
    device.touch()
    device.chmod(0o600)
    found = _judge(USER, {**ALL_WELL, attempt.TUN: "Permission denied"}, tmp_path)
    assert found["tun"].state is State.NO
    assert "chmod 0666" in found["tun"].remedy
    assert "0600" in found["tun"].remedy


def test_a_tun_device_that_is_absent(tmp_path: Path) -> None:
    found = _judge(USER, {**ALL_WELL, attempt.TUN: "No such file or directory"}, tmp_path)
    assert found["tun"].remedy.startswith("modprobe tun")


def test_a_node_without_its_own_sys_is_limited() -> None:
    found = _judge(PLAIN, {**ALL_WELL, attempt.SYS_VIEW: "/sys shows the host's interfaces"})
    assert found["sys-view"].state is State.LIMITED
    assert found["sys-view"].present


@pytest.mark.parametrize(
    ("machine", "name", "detail"),
    [
        (replace(PLAIN, descriptors=1024), "open-files", "up to 1024"),
        (replace(PLAIN, memory_available=100 << 20), "memory", "100 MiB free"),
        (replace(PLAIN, memory_available=-1), "memory", "the machine does not say"),
    ],
)
def test_a_small_machine_is_limited(machine: Machine, name: str, detail: str) -> None:
    capability = _judge(machine, ALL_WELL)[name]
    assert (capability.state, capability.detail) == (State.LIMITED, detail)
    assert capability.remedy


def test_the_real_attempt_goes_to_its_last_step_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    results = rights.try_out()
    assert list(tmp_path.iterdir()) == []
    assert (attempt.USER_NAMESPACE in results) == (os.geteuid() != 0)
    assert set(results) <= {attempt.USER_NAMESPACE, *STEPS}
    if not any(results.get(step) for step in (attempt.USER_NAMESPACE, attempt.NAMESPACES)):
        # What the kernel let us begin was carried through.
        assert set(STEPS) <= set(results)


def test_a_real_chroot_is_seen_as_one() -> None:
    """In a mount namespace of its own, before and after chroot(2)."""
    code = (
        "import json, os, sys\n"
        "from testbed.kernel import libc, mounts, namespaces\n"
        "from testbed.doctor import attempt\n"
        "if os.geteuid() != 0: namespaces.become_root_of_user_namespace()\n"
        "libc.unshare(libc.CLONE_NEWNS)\n"
        "libc.mount('none', '/', None, libc.MS_REC | libc.MS_PRIVATE)\n"
        "libc.mount('tmpfs', '/mnt', 'tmpfs')\n"
        "os.mkdir('/mnt/proc')\n"
        "libc.mount('/proc', '/mnt/proc', None, libc.MS_BIND | libc.MS_REC)\n"
        "before = attempt._root_folder()\n"
        "os.chroot('/mnt')\n"
        "print(json.dumps([before, attempt._root_folder()]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if "may not make a user namespace" in done.stderr:
        pytest.skip("this user may not make a user namespace")
    before, inside = json.loads(done.stdout)
    assert before is None
    assert "chroot" in inside


def test_an_attempt_that_cannot_be_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    found = _judge(PLAIN, rights.try_out())
    assert found["namespaces"].state is State.NO
    assert "ended with status 1" in found["namespaces"].detail


def test_the_neighbour_table_is_the_whole_machines() -> None:
    quiet = _judge(replace(PLAIN, neighbours=1024), ALL_WELL)["neighbours"]
    assert (quiet.state, quiet.remedy) == (State.YES, "")
    assert quiet.detail == "up to 1024 entries for the whole machine"
    busy = _judge(replace(PLAIN, neighbours=1024, neighbours_full=395), ALL_WELL)["neighbours"]
    assert busy.state is State.LIMITED
    assert "it was full 395 times" in busy.detail
    assert "gc_thresh3" in busy.remedy
    assert "neighbours" not in _judge(PLAIN, ALL_WELL), "not visible in this namespace"
