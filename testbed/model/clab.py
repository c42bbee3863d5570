"""Import of containerlab topologies (``*.clab.yml``) whose nodes are plain Linux machines.

Nodes of kind ``linux`` become hosts (routers when their commands switch forwarding on), kind
``bridge`` becomes a switch, links of type ``veth`` become links, and ``exec`` commands are read for
addresses, routes, MTUs and settings (:mod:`testbed.model.clab_exec`).  What is not understood is a
problem at its line; nothing is left out in silence.  The one thing that changes its meaning is
``image``: programs are those of this machine, and the image is kept as the node's note.

Format: containerlab.dev/manual/topo-def-file and its JSON Schema (clab.schema.json).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from testbed.errors import Place, Problem, TopologyError
from testbed.model.checks.gaps import Gaps
from testbed.model.checks.suggest import did_you_mean
from testbed.model.clab_exec import Effects, NotUnderstood, apply
from testbed.model.clab_links import Cable, read_cables
from testbed.model.shapes import ListOf, MapOf, Reader, Text, Unreadable
from testbed.model.topology import HOST, ROUTER, SWITCH, Interface, Link, Node, Topology
from testbed.model.tree import Entries, Entry, Leaf, Tree
from testbed.model.validate import in_order, misread, require_valid

_LINUX, _BRIDGE = "linux", "bridge"
_SHARED = ("topology.defaults", "topology.kinds", "topology.groups")  # what several nodes have
_OWN_FORMAT = "the testbed's own format says this elsewhere: remove it here"
_FORWARDING_4 = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding")
_FORWARDING_6 = ("net.ipv6.conf.all.forwarding",)

_TOP_KEYS = ("name", "topology")
_TOPOLOGY_KEYS = ("nodes", "links", "kinds", "groups", "defaults")
_NODE_KEYS = ("kind", "image", "exec", "sysctls", "group", "labels")
_NO_MANAGEMENT = "a lab has no management network: remove it, and enter nodes with testbed shell"
_HINTS = {
    "mgmt": _NO_MANAGEMENT,
    "mgmt-ipv4": _NO_MANAGEMENT,
    "mgmt-ipv6": _NO_MANAGEMENT,
    "network-mode": _NO_MANAGEMENT,
    "ports": "a lab publishes no ports on this machine: remove it",
    "binds": "write the files under files of the node, in the testbed's own format",
    "cmd": "a process is a service of the node, in the testbed's own format",
    "entrypoint": "a process is a service of the node, in the testbed's own format",
    "env": "environment belongs to a service, in the testbed's own format",
    "startup-config": "only plain Linux nodes are understood",
}


@dataclass(slots=True)
class _Section:
    """What a node, group, kind or the defaults say."""

    kind: str | None = None
    image: str | None = None
    group: str | None = None
    commands: list[tuple[str, Place | None]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


def import_tree(tree: Tree, early: list[Problem], file: str) -> Topology:
    """The checked topology of a containerlab file.

    Raises:
        TopologyError: with every problem, also everything that is not understood.
    """
    importer = _Importer(file)
    importer.reader.problems += early
    importer.early = bool(early)
    topology = importer.topology(tree)
    problems = tuple(importer.reader.problems)
    if topology is None:
        raise TopologyError(file, in_order(problems))
    if problems:
        gaps = importer.gaps(topology)
        found = [item for item in importer.elsewhere if not gaps.ends]
        raise misread(
            topology.name or file, (*problems, *found), topology, importer.reader.places, gaps
        )
    return require_valid(topology, importer.reader.places, *importer.elsewhere)


class _Importer:
    """One file being read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.reader = Reader()
        self.topology_entries = Entries(())
        self.sections: dict[str, _Section] = {}
        self.early = False  # something was lost before anyone knew what it was
        self.harmless: set[Problem] = set()  # those that leave nothing of the lab in doubt
        self.elsewhere: list[Problem] = []  # only meaningful when all nodes and links were read

    def topology(self, tree: Tree) -> Topology | None:
        if not isinstance(tree, Entries):
            self.reader.wrong_type("a mapping", tree, "")
            return None
        self._refuse(tree, _TOP_KEYS, "")
        name = self._text(tree, "name", "", required=True)
        inner = tree.get("topology")
        if inner is None:
            place = tree.place
            self.reader.problem("missing-key", "the key 'topology' is missing", "", place)
            return None
        if not isinstance(inner.value, Entries):
            self.reader.wrong_type("a mapping", inner.value, "topology")
            return None
        self.topology_entries = inner.value
        self._refuse(inner.value, _TOPOLOGY_KEYS, "topology")
        cables = read_cables(inner.value.get("links"), self.reader)
        nodes, effects, groups = [], {}, dict[str, list[str]]()
        for entry in self._children("nodes"):
            node, done, group = self._node(entry)
            nodes.append(node)
            effects[node.name] = done
            if group:
                groups.setdefault(group, []).append(node.name)
        links = self._links(cables, effects)
        return Topology(
            name=name or "",
            nodes=tuple(nodes),
            links=links,
            groups=tuple((title, tuple(names)) for title, names in groups.items()),
            source=self.file,
        )

    def gaps(self, topology: Topology) -> Gaps:
        """What the topology lacks: nothing is certain of a node that was not understood."""
        gaps = self.reader.gaps
        doubtful = [item for item in self.reader.problems if item not in self.harmless]
        paths = {item.path for item in doubtful}
        everywhere = any(path.startswith(_SHARED) for path in paths) or self.early
        for node in topology.nodes:
            section = f"topology.nodes.{node.name}"
            own = (f"nodes.{node.name}", section)
            if not (everywhere or any(p in own or p.startswith(f"{section}.") for p in paths)):
                continue
            gaps.add(f"nodes.{node.name}")
            for link in topology.links:
                for position, end in enumerate(link.ends):
                    if end.node == node.name:
                        gaps.add(f"links.{link.name}.ends[{position}].addresses")
                        gaps.add(f"links.{link.name}.mtu")
        return gaps

    def _text(self, entries: Entries, key: str, path: str, *, required: bool = False) -> str | None:
        entry = entries.get(key)
        below = f"{path}.{key}" if path else key
        if entry is None:
            if required:
                self.reader.problem(
                    "missing-key", f"the key {key!r} is missing", path, entries.place
                )
            return None
        self.reader.see(below, entry.value.place)
        try:
            return Text().read(entry.value, below, self.reader)
        except Unreadable:
            return None

    def _refuse(self, entries: Entries, known: tuple[str, ...], path: str) -> None:
        for entry in entries.entries:
            if entry.key in known:
                continue
            what = f"{entry.key!r} of containerlab is not understood here"
            hint = _HINTS.get(entry.key)
            if hint is None:
                near = did_you_mean(entry.key, known, "keys")
                hint = near if near.startswith("did") else _OWN_FORMAT
            self.reader.problem("clab-not-understood", what, path, entry.place, hint)
            if entry.key in _HINTS:
                self.harmless.add(self.reader.problems[-1])

    def _children(self, key: str) -> Iterator[Entry]:
        entry = self.topology_entries.get(key)
        if entry is None:
            return
        if not isinstance(entry.value, Entries):
            self.reader.wrong_type("a mapping", entry.value, f"topology.{key}")
            self.reader.gaps.add(key)
            return
        yield from entry.value.entries

    def _shared(self, key: str, name: str) -> _Section:
        """The section of a group or kind; empty when there is none."""
        found = next((entry for entry in self._children(key) if entry.key == name), None)
        return self._section(found, f"topology.{key}.{name}") if found is not None else _Section()

    def _section(self, entry: Entry, path: str) -> _Section:
        if path not in self.sections:
            self.sections[path] = self._read_section(entry, path)
        return self.sections[path]

    def _read_section(self, entry: Entry, path: str) -> _Section:
        tree = entry.value
        if isinstance(tree, Leaf) and tree.value is None:
            return _Section()
        if not isinstance(tree, Entries):
            self.reader.wrong_type("a mapping", tree, path)
            return _Section()
        self._refuse(tree, _NODE_KEYS, path)
        section = _Section(
            kind=self._text(tree, "kind", path),
            image=self._text(tree, "image", path),
            group=self._text(tree, "group", path),
        )
        section.settings = self._pairs(tree, "sysctls", path)
        section.labels = self._pairs(tree, "labels", path)
        commands = tree.get("exec")
        if commands is not None:
            below = f"{path}.exec"
            try:
                ListOf(Text()).read(commands.value, below, self.reader)
            except Unreadable:
                return section
            items = getattr(commands.value, "items", ())
            section.commands = [
                (item.value, item.place)
                for item in items
                if isinstance(item, Leaf) and isinstance(item.value, str)
            ]
        return section

    def _pairs(self, tree: Entries, key: str, path: str) -> dict[str, str]:
        entry = tree.get(key)
        if entry is None:
            return {}
        try:
            return dict(MapOf(Text(numbers=True)).read(entry.value, f"{path}.{key}", self.reader))
        except Unreadable:
            return {}

    def _node(self, entry: Entry) -> tuple[Node, Effects, str | None]:
        path = f"nodes.{entry.key}"
        self.reader.see(path, entry.place)
        own = self._section(entry, f"topology.nodes.{entry.key}")
        all_of_them = self.topology_entries.get("defaults")
        defaults = self._section(all_of_them, "topology.defaults") if all_of_them else _Section()
        group_name = own.group or defaults.group
        group = self._shared("groups", group_name) if group_name else _Section()
        kind = own.kind or group.kind or defaults.kind
        shared = self._shared("kinds", kind) if kind else _Section()
        layers = (defaults, shared, group, own)  # from the least to the most specific
        effects = Effects()
        for layer in layers:
            effects.settings |= layer.settings
        for layer in layers:
            for line, place in layer.commands:
                self._command(line, place, effects, path)
        if kind == _BRIDGE and any(layer.commands for layer in layers):
            what = f"{entry.key!r} is a bridge, and commands on bridges are not understood"
            self.reader.problem("clab-not-understood", what, path, entry.place)
        if kind not in (_LINUX, _BRIDGE):
            what = f"{entry.key!r} has the kind {kind!r}" if kind else f"{entry.key!r} has no kind"
            hint = "only plain nodes of kind linux and bridge can be imported"
            self.reader.problem("clab-kind", what, path, entry.place, hint)
        image = next((layer.image for layer in reversed(layers) if layer.image), None)
        labels = {key: value for layer in layers for key, value in layer.labels.items()}
        role, settings = _role(kind, effects.settings)
        node = Node(
            name=entry.key,
            role=role,
            routes=tuple(effects.routes),
            sysctls=tuple(settings.items()),
            note=_note(image, labels),
            place=entry.place,
        )
        return node, effects, group_name

    def _command(self, line: str, place: Place | None, effects: Effects, path: str) -> None:
        routes, addresses = len(effects.routes), len(effects.addresses)
        try:
            apply(line, effects)
        except NotUnderstood as error:
            self.reader.problem("clab-not-understood", error.what, path, place, error.hint)
            return
        if len(effects.routes) > routes:
            effects.routes[-1] = replace(effects.routes[-1], place=place)
        if len(effects.addresses) > addresses:
            self.reader.see(f"{path}.address[{addresses}]", place)

    def _links(self, cables: list[Cable], effects: dict[str, Effects]) -> tuple[Link, ...]:
        links = []
        used: set[tuple[str, str]] = set()
        for cable in cables:
            ends = tuple(self._end(cable, end, effects) for end in cable.ends)
            used |= {(end.node, end.name) for end in ends}
            mtus = {
                effects[end.node].mtus.get(end.name, cable.mtu)
                for end in ends
                if end.node in effects
            }
            if len(mtus) > 1:
                what = f"the ends of link {cable.name!r} have different MTUs: {sorted(mtus)}"
                hint = "a link has one MTU here: set the same at both ends"
                self.reader.problem("clab-mtu", what, f"links.{cable.name}", cable.place, hint)
            mtu = min(mtus, default=cable.mtu)
            links.append(Link(name=cable.name, ends=ends, mtu=mtu, place=cable.place))
        self.elsewhere += self._elsewhere(effects, used)
        return tuple(links)

    def _end(self, cable: Cable, end: Interface, effects: dict[str, Effects]) -> Interface:
        done = effects.get(end.node, Effects())
        addresses = list(end.addresses)
        position = cable.ends.index(end)
        for number, (device, address) in enumerate(done.addresses):
            if device == end.name and address not in addresses:
                place = self.reader.places.get(f"nodes.{end.node}.address[{number}]")
                path = f"links.{cable.name}.ends[{position}].addresses[{len(addresses)}]"
                self.reader.see(path, place)
                addresses.append(address)
        mac = done.macs.get(end.name, end.mac)
        return replace(end, addresses=tuple(addresses), mac=mac)

    def _elsewhere(
        self, effects: dict[str, Effects], used: set[tuple[str, str]]
    ) -> Iterator[Problem]:
        """Commands on interfaces that are on no link, such as the management interface."""
        for node, done in effects.items():
            path = f"nodes.{node}"
            known = sorted(name for owner, name in used if owner == node)
            devices = [device for device, _ in done.addresses]
            for device in dict.fromkeys([*devices, *done.mtus, *done.macs]):
                if device in known or device == "lo":
                    continue
                what = f"commands of {node!r} change {device!r}, and no link has that interface"
                hint = did_you_mean(device, known, f"interfaces of {node!r}")
                yield Problem("unknown-interface", what, path, self.reader.places.get(path), hint)


def _role(kind: str | None, settings: dict[str, str]) -> tuple[str, dict[str, str]]:
    """A machine that forwards is a router; one family only stays one family only."""
    if kind == _BRIDGE:
        return SWITCH, settings
    four = any(settings.get(key) == "1" for key in _FORWARDING_4)
    six = any(settings.get(key) == "1" for key in _FORWARDING_6)
    if not (four or six):
        return HOST, settings
    rest = {
        key: value
        for key, value in settings.items()
        if key not in (*_FORWARDING_4, *_FORWARDING_6) or value != "1"
    }
    if not four:
        rest.setdefault(_FORWARDING_4[0], "0")
    if not six:
        rest.setdefault(_FORWARDING_6[0], "0")
    return ROUTER, rest


def _note(image: str | None, labels: dict[str, str]) -> str:
    parts = [f"image {image} is not used"] if image else []
    parts += [f"{key}={value}" for key, value in labels.items()]
    return "; ".join(parts)
