"""What this user may do on this machine: judged by doing it once (see ``attempt``)."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from testbed.doctor import attempt
from testbed.doctor.capability import Capability, Kind, State
from testbed.doctor.facts import Machine, number_in

NAMESPACES = "namespaces"
"""The capability without which nothing runs at all."""

_PATIENCE = 30.0
_ROOMY = 4096
"""Open files that labs of every shipped size fit into: each node costs the lab one or two."""
_SMALL_MEMORY = 512 << 20

_CONTAINER_HINT = (
    "in a container: start it with --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add NET_RAW "
    "--device /dev/net/tun --security-opt apparmor=unconfined --security-opt seccomp=unconfined"
)

_TRIED = "tried, works"
_NOT_TRIED = f"not tried, for want of {NAMESPACES}"

Results = Mapping[str, str]


def try_out() -> Results:
    """Run ``attempt`` in a process of its own; its steps and what was refused."""
    with tempfile.TemporaryDirectory(prefix="testbed-doctor-") as folder:
        command = [sys.executable, "-m", "testbed.doctor.attempt", folder]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {attempt.NAMESPACES: f"trying it took longer than {_PATIENCE:g} s"}
    try:
        results = json.loads(done.stdout)
    except ValueError:
        last = next(reversed(done.stderr.decode("utf-8", "replace").strip().splitlines()), "")
        return {attempt.NAMESPACES: f"trying it ended with status {done.returncode}: {last}"}
    return {str(step): str(refused) for step, refused in results.items()}


def judge(machine: Machine, results: Results, root: Path = Path("/")) -> tuple[Capability, ...]:
    """Turn what was tried and read into capabilities."""
    return tuple(_judge(machine, results, root))


def _judge(machine: Machine, results: Results, root: Path) -> Iterator[Capability]:
    yield _namespaces(machine, results, root)
    yield _one(
        results,
        "tun",
        attempt.TUN,
        "packets of a lab's own network functions (MAP-E CE and BR)",
        lambda refused: _tun_remedy(refused, machine, root),
    )
    yield _one(results, "packet_socket", attempt.PACKET_SOCKET, "packet captures", _in_container)
    yield _one(
        results,
        "ipv6",
        attempt.IPV6,
        "everything: the access networks are IPv6",
        lambda _: "boot without ipv6.disable=1",
    )
    yield _one(results, "sysctl", attempt.FORWARDING, "nodes that forward packets", _in_container)
    yield _one(
        results,
        "overlayfs",
        attempt.OVERLAY,
        "nodes with /etc, /var and /tmp of their own",
        lambda _: "modprobe overlay; for users other than root from Linux 5.11 on",
    )
    yield _sys_view(results)
    yield _root(machine)
    yield _descriptors(machine)
    yield from _neighbours(machine)
    yield _memory(machine)


def _capability(name: str, purpose: str, state: State, detail: str, remedy: str = "") -> Capability:
    return Capability(name, Kind.MACHINE, state, purpose, detail, remedy)


def _one(
    results: Results, name: str, step: str, purpose: str, remedy: Callable[[str], str]
) -> Capability:
    refused = results.get(step)
    if refused is None:
        return _capability(name, purpose, State.NO, _NOT_TRIED)
    if refused:
        return _capability(name, purpose, State.NO, refused, remedy(refused))
    return _capability(name, purpose, State.YES, _TRIED)


def _in_container(refused: str) -> str:
    del refused
    return _CONTAINER_HINT


def _namespaces(machine: Machine, results: Results, root: Path) -> Capability:
    purpose = "every lab: networks, mounts and processes of its own"
    for step in (attempt.USER_NAMESPACE, attempt.NAMESPACES, attempt.ROOT_FOLDER, attempt.MOUNTS):
        if refused := results.get(step, ""):
            detail = f"{step}: {refused}"
            remedy = _namespace_remedy(step, machine, root)
            return _capability(NAMESPACES, purpose, State.NO, detail, remedy)
    if attempt.NAMESPACES not in results:
        return _capability(NAMESPACES, purpose, State.NO, "could not be tried")
    how = "as root" if machine.user == 0 else "inside a user namespace"
    return _capability(NAMESPACES, purpose, State.YES, f"{_TRIED} ({how})")


def _namespace_remedy(step: str, machine: Machine, root: Path) -> str:
    if step == attempt.ROOT_FOLDER:
        return "run it outside the chroot, or enter the folder as containers do (pivot_root)"
    if step == attempt.USER_NAMESPACE or machine.user != 0:
        settings = root / "proc/sys"
        for key, closed, opened in (
            ("kernel/unprivileged_userns_clone", 0, "1"),
            ("user/max_user_namespaces", 0, "10000"),
            ("kernel/apparmor_restrict_unprivileged_userns", 1, "0"),
        ):
            if number_in(settings / key) == closed:
                return f"run as root, or allow it: sysctl -w {key.replace('/', '.')}={opened}"
        if not machine.container:
            return "run as root: this kernel, or a security module, forbids it to other users"
    return _CONTAINER_HINT


def _tun_remedy(refused: str, machine: Machine, root: Path) -> str:
    device = root / "dev/net/tun"
    if not device.exists():
        if machine.container:
            return _CONTAINER_HINT
        return "modprobe tun (or a kernel with CONFIG_TUN)"
    if machine.user != 0 and "denied" in refused:
        mode = device.stat().st_mode & 0o777
        return (
            f"run as root, or: chmod 0666 {device} (its mode is {mode:04o}; most systems have 0666)"
        )
    return _CONTAINER_HINT


def _sys_view(results: Results) -> Capability:
    name, purpose = "sys-view", "nodes that see their own interfaces in /sys"
    refused = results.get(attempt.SYS_VIEW)
    if refused is None:
        return _capability(name, purpose, State.NO, _NOT_TRIED)
    if refused:
        return _capability(name, purpose, State.LIMITED, refused, _CONTAINER_HINT)
    return _capability(name, purpose, State.YES, _TRIED)


def _root(machine: Machine) -> Capability:
    purpose = "daemons that change to a user of their own"
    if machine.user == 0:
        return _capability("root", purpose, State.YES, "yes")
    detail = f"user {machine.user}: only one user exists inside a lab"
    return _capability("root", purpose, State.NO, detail, "run with sudo")


def _descriptors(machine: Machine) -> Capability:
    name, purpose = "open-files", "labs of many nodes"
    detail = f"up to {machine.descriptors}"
    if machine.descriptors >= _ROOMY:
        return _capability(name, purpose, State.YES, detail)
    remedy = f"ulimit -Hn {_ROOMY} (limits.conf: nofile), or run as root"
    return _capability(name, purpose, State.LIMITED, detail, remedy)


def _memory(machine: Machine) -> Capability:
    name, purpose = "memory", "daemons of a lab, captures, reports"
    free = machine.memory_available
    if free < 0:
        return _capability(
            name, purpose, State.LIMITED, "the machine does not say", "look at free -h"
        )
    detail = f"{free >> 20} MiB free"
    if free >= _SMALL_MEMORY:
        return _capability(name, purpose, State.YES, detail)
    return _capability(
        name, purpose, State.LIMITED, detail, f"leave {_SMALL_MEMORY >> 20} MiB free"
    )


def _neighbours(machine: Machine) -> Iterator[Capability]:
    """The kernel has one neighbour table for all network namespaces (``arp_tbl``, ``nd_tbl``)."""
    if machine.neighbours is None:
        return  # only the first network namespace shows it
    name, purpose = "neighbours", "labs of many busy links: all share one ARP and ND table"
    detail = f"up to {machine.neighbours} entries for the whole machine"
    if not machine.neighbours_full:
        yield _capability(name, purpose, State.YES, detail)
        return
    remedy = (
        "for labs of very many busy links: sysctl -w net.ipv4.neigh.default.gc_thresh3=16384 "
        "net.ipv6.neigh.default.gc_thresh3=16384"
    )
    detail += f"; it was full {machine.neighbours_full} times since the machine started"
    yield _capability(name, purpose, State.LIMITED, detail, remedy)
