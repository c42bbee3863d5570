"""A node of a containerlab file as it stands there, and what its settings make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from testbed.errors import Place
from testbed.model.clab import words
from testbed.model.clab.commands import Effects
from testbed.model.clab.sections import Said, Section
from testbed.model.topology import HOST, OVS, ROLES, ROUTER, SWITCH

_FORWARDING_4 = (words.FORWARD_4, "net.ipv4.conf.all.forwarding")


class Interfaces(Protocol):
    """What a node needs to know of the links."""

    def names(self, node: str) -> list[str]:
        """The interfaces of the node, those with nothing behind them too."""

    def cables(self, node: str) -> int:
        """How many of them lead to another node."""


@dataclass(slots=True)
class Raw:
    """A node as the file has it."""

    key: str
    name: str  # ours
    place: Place | None
    kind: str | None
    layers: tuple[Section, ...]  # from the least to the most specific
    group: str | None
    labels: dict[str, str]
    network: Said | None
    effects: Effects = field(default_factory=Effects)
    role: str | None = None
    is_lab_node: bool = True

    @property
    def own(self) -> Section:
        """The node's own section."""
        return self.layers[-1]

    @property
    def is_ours(self) -> bool:
        """Whether we have written it: then its labels say what else it is."""
        return words.ROLE in self.labels

    @property
    def parent(self) -> str | None:
        """The node whose network namespace it shares."""
        mode = self.network.text if self.network else ""
        return mode.removeprefix("container:") if mode.startswith("container:") else None


def role_of(raw: Raw, links: Interfaces) -> tuple[str, dict[str, str]]:
    """A machine that forwards is a router; one family only stays one family only."""
    late = raw.effects.settings
    if raw.is_ours and (role := raw.labels[words.ROLE]) in ROLES:
        forward = "1" if role == ROUTER else "0"
        of_role = dict.fromkeys((words.FORWARD_4, words.FORWARD_6), forward)
        own = _without(raw.own.settings, {} if role == SWITCH else of_role)
        shared: dict[str, str] = {}
        for layer in raw.layers[:-1]:
            shared |= _without(layer.settings, words.COMMON_SETTINGS)
        return role, {**shared, **own, **late}
    settings: dict[str, str] = {}
    for layer in raw.layers:
        settings |= layer.settings
    settings |= late
    if raw.role == SWITCH:
        return SWITCH, settings
    by_name = {key.replace("/", "."): value for key, value in settings.items()}
    told = [by_name[key] for key in _FORWARDING_4 if key in by_name]
    four = "1" in told if told else links.cables(raw.name) > 1
    six = by_name.get(words.FORWARD_6) == "1"
    if not (four or six):
        return HOST, settings
    forwarding = dict.fromkeys((*_FORWARDING_4, words.FORWARD_6), "1")
    rest = _without(settings, forwarding)
    if not four:
        rest.setdefault(words.FORWARD_4, "0")
    if not six:
        rest.setdefault(words.FORWARD_6, "0")
    return ROUTER, rest


def inside(raw: Raw) -> str | None:
    """What a switch is inside, where somebody has said it."""
    if raw.is_ours:
        return raw.labels.get(words.INSIDE)
    return OVS if raw.kind == "ovs-bridge" and raw.role == SWITCH else None


def _without(settings: dict[str, str], common: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in settings.items() if common.get(key) != value}


def interface_of(setting: str) -> str | None:
    """The interface that a kernel setting names."""
    parts = setting.split("/" if "/" in setting else ".")
    return parts[3] if len(parts) > 4 and parts[2] in ("conf", "neigh") else None


def remark(labels: dict[str, str]) -> str:
    """What somebody else's labels say, as a note for the drawing."""
    return "; ".join(f"{key}={value}" for key, value in labels.items())
