"""One container: from the order to the descriptors of its namespaces."""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.backends.docker_keeper.engine import elsewhere, explained
from testbed.backends.docker_keeper.labels import PYTHON, LabLabels
from testbed.errors import LabError, MissingFeatureError
from testbed.images import reference

if TYPE_CHECKING:
    from docker import DockerClient

AGENT = "/.testbed-agent"
PACKAGE_PARENT = "/.testbed-package"
DEFAULT_IMAGE = "testbed"

CAPABILITIES = (
    # What daemons do as root: change user, keep their files, bind low ports, chroot.
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE"),
    *("SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    # What a node of a network does: ip, nft, ping, tcpdump.
    *("NET_ADMIN", "NET_RAW"),
)
"""What every node may.  Of Docker's usual ones AUDIT_WRITE, MKNOD and SETFCAP are left out: no
network function makes devices or gives files capabilities."""

_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger")
_OWN_SETTINGS = "net"
"""Of ``/proc/sys``: these settings are of the container's own network, and routing daemons write
them."""

_TOKEN = "TESTBED_CONTAINER"  # noqa: S105  # no password: tells a container's process from others
_SHARED_USERS = "0 0 4294967295"
_LONGEST_EXEC = 10.0
_LOOK_EVERY = 0.005


@dataclass(frozen=True, slots=True)
class Order:
    """A container to make.  ``package_parent`` is where our own code lies on this machine."""

    node: str
    image: str | None
    capabilities: tuple[str, ...]
    devices: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The image as the engine knows it."""
        return reference(self.image or DEFAULT_IMAGE)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all containers of a lab get from this machine."""

    agent: Path
    package: Path
    run_folder: Path


@dataclass(frozen=True, slots=True)
class Made:
    """A container that runs: descriptors of its namespaces, and what its image says of itself."""

    node: str
    network: int
    mounts: int
    path: str
    python: str | None
    image: str
    health_check: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All but the descriptors, which go beside it."""
        return {
            "made": self.node,
            "path": self.path,
            "python": self.python,
            "image": self.image,
            "health_check": list(self.health_check),
            "package_parent": PACKAGE_PARENT,
        }

    def close(self) -> None:
        """Let go of the descriptors."""
        os.close(self.network)
        os.close(self.mounts)


def check_orders(client: DockerClient, orders: Sequence[Order]) -> None:
    """Is everything there that these containers are made from?

    Raises:
        MissingFeatureError: images or devices are not; says which, all of them, and what to do.
    """
    missing = list(_missing(client, orders))
    if len(missing) == 1:
        raise missing[0]
    if missing:
        listing = "".join(f"\n  {one.where}: {one.what}" for one in missing)
        hints = "; ".join(dict.fromkeys(str(one.hint) for one in missing))
        raise MissingFeatureError(f"{len(missing)} things are missing here:{listing}", hint=hints)


def _missing(client: DockerClient, orders: Sequence[Order]) -> Iterator[MissingFeatureError]:
    """Each image and each device once, with the first node that wants it."""
    known: set[str] = set()
    for order in orders:
        for device in order.devices:
            if device not in known and not _is_device(device):
                yield MissingFeatureError(
                    f"there is no device {device} on this machine, which a service needs",
                    where=f"node {order.node}",
                    hint="testbed doctor says what would provide it",
                )
            known.add(device)
        if order.reference in known:
            continue
        known.add(order.reference)
        with explained(f"look for the image {order.reference}", f"node {order.node}"):
            there = _has_image(client, order.reference)
        if not there:
            yield _no_image(order)


def _has_image(client: DockerClient, reference: str) -> bool:
    from docker.errors import ImageNotFound

    try:
        client.images.get(reference)
    except ImageNotFound:
        return False
    return True


def _is_device(path: str) -> bool:
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _no_image(order: Order) -> MissingFeatureError:
    ours = order.reference != order.image
    return MissingFeatureError(
        f"there is no container image {order.reference}",
        where=f"node {order.node}",
        hint="build ours: make images" if ours else f"get it: docker pull {order.reference}",
    )


def make(client: DockerClient, order: Order, labels: LabLabels, shared: Shared) -> Made:
    """Create and start a node's container; returns when its first process runs.

    Raises:
        LabError: the engine refused, or the container is out of our reach.
    """
    from docker.types import LogConfig, Mount

    own_folder = shared.run_folder / "services" / order.node
    token = secrets.token_hex(16)
    where = f"node {order.node}"
    with explained(f"make a container from {order.reference}", where):
        own_folder.mkdir(parents=True, exist_ok=True)
        image = client.images.get(order.reference)
        python = (image.labels or {}).get(PYTHON)
        mounts = [
            Mount(AGENT, str(shared.agent), type="bind", read_only=True),
            Mount(str(own_folder), str(own_folder), type="bind"),
        ]
        if python is not None:
            target = f"{PACKAGE_PARENT}/{shared.package.name}"
            mounts.append(Mount(target, str(shared.package), type="bind", read_only=True))
        limits = client.api.create_host_config(
            network_mode="none",
            mounts=mounts,
            cap_drop=["ALL"],
            cap_add=sorted({*CAPABILITIES, *order.capabilities}),
            devices=[f"{device}:{device}:rwm" for device in order.devices],
            log_config=LogConfig(type="none"),
            auto_remove=True,
        )
        created = client.api.create_container(
            image.id,
            command=[],
            entrypoint=[AGENT],
            name=f"testbed-{labels.lab}-{order.node}-{labels.identity}",
            hostname=order.node,
            user="0:0",
            working_dir="/",
            stop_signal="SIGTERM",
            healthcheck={"test": ["NONE"]},  # the lab itself asks, when it wants to know
            environment={_TOKEN: token},
            labels=labels.of_node(order.node),
            host_config={**limits, "ReadonlyPaths": _read_only()},
        )
        container = client.containers.get(created["Id"])
        container.start()
        container.reload()
        pid = int(container.attrs["State"]["Pid"])
        namespaces = _open_namespaces(pid, token, where)
        if namespaces is None:
            container.reload()
            if container.attrs["State"]["Running"]:
                raise elsewhere("the Docker engine")
            raise LabError("its container ended as soon as it was started", where=where)
    network, mounts_of = namespaces
    config = image.attrs["Config"]
    return Made(
        order.node,
        network,
        mounts_of,
        path=_variable(config.get("Env") or (), "PATH"),
        python=python,
        image=order.reference,
        health_check=tuple((config.get("Healthcheck") or {}).get("Test") or ()),
    )


def _read_only() -> list[str]:
    """What Docker makes read-only, but for the settings of the container's own network."""
    settings = sorted(entry.name for entry in Path("/proc/sys").iterdir())
    others = (f"/proc/sys/{name}" for name in settings if name != _OWN_SETTINGS)
    return [*_READ_ONLY, *others]


def _variable(environment: Sequence[str], name: str) -> str:
    for entry in environment:
        if entry.startswith(f"{name}="):
            return entry.partition("=")[2]
    return ""


def _open_namespaces(pid: int, token: str, where: str) -> tuple[int, int] | None:
    """Descriptors of the network and mount namespace of a container's first process.

    None if its number means another process here, or none.

    Raises:
        LabError: its users are not ours.
    """
    folder = Path(f"/proc/{pid}")
    opened: list[int] = []
    try:
        for kind in ("net", "mnt"):
            opened.append(os.open(folder / "ns" / kind, os.O_RDONLY | os.O_CLOEXEC))
        users = " ".join((folder / "uid_map").read_text().split())
        # Last: if it is ours now, it was when the others were opened.
        if _has_variable(folder, f"{_TOKEN}={token}"):
            if users != _SHARED_USERS:
                raise LabError(
                    "the Docker engine gives containers users of their own, which cannot have a "
                    "lab's network and files",
                    where=where,
                    hint="use an engine without userns-remap, and not a rootless one",
                )
            network, mounts = opened
            opened.clear()
            return network, mounts
    except FileNotFoundError:
        pass
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return None


def _has_variable(process: Path, variable: str) -> bool:
    """Is this in a process's environment?

    The engine says that a container runs a moment before its first process is executed.
    """
    deadline = time.monotonic() + _LONGEST_EXEC
    while variable.encode() not in (process / "environ").read_bytes().split(b"\0"):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY)
    return True
