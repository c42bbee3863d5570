"""Nodes of a containerlab file: what their sections say together, and what they are to us."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from testbed.errors import Place
from testbed.model.clab import words
from testbed.model.clab.binds import Unbindable, read_bind
from testbed.model.clab.commands import Effects, Mistake, NotUnderstood, apply, commands_in
from testbed.model.clab.raw import Interfaces, Raw, inside, interface_of, remark, role_of
from testbed.model.clab.sections import Section, SectionReader
from testbed.model.topology import SWITCH, Node, Route
from testbed.model.tree import Entries, Entry, Items, Leaf, Tree

_LINUX = "linux"
_BRIDGES = ("bridge", "ovs-bridge")
_OUTSIDE_KINDS = ("host", "ext-container")
_MANAGEMENT_INTERFACE = "eth0"
_IMAGE = "clab-image"  # an image is left out by the backends that use none


class NodeReader:
    """Reads all nodes of a file."""

    def __init__(self, sections: SectionReader, entries: Entries, folder: Path) -> None:
        self.sections, self.entries, self.folder = sections, entries, folder
        self.reader = sections.reader
        self.raws: dict[str, Raw] = {}
        self.alias: dict[str, str | None] = {}  # our node of containerlab's; None: none of the lab
        self.bridged: list[tuple[str, str, str]] = []  # switch, its parent, interface of the parent
        self.segments: dict[str, Raw] = {}
        self.defaults = Section()
        self._taken: set[str] = set()

    def read(self) -> None:
        """Everything but what depends on the links."""
        entry = self.entries.get("defaults")
        self.defaults = self.sections.read(entry, "topology.defaults") if entry else Section()
        for entry in self._children("nodes"):
            raw = self._raw(entry)
            self.raws[raw.key] = raw
        self._taken = {raw.name.casefold() for raw in self.raws.values()}
        linked = set(_linked(self.entries))
        for raw in self.raws.values():
            if raw.kind not in _BRIDGES:
                self._classify(raw)
        for raw in self.raws.values():
            if raw.kind in _BRIDGES:
                self._bridge(raw, linked)

    def node_of(self, key: str) -> str | None:
        """Our name of containerlab's node; None when it is outside the lab."""
        return self.alias.get(key, key)

    def key_of(self, name: str) -> str:
        """Containerlab's name of our node."""
        return next((key for key, ours in self.alias.items() if ours == name), name)

    def groups(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The nodes of each group."""
        found: dict[str, list[str]] = {}
        for raw in self.raws.values():
            if raw.group and raw.is_lab_node:
                found.setdefault(raw.group, []).append(raw.name)
        return tuple((title, tuple(names)) for title, names in found.items())

    def seed(self) -> int:
        """The lab's seed, which an export keeps in a label."""
        text = self.defaults.labels.get(words.SEED, "0")
        if re.fullmatch(r"-?[0-9]{1,40}", text):
            return int(text)
        what = f"the label {words.SEED} is no number: {text!r}"
        self.reader.problem("wrong-type", what, "topology.defaults.labels", None)
        return 0

    def host_name(self, text: str, path: str, place: Place | None) -> str:
        """The name with hyphens for what host names cannot have, and a remark that it is so."""
        better = re.sub(r"[^A-Za-z0-9-]+", "-", text).strip("-")
        if better == text or not better:
            return text
        self.sections.leave_out(f"the name {text!r}: it is {better!r} here", path, place)
        return better

    def free_name(self, wish: str) -> str:
        """A name like that one that no node has."""
        wish = re.sub(r"[^A-Za-z0-9-]+", "-", wish).strip("-")[:58]
        name, number = wish, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{wish}-{number}"
        self._taken.add(name.casefold())
        return name

    def made(self, links: Interfaces) -> Iterator[Node]:
        """The nodes of the lab."""
        for raw in self.raws.values():
            if raw.is_lab_node:
                yield self._node(raw, links)

    # What a node is

    def _children(self, key: str) -> Iterator[Entry]:
        entry = self.entries.get(key)
        if entry is None or (isinstance(entry.value, Leaf) and entry.value.value is None):
            return
        if not isinstance(entry.value, Entries):
            self.reader.wrong_type("a mapping", entry.value, f"topology.{key}")
            self.reader.gaps.add(key)
            return
        yield from entry.value.entries

    def _shared(self, key: str, name: str | None) -> Section:
        """The section of a group or kind; empty when there is none."""
        entry = next((entry for entry in self._children(key) if entry.key == name), None)
        return self.sections.read(entry, f"topology.{key}.{name}") if entry else Section()

    def _raw(self, entry: Entry) -> Raw:
        own = self.sections.read(entry, f"topology.nodes.{entry.key}")
        group_name = own.group or self.defaults.group
        group = self._shared("groups", group_name)
        kind = own.kind or group.kind or self.defaults.kind
        layers = (self.defaults, self._shared("kinds", kind), group, own)
        labels = {key: value for layer in layers for key, value in layer.labels.items()}
        labels.pop(words.TITLE, None)
        labels.pop(words.SEED, None)
        network = next((layer.network for layer in reversed(layers) if layer.network), None)
        name = labels.get(words.NAME) or entry.key
        in_a_namespace = kind in _BRIDGES and words.SEPARATOR in entry.key
        if not in_a_namespace and words.SEGMENT not in labels:  # these are no nodes of ours
            name = self.host_name(name, f"nodes.{entry.key}", entry.place)
        self.reader.see(f"nodes.{name}", entry.place)
        return Raw(entry.key, name, entry.place, kind, layers, group_name, labels, network)

    def _classify(self, raw: Raw) -> None:
        path = f"nodes.{raw.name}"
        self.alias[raw.key] = raw.name
        if words.SEGMENT in raw.labels:
            raw.is_lab_node = False
            self.segments[raw.name] = raw
            return
        mode = raw.network.text if raw.network else ""
        if raw.kind in _OUTSIDE_KINDS or (raw.kind == _LINUX and mode == "host"):
            self._put_outside(raw, "it is the host's network, or a container of somebody else's")
        elif raw.kind != _LINUX:
            what = (
                f"{raw.key!r} has the kind {raw.kind!r}" if raw.kind else f"{raw.key!r} has no kind"
            )
            hint = "only plain nodes of kind linux, bridge and ovs-bridge can be imported"
            self.reader.problem("clab-kind", what, path, raw.place, hint)
        elif raw.parent is not None:
            parent = self.raws.get(raw.parent)
            if parent is None or parent.kind != _LINUX or parent.parent is not None:
                self._put_outside(raw, f"it shares the namespace of {raw.parent!r}")
                return
            raw.is_lab_node, self.alias[raw.key] = False, parent.name
            what = f"{raw.key} is not a node of its own: it shares the namespace of {parent.name}"
            self.sections.leave_out(what, path, raw.place)
            self._run(raw, parent.effects)
        else:
            self._run(raw, raw.effects)

    def _put_outside(self, raw: Raw, why: str) -> None:
        raw.is_lab_node, self.alias[raw.key] = False, None
        self.sections.leave_out(
            f"{raw.key} is no node of the lab: {why}", f"nodes.{raw.name}", raw.place
        )

    def _bridge(self, raw: Raw, linked: set[str]) -> None:
        """A bridge of the host becomes a switch, one in a container's namespace one beside it."""
        path = f"nodes.{raw.name}"
        if any(layer.commands for layer in raw.layers):
            what = "exec: containerlab runs no commands on a bridge, and neither do we"
            self.sections.leave_out(what, f"{path}.exec", raw.place)
        raw.role, parent = SWITCH, self.raws.get(raw.parent or "")
        if parent is None or self.alias.get(parent.key) is None:
            self.alias[raw.key] = raw.name
            return
        raw.is_lab_node = False
        self.alias[raw.key] = parent.name
        if parent.name in self.segments or parent.labels.get(words.ROLE) == SWITCH:
            return
        siblings = [other for other in self.raws.values() if other.parent == parent.key]
        busy = parent.key in linked or parent.effects.addresses or parent.effects.routes
        if len(siblings) == 1 and not busy:
            parent.role = SWITCH
            return
        name = self.free_name(raw.key.replace(words.SEPARATOR, "-"))
        self.alias[raw.key] = name
        self.bridged.append((name, parent.name, raw.key.partition(words.SEPARATOR)[0]))

    # What it does

    def _run(self, raw: Raw, effects: Effects) -> None:
        path = f"nodes.{raw.name}"
        lines = [command for layer in raw.layers for command in layer.commands]
        ours = raw.labels.get(words.ROLE) == SWITCH
        if ours and lines and lines[0].text == words.SWITCHES_ONLY:
            del lines[0]  # every switch of ours is so
        for line in dict.fromkeys(lines):
            try:
                for command in commands_in(line.text):
                    self._command(command, line.place, effects, path)
            except Mistake as error:
                self.reader.problem("clab-not-understood", error.what, path, line.place, error.hint)
            except NotUnderstood as error:
                self.sections.leave_out(error.what, f"{path}.exec", line.place, error.hint)

    def _command(self, line: str, place: Place | None, effects: Effects, path: str) -> None:
        routes, addresses = len(effects.routes), len(effects.addresses)
        try:
            apply(line, effects)
        except Mistake:
            raise
        except NotUnderstood as error:
            self.sections.leave_out(error.what, f"{path}.exec", place, error.hint)
            return
        if len(effects.routes) > routes:
            effects.routes[-1] = replace(effects.routes[-1], place=place)
        if len(effects.addresses) > addresses:
            self.reader.see(f"{path}.address[{addresses}]", place)

    def _node(self, raw: Raw, links: Interfaces) -> Node:
        path = f"nodes.{raw.name}"
        names = links.names(raw.name)
        strange = {name for name in (_MANAGEMENT_INTERFACE, *raw.effects.made) if name not in names}
        files = dict(self._files(raw, path))
        rulesets = [files.pop(name, None) for name in raw.effects.rulesets]
        for name, content in zip(raw.effects.rulesets, rulesets, strict=True):
            if content is None:
                what = f"nft -f {name}: no such file is bound"
                self.sections.leave_out(what, f"{path}.exec", raw.place)
        loaded = [content for content in rulesets if content is not None]
        role, settings = role_of(raw, links)
        for key in [key for key in settings if interface_of(key) in strange]:
            what = f"{key}: the node has no interface {interface_of(key)!r}"
            self.sections.leave_out(what, f"{path}.sysctls.{key}", raw.place)
            del settings[key]
        return Node(
            name=raw.name,
            role=role,
            routes=tuple(self._routes(raw, strange, path)),
            sysctls=tuple(settings.items()),
            files=tuple(files.items()),
            firewall="".join(loaded) if loaded else None,
            switch=inside(raw),
            backend=raw.labels.get(words.BACKEND) if raw.is_ours else None,
            image=self._image(raw, role, path),
            note=raw.labels.get(words.NOTE, "") if raw.is_ours else remark(raw.labels),
            place=raw.place,
        )

    def _routes(self, raw: Raw, strange: set[str], path: str) -> Iterator[Route]:
        for route in raw.effects.routes:
            if route.dev in strange:
                what = f"the route to {route.to}: the node has no interface {route.dev!r}"
                self.sections.leave_out(what, f"{path}.exec", route.place)
            else:
                yield route

    def _files(self, raw: Raw, path: str) -> Iterator[tuple[str, str]]:
        for layer in raw.layers:
            for bind in layer.binds:
                try:
                    yield from read_bind(bind.text, self.folder)
                except Unbindable as error:
                    what = f"the bind {bind.text}: {error}"
                    self.sections.leave_out(what, f"{path}.binds", bind.place)

    def _image(self, raw: Raw, role: str, path: str) -> str | None:
        if raw.is_ours:
            found = raw.own.image.text if raw.own.image else None
            return raw.labels.get(words.IMAGE) or found
        image = next((layer.image for layer in reversed(raw.layers) if layer.image), None)
        if image is None or role == SWITCH:
            return None
        if "$" in image.text:
            what = f"image: {image.text!r} names a variable that is not set"
            self.sections.leave_out(what, f"{path}.image", image.place)
            return None
        what = f"image: {image.text} is used by --backend docker; else programs are this machine's"
        self.sections.leave_out(what, f"{path}.image", image.place, code=_IMAGE)
        return words.foreign_image(image.text)


def _linked(entries: Entries) -> Iterator[str]:
    """Containerlab's names of the nodes that links name."""
    links = entries.get("links")
    for link in getattr(links.value, "items", ()) if links is not None else ():
        if not isinstance(link, Entries):
            continue
        several, one = link.get("endpoints"), link.get("endpoint")
        ends: list[Tree] = [one.value] if one is not None else []
        if several is not None and isinstance(several.value, Items):
            ends += several.value.items
        for end in ends:
            if isinstance(end, Entries):
                node = end.get("node")
                if node is not None and isinstance(node.value, Leaf):
                    yield str(node.value.value)
            elif isinstance(end, Leaf):
                yield str(end.value).partition(":")[0]
