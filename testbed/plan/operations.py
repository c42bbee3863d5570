"""The steps that turn a topology into a network, as frozen data.

Every decision is already made here: interface numbers, MAC addresses, the order.  ``node`` is the
node's name; :data:`FABRIC` stands for the lab's own outer namespace, where LAN segments live.
``text()`` is the line that ``testbed plan`` prints and that golden files keep.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.impairment import Impairment
from testbed.model.service import Service
from testbed.model.topology import InterfaceAddress, MininetSource, Prefix

FABRIC = "@fabric"


@dataclass(frozen=True, slots=True)
class MakeNode:
    """A node, with its settings in force before any interface of ours exists.

    ``image``, ``capabilities`` (``NET_ADMIN``) and ``devices`` (``/dev/net/tun``) are for backends
    that confine what they run; the last two are what the node's services say they need.
    """

    node: str
    role: str
    settings: tuple[tuple[str, str], ...]
    backend: str = "netns"
    image: str | None = None
    capabilities: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    def text(self) -> str:
        head = f"node {self.node} ({self.role}, {self.backend}"
        head += f", image {self.image})" if self.image else ")"
        lines = [head, *(f"    {key} = {value}" for key, value in self.settings)]
        if self.backend == "docker":
            lines += [f"    may {name}" for name in (*self.capabilities, *self.devices)]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class SetSetting:
    """A kernel setting (sysctl) of a node or of the fabric."""

    node: str
    key: str
    value: str

    def text(self) -> str:
        return f"setting {self.node} {self.key} = {self.value}"


@dataclass(frozen=True, slots=True)
class MakeBridge:
    """An Ethernet bridge: a LAN segment in the fabric, or the inside of a switch node."""

    node: str
    name: str
    index: int
    mtu: int

    def text(self) -> str:
        return f"bridge {self.node}:{self.name} #{self.index} mtu {self.mtu}"


@dataclass(frozen=True, slots=True)
class Port:
    """One end of a cable: where it goes, its name, number and MAC; ``bridge`` is its master."""

    node: str
    name: str
    index: int
    mac: str
    bridge: int | None = None

    def text(self) -> str:
        master = f" in bridge #{self.bridge}" if self.bridge is not None else ""
        return f"{self.node}:{self.name} #{self.index} {self.mac}{master}"


@dataclass(frozen=True, slots=True)
class MakeCable:
    """A virtual Ethernet cable, each end put straight into its namespace."""

    link: str
    left: Port
    right: Port
    mtu: int

    def text(self) -> str:
        return f"cable {self.link} mtu {self.mtu}: {self.left.text()} -- {self.right.text()}"


@dataclass(frozen=True, slots=True)
class Shape:
    """Impairment of what leaves an interface."""

    node: str
    interface: str
    index: int
    impairment: Impairment

    def text(self) -> str:
        fields = ("rate", "delay", "jitter", "loss", "reorder", "duplicate", "corrupt", "queue")
        values = ((name, getattr(self.impairment, name)) for name in fields)
        listing = " ".join(f"{name} {value}" for name, value in values if value)
        return f"shape {self.node}:{self.interface} {listing}"


@dataclass(frozen=True, slots=True)
class AddAddress:
    """An address on an interface, usable at once (no duplicate address detection)."""

    node: str
    interface: str
    index: int
    address: InterfaceAddress

    def text(self) -> str:
        return f"address {self.node}:{self.interface} {self.address}"


@dataclass(frozen=True, slots=True)
class SetUp:
    """Switch an interface on."""

    node: str
    interface: str
    index: int

    def text(self) -> str:
        return f"up {self.node}:{self.interface}"


@dataclass(frozen=True, slots=True)
class AddRoute:
    """A static route; ``index`` is the number of ``dev`` where one is named."""

    node: str
    to: Prefix
    via: str | None
    dev: str | None
    index: int | None
    kind: str
    metric: int | None
    mtu: int | None

    def text(self) -> str:
        words = [f"route {self.node} {self.to}"]
        if self.kind != "unicast":
            words.append(self.kind)
        for name in ("via", "dev", "metric", "mtu"):
            value = getattr(self, name)
            if value is not None:
                words.append(f"{name} {value}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class LoadFirewall:
    """An nftables ruleset for a node."""

    node: str
    ruleset: str

    def text(self) -> str:
        body = "\n".join(f"    {line}" for line in self.ruleset.strip().splitlines())
        return f"firewall {self.node}\n{body}"


@dataclass(frozen=True, slots=True)
class LayFile:
    """A text file in the node's own view of the file system."""

    node: str
    path: str
    content: str

    def text(self) -> str:
        return f"file {self.node}:{self.path} ({len(self.content.encode())} bytes)"


@dataclass(frozen=True, slots=True)
class StartService:
    """A service, started when those it comes after are ready."""

    node: str
    service: Service

    def text(self) -> str:
        command = " ".join(self.service.command)
        ready = f"{self.service.ready.kind} {self.service.ready.value}".strip()
        after = f" after {', '.join(self.service.after)}" if self.service.after else ""
        return f"service {self.node}/{self.service.name}: {command}  [ready: {ready}]{after}"


Operation = (
    MakeNode
    | SetSetting
    | MakeBridge
    | MakeCable
    | Shape
    | AddAddress
    | SetUp
    | AddRoute
    | LoadFirewall
    | LayFile
    | StartService
)


@dataclass(frozen=True, slots=True)
class Plan:
    """All steps in order, and the kernel features they need with the place that needs each."""

    topology: str
    operations: tuple[Operation, ...]
    needs: tuple[tuple[str, str], ...]
    mininet: MininetSource | None = None
    """What Mininet builds nodes and links from; then no operation does."""
    seed: int = 0

    def text(self) -> str:
        """The plan as ``testbed plan`` prints it."""
        lines = [f"# plan of {self.topology}"]
        if self.mininet is not None:
            words = " ".join((f"{self.mininet.file}:{self.mininet.topo}", *self.mininet.options))
            lines.append(f"# Mininet builds nodes and links: {words}")
        lines += [f"# needs {feature}: {place}" for feature, place in self.needs]
        lines += [operation.text() for operation in self.operations]
        return "\n".join(lines) + "\n"
