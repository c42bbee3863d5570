"""Facts about the machine, read from its files; ``root`` is where those lie (tests move it)."""

from __future__ import annotations

import os
import platform
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from testbed.doctor.capability import Fact

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Machine:
    """What was read off the machine; sizes in bytes, -1 where the machine does not say.

    ``memory_available`` respects the limit of a control group, as containers and CI have it.
    ``container`` names the kind of container or guest, empty on a plain machine.
    ``descriptors`` is the most open files that a lab may have (the hard limit, or for root what
    the kernel allows).  ``neighbours`` is the size of the ARP table that all network namespaces
    share (None: not shown here), ``neighbours_full`` how often that or the ND table was full.
    """

    system: str
    kernel: str
    architecture: str
    cores: int
    memory_total: int
    memory_available: int
    disk_free: int
    user: int
    container: str
    descriptors: int
    python: str
    neighbours: int | None = None
    neighbours_full: int = 0

    def facts(self) -> tuple[Fact, ...]:
        """As a person reads them."""
        who = "root" if self.user == 0 else f"user {self.user}"
        return (
            Fact("system", self.system),
            Fact("kernel", f"{self.kernel} ({self.architecture})"),
            Fact("container", self.container or "none seen"),
            Fact("running as", who),
            Fact("cores", str(self.cores)),
            Fact("memory", f"{_gib(self.memory_available)} free of {_gib(self.memory_total)}"),
            Fact("disk", f"{_gib(self.disk_free)} free here"),
            Fact("open files", f"up to {self.descriptors}"),
            Fact("python", self.python),
        )


def read_machine(root: Path = Path("/"), work: Path = Path()) -> Machine:
    """Read it all; ``work`` is the folder whose disk takes the runs."""
    total, available = _memory(root)
    user = os.geteuid()
    return Machine(
        system=_system(root),
        kernel=platform.release(),
        architecture=platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_total=total,
        memory_available=available,
        disk_free=shutil.disk_usage(work).free,
        user=user,
        container=_container(root),
        descriptors=_descriptors(root, user),
        python=platform.python_version(),
        neighbours=number_in(root / "proc/sys/net/ipv4/neigh/default/gc_thresh3"),
        neighbours_full=sum(_full(root, cache) for cache in ("arp_cache", "ndisc_cache")),
    )


def number_in(path: Path) -> int | None:
    """The number that a /proc or /sys file holds; None if there is no such file or number."""
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _full(root: Path, cache: str) -> int:
    """How often a neighbour table was full: hexadecimal, a line for each CPU."""
    try:
        text = (root / "proc/net/stat" / cache).read_text(encoding="utf-8")
        head, *lines = text.splitlines()
        column = head.split().index("table_fulls")
        return sum(int(line.split()[column], 16) for line in lines)
    except (OSError, ValueError, IndexError):
        return 0


def _gib(size: int) -> str:
    return "unknown" if size < 0 else f"{size / _GIB:.1f} GiB"


def _system(root: Path) -> str:
    try:
        lines = (root / "etc/os-release").read_text().splitlines()
    except OSError:
        return "unknown"
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("PRETTY_NAME", "unknown").strip("\"'")


def _memory(root: Path) -> tuple[int, int]:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return -1, -1
    sizes = {
        line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")
    }
    total, available = sizes.get("MemTotal", -1), sizes.get("MemAvailable", -1)
    for limit_file, used_file in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        group = root / "sys/fs/cgroup"
        limit, used = number_in(group / limit_file), number_in(group / used_file)
        if limit is not None and used is not None and limit < total:
            total, available = limit, min(available, limit - used)
    return total, available


def _container(root: Path) -> str:
    if (root / "run/.containerenv").exists():
        return "podman"
    if (root / ".dockerenv").exists():
        return "docker (or an image made by it)"
    try:
        told = (root / "run/systemd/container").read_text().strip()
    except OSError:
        told = ""
    if told:
        return told
    try:
        cpu = (root / "proc/cpuinfo").read_text()
    except OSError:
        return ""
    return "User Mode Linux" if "User Mode Linux" in cpu else ""


def _descriptors(root: Path, user: int) -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = number_in(root / "proc/sys/fs/nr_open") or hard
    # Root may raise its own hard limit, and a lab of root does so.
    return ceiling if user == 0 or hard == resource.RLIM_INFINITY else hard
