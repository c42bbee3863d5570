"""Export of a topology to containerlab's YAML (``*.clab.yml``): nodes of kind ``linux``.

Addresses, routes and settings of interfaces become ``exec`` commands; a switch is a container with
a bridge in its own namespace, and so is a LAN segment of more than two ends; text files and the
firewall are files beside the export that the containers bind.  Names and remarks for which
containerlab has no place are labels (:mod:`testbed.model.clab.words`).  What it cannot be told at
all - services, impairments, faults - is left out, and said: at the head of the file and to the
caller.

Format: containerlab.dev/manual/topo-def-file, nodes, kinds/bridge ("bridges in container
namespace"); its JSON Schema is clab.schema.json.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from testbed.errors import Problem
from testbed.model.clab import words
from testbed.model.clab.left_out import firewall_left, groups_kept, left_out
from testbed.model.topology import BRIDGE as LINUX_BRIDGE
from testbed.model.topology import (
    ROUTER,
    SWITCH,
    UNICAST,
    Interface,
    Link,
    Node,
    Route,
    Topology,
)
from testbed.model.yaml_text import yaml_text

DEFAULT_IMAGE = "nicolaka/netshoot:v0.13"  # it has iproute2 and nftables
_COMMENT_WIDTH = 400


@dataclass(frozen=True, slots=True)
class Exported:
    """A containerlab file, the files it binds (path relative to it, content), what is not in it."""

    text: str
    files: tuple[tuple[str, str], ...]
    left_out: tuple[Problem, ...]


def export_clab(
    topology: Topology, *, image: str = DEFAULT_IMAGE, folder: str | None = None
) -> Exported:
    """A (valid) topology as a containerlab file.

    Args:
        topology: the lab.
        image: the container image of nodes that name none.
        folder: where the files that containers bind will stand, relative to the exported file;
            without it such files are left out.
    """
    return _Export(topology, image, folder).document()


@dataclass(slots=True)
class _Export:
    """One export: what containerlab calls things, and what was written so far."""

    topology: Topology
    image: str
    folder: str | None
    names: dict[str, str] = field(default_factory=dict)  # of nodes
    segments: dict[str, str] = field(default_factory=dict)  # nodes made for segments, by link
    files: list[tuple[str, str]] = field(default_factory=list)

    def document(self) -> Exported:
        self._choose_names()
        topology = self.topology
        left = tuple(left_out(topology, self.names, has_folder=self.folder is not None))
        group_of = self._groups()
        nodes: dict[str, Any] = {}
        for node in topology.nodes:
            nodes |= self._node(node, group_of.get(node.name))
        for link in topology.links:
            if link.name in self.segments:
                nodes |= self._segment(link)
        shared = {words.TITLE: topology.title, words.SEED: topology.seed and str(topology.seed)}
        labels = {key: value for key, value in shared.items() if value}
        inner: dict[str, Any] = {
            "defaults": {"labels": labels} if labels else None,
            "kinds": {
                "linux": {
                    "image": self.image,
                    "entrypoint": words.STAY,
                    "network-mode": "none",
                    "sysctls": dict(words.COMMON_SETTINGS),
                }
            },
            "nodes": nodes,
            "links": [item for link in topology.links for item in self._link(link)],
        }
        data = {"name": topology.name, "topology": _filled(inner)}
        text = "\n".join(self._head(left)) + "\n" + yaml_text(data)
        return Exported(words.escaped(text), tuple(self.files), left)

    def _choose_names(self) -> None:
        taken = {node.name.casefold() for node in self.topology.nodes} | set(words.SPECIAL_NODES)

        def free(name: str, tail: str) -> str:
            number, found = 1, name
            while found.casefold() in taken:
                found = f"{name}-{tail}" if number == 1 else f"{name}-{tail}{number}"
                number += 1
            taken.add(found.casefold())
            return found

        for node in self.topology.nodes:
            special = node.name.casefold() in words.SPECIAL_NODES
            self.names[node.name] = free(node.name, "node") if special else node.name
        for link in self.topology.links:
            if len(link.ends) > 2:
                self.segments[link.name] = free(link.name, "lan")

    def _groups(self) -> dict[str, str]:
        if not groups_kept(self.topology):
            return {}
        return {name: title for title, names in self.topology.groups for name in names}

    def _head(self, left: tuple[Problem, ...]) -> Iterator[str]:
        topology = self.topology
        title = f": {topology.title}" if topology.title else ""
        yield _comment(f"The lab {topology.name} of testbed, for containerlab{title}")
        own = {node.image for node in topology.nodes if node.image} - {None}
        for image in sorted(image for image in own if words.own_image(image) != image):
            yield _comment(f"The image {words.own_image(image)} is testbed's own: make images")
        if not left:
            yield "# All of it is here."
            return
        yield f"# NOT CARRIED OVER ({len(left)}):"
        for item in left:
            place = f" ({item.place})" if item.place is not None else ""
            yield _comment(f"- {item.path}{place}: {item.what}")
            if item.hint:
                yield _comment(f"    {item.hint}")

    def _node(self, node: Node, group: str | None) -> dict[str, Any]:
        name = self.names[node.name]
        labels: dict[str, str | None] = {
            words.ROLE: node.role,
            words.NAME: node.name if name != node.name else "",
            words.BACKEND: node.backend or "",
            words.INSIDE: node.switch if node.switch == LINUX_BRIDGE else None,
            words.NOTE: node.note,
        }
        image = words.own_image(node.image) if node.image else None
        labels[words.IMAGE] = node.image if image != node.image else None
        early, late = _settings(node)
        binds, firewall = self._binds(node)
        entry: dict[str, Any] = {
            "kind": "linux",
            "image": image,
            "group": group,
            "labels": _filled(labels),
            "sysctls": early,
            "binds": binds,
            "exec": [
                *([words.SWITCHES_ONLY] if node.role == SWITCH else []),
                *late,
                *self._addresses(node),
                *(_route_line(route) for route in node.routes),
                *firewall,
            ],
        }
        made = {name: _filled(entry)}
        return made | _bridge(name) if node.role == SWITCH else made

    def _addresses(self, node: Node) -> Iterator[str]:
        for _, end in self.topology.interfaces_of(node.name):
            for address in end.addresses:
                yield f"ip address add {address} dev {end.name}"

    def _binds(self, node: Node) -> tuple[list[str], list[str]]:
        """The binds of a node, and the commands that load its firewall."""
        if self.folder is None:
            return [], []
        binds = []
        contents = [(path, text) for path, text in node.files if ":" not in path]
        commands = []
        if node.firewall is not None and not firewall_left(node, has_folder=True):
            contents.append((words.NFT_FILE, node.firewall))
            commands.append(f"nft -f {words.NFT_FILE}")
        for path, text in contents:
            source = f"{self.folder}/{self.names[node.name]}{path}"
            binds.append(f"{source}:{path}")
            self.files.append((source, text))
        return binds, commands

    def _segment(self, link: Link) -> dict[str, Any]:
        """A container that is nothing but the bridge of a LAN segment."""
        name = self.segments[link.name]
        entry = {
            "kind": "linux",
            "labels": _filled({words.SEGMENT: link.name, words.NOTE: link.note}),
            "exec": [words.SWITCHES_ONLY],
        }
        return {name: entry} | _bridge(name)

    def _link(self, link: Link) -> Iterator[dict[str, Any]]:
        if link.name not in self.segments:
            ends = [self._end(end) for end in link.ends]
            labels = _filled({words.LINK: link.name, words.NOTE: link.note})
            yield {"type": "veth", "endpoints": ends, "mtu": link.mtu, "labels": labels}
            return
        bridge = f"{words.BRIDGE}{words.SEPARATOR}{self.segments[link.name]}"
        for number, end in enumerate(link.ends, 1):
            ends = [self._end(end), {"node": bridge, "interface": f"p{number}"}]
            yield {"type": "veth", "endpoints": ends, "mtu": link.mtu}

    def _end(self, end: Interface) -> dict[str, Any]:
        name = self.names[end.node]
        if self.topology.node(end.node).role == SWITCH:
            name = f"{words.BRIDGE}{words.SEPARATOR}{name}"
        return _filled({"node": name, "interface": end.name, "mac": end.mac})


def _bridge(parent: str) -> dict[str, Any]:
    """A bridge that containerlab itself makes, in the namespace of that container."""
    name = f"{words.BRIDGE}{words.SEPARATOR}{parent}"
    return {name: {"kind": "bridge", "network-mode": f"container:{parent}"}}


def _filled(entries: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty: containerlab's schema has no room for that."""
    return {key: value for key, value in entries.items() if value not in (None, "", [], {}, ())}


