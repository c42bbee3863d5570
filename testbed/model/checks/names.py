"""Names: what they may look like, and that each is there once.

Nodes and the lab are named like hosts (RFC 1123 section 2.1: letters, digits, hyphens, at most 63)
because they become host names; interfaces like the kernel wants them (at most 15 bytes).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator

from testbed.errors import Place, Problem
from testbed.model.checks.index import Index
from testbed.model.switching import SWITCH_BRIDGE
from testbed.model.topology import SWITCH, Topology

MAX_NAME = 63
MAX_INTERFACE_NAME = 15

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
_FREE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_SETTING_NAMES = "the kernel's settings use this name for something else"
_KERNEL_DEVICE = "some kernels make a device of this name in every namespace"
_RESERVED = {
    "lo": "it is the loopback interface of every node",
    "all": _SETTING_NAMES,
    "default": _SETTING_NAMES,
    "bonding_masters": "the kernel refuses it",
    **dict.fromkeys(("tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0"), _KERNEL_DEVICE),
    **dict.fromkeys(("sit0", "ip6tnl0", "ip6gre0", "teql0"), _KERNEL_DEVICE),
}


def check_names(topology: Topology) -> Iterator[Problem]:
    """Names that are empty, too long, not of the right characters or taken by the kernel."""
    lab_place = Place(topology.source) if topology.source else None
    yield from _host_name(topology.name, "the lab", "name", lab_place)
    yield from _one_line(topology.title, "title", lab_place)
    switches = {node.name for node in topology.nodes if node.role == SWITCH}
    for node in topology.nodes:
        path = f"nodes.{node.name}"
        # Mininet's users may write h_1: whatever a class names its hosts, it has built them.
        check = _host_name if topology.mininet is None else _free_name
        yield from check(node.name, "a node", path, node.place)
        for service in node.services:
            below = f"{path}.services.{service.name}"
            yield from _free_name(service.name, "a service", below, service.place or node.place)
    for link in topology.links:
        yield from _free_name(link.name, "a link", f"links.{link.name}", link.place)
        for position, end in enumerate(link.ends):
            path = f"links.{link.name}.ends[{position}]"
            place = end.place or link.place
            if topology.mininet is not None:  # its classes may name them as the kernel lets them
                yield from _length(end.name, "an interface", MAX_INTERFACE_NAME, path, place)
                continue
            yield from _interface_name(end.name, end.label, path, place)
            if end.node in switches and end.name == SWITCH_BRIDGE:
                what = f"the interface {end.label} cannot be named so: it is the switch itself"
                yield Problem("reserved-name", what, path, place, "take another name")


def _host_name(name: str, owner: str, path: str, place: Place | None) -> Iterator[Problem]:
    if (yield from _length(name, owner, MAX_NAME, path, place)):
        return
    if not _HOST.fullmatch(name):
        what = f"{name!r} cannot be the name of {owner}: letters, digits and inner hyphens only"
        yield Problem("bad-name", what, path, place, _better(name, r"[^A-Za-z0-9-]+"))


def _free_name(name: str, owner: str, path: str, place: Place | None) -> Iterator[Problem]:
    if (yield from _length(name, owner, MAX_NAME, path, place)):
        return
    if not _FREE.fullmatch(name):
        what = (
            f"{name!r} cannot be the name of {owner}: "
            "letters, digits, '.', '_' and '-' only, a letter or digit first"
        )
        yield Problem("bad-name", what, path, place, _better(name, r"[^A-Za-z0-9._-]+"))


def _interface_name(name: str, label: str, path: str, place: Place | None) -> Iterator[Problem]:
    if (yield from _length(name, "an interface", MAX_INTERFACE_NAME, path, place)):
        return
    if name in _RESERVED:
        what = f"the interface {label} cannot be named so: {_RESERVED[name]}"
        yield Problem("reserved-name", what, path, place, "take another name: eth0, wan, lan")
    elif not _INTERFACE.fullmatch(name):
        what = (
            f"{name!r} cannot be the name of an interface: "
            "letters, digits, '_' and '-' only, a letter or digit first"
        )
        yield Problem("bad-name", what, path, place, _better(name, r"[^A-Za-z0-9_-]+"))


def _length(
    name: str, owner: str, limit: int, path: str, place: Place | None
) -> Generator[Problem, None, bool]:
    """Problems of the length; the generator's value is True when there were some."""
    if not name:
        yield Problem("empty-name", f"the name of {owner} is empty", path, place)
        return True
    size = len(name.encode(errors="replace"))
    if size > limit:
        shown = name if len(name) <= MAX_NAME + 1 else name[:MAX_NAME] + "..."
        what = f"the name {shown!r} of {owner} is {size} bytes long; {limit} is the most"
        yield Problem("long-name", what, path, place)
        return True
    return False


def _better(name: str, unwanted: str) -> str | None:
    better = re.sub(unwanted, "-", name).strip("-._")
    return f'for example "{better}"' if better else None


def _one_line(text: str, path: str, place: Place | None) -> Iterator[Problem]:
    if _CONTROL.search(text):
        yield Problem("bad-text", f"the {path} must be one line of text", path, place)


def check_duplicates(index: Index) -> Iterator[Problem]:
    """Two nodes, links or services of a node with one name (case does not tell nodes apart)."""
    topology = index.topology
    yield from _twice(
        "node", ((node.name, f"nodes.{node.name}", node.place) for node in topology.nodes)
    )
    yield from _twice(
        "link", ((link.name, f"links.{link.name}", link.place) for link in topology.links)
    )
    for node in topology.nodes:
        entries = (
            (item.name, f"nodes.{node.name}.services.{item.name}", item.place or node.place)
            for item in node.services
        )
        yield from _twice("service", entries, f" of {node.name!r}")


def _twice(
    noun: str, entries: Iterable[tuple[str, str, Place | None]], of: str = ""
) -> Iterator[Problem]:
    seen: dict[str, tuple[str, Place | None]] = {}
    for name, path, place in entries:
        key = name.casefold() if noun == "node" else name
        if key not in seen:
            seen[key] = (name, place)
            continue
        first, first_place = seen[key]
        where = f" (the first: {first_place})" if first_place is not None else ""
        same = "" if first == name else f"; host names are the same in any case: {first!r}"
        what = f"there is already a {noun}{of} named {name!r}{where}{same}"
        if same:
            what = f"the {noun} {name!r} is named like {first!r}{where}: case makes no difference"
        yield Problem(f"duplicate-{noun}", what, path, place, "give each its own name")
