"""Facts read off a machine that is laid out in a folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.doctor.facts import Machine, read_machine

GIB = 1 << 30


def lay(root: Path, **files: str) -> Path:
    """Write files below ``root``; ``__`` in a name is a slash, and the dots are as they are."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal:  8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\nHugePages_Total: 0\n"


def test_the_system_and_its_memory(tmp_path: Path) -> None:
    root = lay(tmp_path, proc__meminfo=MEMINFO)
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text('NAME="x"\nPRETTY_NAME="Debian GNU/Linux 12"\n')
    machine = read_machine(root, tmp_path)
    assert machine.system == "Debian GNU/Linux 12"
    assert (machine.memory_total, machine.memory_available) == (8 * GIB, 4 * GIB)
    assert machine.user == os.geteuid()


@pytest.mark.parametrize(
    ("limit_file", "used_file"),
    [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ],
)
def test_a_control_group_may_allow_less(tmp_path: Path, limit_file: str, used_file: str) -> None:
    root = lay(tmp_path, proc__meminfo=MEMINFO)
    group = root / "sys/fs/cgroup"
    (group / "memory").mkdir(parents=True)
    (group / limit_file).write_text(f"{2 * GIB}\n")
    (group / used_file).write_text(f"{GIB // 2}\n")
    machine = read_machine(root, tmp_path)
    assert (machine.memory_total, machine.memory_available) == (2 * GIB, 3 * GIB // 2)


def test_a_control_group_without_a_limit(tmp_path: Path) -> None:
    root = lay(tmp_path, proc__meminfo=MEMINFO)
    group = root / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("4096\n")
    assert read_machine(root, tmp_path).memory_total == 8 * GIB


@pytest.mark.parametrize(
    ("path", "text", "container"),
    [
        (".dockerenv", "", "docker (or an image made by it)"),
        ("run/.containerenv", "", "podman"),
        ("run/systemd/container", "lxc\n", "lxc"),
        ("proc/cpuinfo", "vendor_id : User Mode Linux\n", "User Mode Linux"),
        ("proc/cpuinfo", "vendor_id : GenuineIntel\n", ""),
        ("nothing", "", ""),
    ],
)
def test_containers_are_told_apart(tmp_path: Path, path: str, text: str, container: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    assert read_machine(tmp_path, tmp_path).container == container


def test_a_machine_that_says_nothing_is_no_reason_to_fail(tmp_path: Path) -> None:
    machine = read_machine(tmp_path, tmp_path)
    assert (machine.system, machine.memory_total) == ("unknown", -1)
    assert {fact.name: fact.value for fact in machine.facts()}["memory"] == (
        "unknown free of unknown"
    )


def test_this_machine() -> None:
    machine = read_machine()
    assert machine.memory_total >= machine.memory_available > 0
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert machine.descriptors > 0


PLAIN = Machine(
    system="Debian GNU/Linux 12",
    kernel="6.1.0",
    architecture="x86_64",
    cores=2,
    memory_total=8 * GIB,
    memory_available=4 * GIB,
    disk_free=9 * GIB,
    user=0,
    container="",
    descriptors=1 << 20,
    python="3.11.2",
)


def test_facts_are_what_a_person_reads() -> None:
    facts = {fact.name: fact.value for fact in replace(PLAIN, user=1000).facts()}
    assert facts["running as"] == "user 1000"
    assert facts["kernel"] == "6.1.0 (x86_64)"
    assert facts["memory"] == "4.0 GiB free of 8.0 GiB"
    assert facts["container"] == "none seen"


def test_the_neighbour_tables_are_read(tmp_path: Path) -> None:
    settings = tmp_path / "proc/sys/net/ipv4/neigh/default"
    settings.mkdir(parents=True)
    (settings / "gc_thresh3").write_text("1024\n")
    stat = tmp_path / "proc/net/stat"
    stat.mkdir(parents=True)
    head = "entries  allocs   table_fulls\n"
    (stat / "arp_cache").write_text(f"{head}00000003 0000d90c 0000018a\n00000003 0 00000001\n")
    (stat / "ndisc_cache").write_text(f"{head}00000003 0000d90c 00000000\n")
    machine = read_machine(tmp_path)
    assert (machine.neighbours, machine.neighbours_full) == (1024, 395)
