"""Nodes: role, kernel settings, files, firewall and where the namespace comes from."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from testbed.errors import Problem
from testbed.model.checks.index import Index
from testbed.model.checks.suggest import did_you_mean
from testbed.model.switching import OVS_SERVICE, is_open_vswitch
from testbed.model.topology import BACKENDS, DOCKER, ROLES, SWITCH, SWITCHES, Node, Topology

_SETTING = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+|[A-Za-z0-9_-]+(/[A-Za-z0-9_.-]+)+")
_KERNEL_FOLDERS = ("/proc", "/sys", "/dev")
_IMAGE = re.compile(
    r"[a-z0-9][a-z0-9._/-]*(:[0-9]+/[a-z0-9._/-]+)?(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]+)?"
)
_ANY_INTERFACE = ("all", "default", "lo")


def check_nodes(topology: Topology) -> Iterator[Problem]:
    """Everything about a node that does not depend on others."""
    for node in topology.nodes:
        path = f"nodes.{node.name}"
        if node.role not in ROLES:
            what = f"{node.role!r} is not a role of a node"
            hint = did_you_mean(node.role, ROLES, "roles")
            yield Problem("unknown-role", what, f"{path}.role", node.place, hint)
        if node.role == SWITCH and node.routes:
            what = f"{node.name!r} is a switch, and switches do not route"
            hint = "make it a router, or move the routes to one"
            yield Problem("switch-route", what, f"{path}.routes", node.place, hint)
        if node.firewall is not None and not node.firewall.strip():
            what = f"the firewall of {node.name!r} has no rules"
            yield Problem("empty-firewall", what, f"{path}.firewall", node.place, "leave it out")
        yield from _check_switch(node, path)
        yield from _check_settings(node, path)
        yield from _check_files(node, path)
        yield from _check_backend(node, path)


def _check_switch(node: Node, path: str) -> Iterator[Problem]:
    if node.switch is None:
        return
    if node.switch not in SWITCHES:
        what = f"{node.switch!r} is not a kind of switch"
        hint = did_you_mean(node.switch, SWITCHES, "kinds")
        yield Problem("unknown-switch", what, f"{path}.switch", node.place, hint)
    elif node.role != SWITCH:
        what = f"{node.name!r} is a {node.role} and cannot be a switch of the kind {node.switch}"
        yield Problem("unused-switch", what, f"{path}.switch", node.place, "make it a switch")
    elif is_open_vswitch(node) and any(item.name == OVS_SERVICE for item in node.services):
        what = f"the service {node.name}/{OVS_SERVICE} is Open vSwitch itself"
        below = f"{path}.services.{OVS_SERVICE}"
        yield Problem("reserved-name", what, below, node.place, "take another name")


def _check_settings(node: Node, path: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for key, value in node.sysctls:
        below = f"{path}.sysctls.{key}"
        if not _SETTING.fullmatch(key) or ".." in key:
            what = f"{key!r} is not the name of a kernel setting"
            yield Problem("bad-setting", what, below, node.place, 'write "net.ipv4.ip_forward"')
        elif re.split(r"[./]", key)[0] != "net":
            what = f"{key} is a setting of the whole machine, not of a node"
            hint = "a node has the settings under net. only"
            yield Problem("bad-setting", what, below, node.place, hint)
        elif (normal := key.replace("/", ".")) in seen:
            what = f"{node.name!r} sets {key} twice"
            yield Problem("duplicate-setting", what, below, node.place, "keep one of them")
        else:
            seen.add(normal)
        if not value.strip() or any(character < " " and character != "\t" for character in value):
            what = f"{key} of {node.name!r} needs a value on one line"
            yield Problem("bad-setting", what, below, node.place)


def _check_files(node: Node, path: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for name, _ in node.files:
        below = f"{path}.files.{name}"
        hint: str | None = None
        if not name.startswith("/"):
            what, hint = f"{name!r} is not an absolute path", f'for example "/etc/{name}"'
        elif "\0" in name or posixpath.normpath(name) != name or name in ("/", "//"):
            what, hint = (
                f"{name!r} is not the plain path of a file",
                'without "..", "//" or "/" last',
            )
        elif any(name == top or name.startswith(top + "/") for top in _KERNEL_FOLDERS):
            what, hint = f"{name} belongs to the kernel", "settings go to sysctls"
        elif name in seen:
            what = f"{node.name!r} has the file {name} twice"
        else:
            seen.add(name)
            continue
        yield Problem("bad-path", what, below, node.place, hint)


def _check_backend(node: Node, path: str) -> Iterator[Problem]:
    if node.backend is not None and node.backend not in BACKENDS:
        what = f"{node.backend!r} is not a backend"
        hint = did_you_mean(node.backend, BACKENDS, "backends")
        yield Problem("unknown-backend", what, f"{path}.backend", node.place, hint)
    if node.image is None:
        return
    if not _IMAGE.fullmatch(node.image):
        what = f"{node.image!r} is not the name of a container image"
        hint = 'one of ours ("strongswan"), or repository and tag ("example/router:1.0")'
        yield Problem("bad-image", what, f"{path}.image", node.place, hint)
    elif node.backend in BACKENDS and node.backend != DOCKER:
        what = f"{node.name!r} has an image, but its backend {node.backend} uses none"
        hint = "remove the backend or the image"
        yield Problem("unused-image", what, f"{path}.image", node.place, hint)


def check_any(index: Index) -> Iterator[Problem]:
    """A lab without nodes."""
    if not index.topology.nodes and not index.gaps.touch("nodes"):
        yield Problem("no-nodes", "the lab has no nodes", "nodes", None, "add at least one node")


def check_interface_settings(index: Index) -> Iterator[Problem]:
    """Settings of an interface that the node does not have."""
    for node in index.topology.nodes:
        known = [end.interface.name for end in index.ends_of.get(node.name, ())]
        for key, _ in node.sysctls:
            words = key.split("/" if "/" in key else ".")
            if len(words) < 5 or words[2] not in ("conf", "neigh"):
                continue
            if (
                words[3] not in known
                and words[3] not in _ANY_INTERFACE
                and not index.may_have_interface(node.name)
            ):
                what = f"{key}: {node.name!r} has no interface {words[3]!r}"
                hint = did_you_mean(words[3], known, f"interfaces of {node.name!r}")
                path = f"nodes.{node.name}.sysctls.{key}"
                yield Problem("unknown-interface", what, path, node.place, hint)