def _settings(node: Node) -> tuple[dict[str, str], list[str]]:
    """Kernel settings for the container's start, and commands for those that must come later.

    A setting of an interface needs the interface, and an author's own setting that repeats the
    role's must be told from it; whatever follows such a one keeps its place behind it.
    """
    forward = "1" if node.role == ROUTER else "0"
    early = {} if node.role == SWITCH else {words.FORWARD_4: forward, words.FORWARD_6: forward}
    late: list[str] = []
    for key, value in node.sysctls:
        if late or key in early or _names_interface(key) or "/" in key:
            late.append(f"sysctl -w {shlex.quote(f'{key}={value}')}")
        else:
            early[key] = value
    return early, late


def _names_interface(setting: str) -> bool:
    parts = setting.split(".")
    return len(parts) > 4 and parts[2] in ("conf", "neigh") and parts[3] not in ("all", "default")


def _route_line(route: Route) -> str:
    parts = ["ip", "-6", "route", "add"] if route.to.version == 6 else ["ip", "route", "add"]
    parts += [route.kind] if route.kind != UNICAST else []
    parts.append(str(route.to) if route.to.prefixlen else "default")
    options = {"via": route.via, "dev": route.dev, "metric": route.metric, "mtu": route.mtu}
    for option, value in options.items():
        parts += [option, str(value)] if value is not None else []
    return " ".join(parts)


def _comment(text: str) -> str:
    """One line of a comment, whatever the text is."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return f"# {shown}" if len(shown) <= _COMMENT_WIDTH else f"# {shown[:_COMMENT_WIDTH]}..."
