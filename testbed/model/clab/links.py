"""Links of a containerlab file: the brief form, and the extended forms of all types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from testbed.errors import Place
from testbed.model.clab.raw import remark
from testbed.model.clab.sections import SectionReader
from testbed.model.clab.words import LINK, NOTE, SPECIAL_NODES
from testbed.model.shapes import ListOf, MapOf, Reader, Text, Unreadable, Whole
from testbed.model.topology import Interface, InterfaceAddress, parse_address
from testbed.model.tree import Entries, Entry, Items, Leaf, Tree, texts_of

DEFAULT_MTU = 9500  # what containerlab gives a veth link
_TWO_ENDS = ("veth", "veth-stitch")
_ONE_END = ("host", "mgmt-net", "macvlan", "vxlan", "vxlan-stitch", "dummy")
_LINK_KEYS = ("type", "endpoints", "mtu", "ipv4", "ipv6", "labels", "vars")
_ONE_END_KEYS = (
    *("type", "endpoint", "mtu", "labels", "vars", "host-interface", "mode", "remote", "vni"),
    *("dst-port", "src-port"),
)
_END_KEYS = ("node", "interface", "mac", "ipv4", "ipv6", "vars")
_MAX_NAME = 63


@dataclass(frozen=True, slots=True)
class Cable:
    """A link as the file has it; addresses set by commands come later.

    ``outside`` says where it leads when it has one end in the lab only.
    """

    name: str
    ends: tuple[Interface, ...]
    mtu: int
    place: Place | None
    outside: str | None = None
    note: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class CableReader:
    """Reads links.

    ``node_of`` gives our name of containerlab's node, and None for what is outside the lab.
    """

    sections: SectionReader
    node_of: Callable[[str], str | None]

    @property
    def reader(self) -> Reader:
        """Where problems go."""
        return self.sections.reader

    def read(self, entry: Entry | None) -> list[Cable]:
        """Every link that could be read; what is wrong is in the reader."""
        if entry is None or (isinstance(entry.value, Leaf) and entry.value.value is None):
            return []
        if not isinstance(entry.value, Items):
            self.reader.wrong_type("a list", entry.value, "topology.links")
            self.reader.gaps.add("links")
            return []
        cables = []
        for number, item in enumerate(entry.value.items):
            try:
                cables.append(self._cable(number, item, f"topology.links[{number}]"))
            except Unreadable:
                self.reader.gaps.add("links[-]", texts_of(item))
        return cables

    def _cable(self, number: int, tree: Tree, path: str) -> Cable:
        if not isinstance(tree, Entries):
            self.reader.wrong_type("a mapping with endpoints", tree, path)
            raise Unreadable
        kind = tree.get("type")
        value = kind.value.value if kind and isinstance(kind.value, Leaf) else None
        if kind is None or value in (*_TWO_ENDS, "brief"):
            return self._two_ends(number, tree, path)
        if value in _ONE_END:
            return self._one_end(number, tree, path, str(value))
        what = f"{value!r} is not a type of containerlab's links"
        hint = f"known are {', '.join((*_TWO_ENDS, *_ONE_END))}"
        self.reader.problem("clab-not-understood", what, path, kind.place, hint)
        raise Unreadable

    def _two_ends(self, number: int, tree: Entries, path: str) -> Cable:
        self._refuse(tree, _LINK_KEYS, path)
        endpoints = tree.get("endpoints")
        if endpoints is None:
            what = "the key 'endpoints' is missing"
            self.reader.problem("missing-key", what, path, tree.place)
            raise Unreadable
        if not isinstance(endpoints.value, Items) or len(endpoints.value.items) != 2:
            what = "endpoints must be a list of two"
            hint = '["a:eth1", "b:eth1"]'
            self.reader.problem("wrong-type", what, path, endpoints.place, hint)
            raise Unreadable
        ends = [self._end(item, path) for item in endpoints.value.items]
        for key in ("ipv4", "ipv6"):
            ends = self._with_addresses(ends, tree.get(key), f"{path}.{key}")
        inside = [end for end in ends if self._node(end) is not None]
        if not inside:
            what = "neither end of the link is at a node of the lab"
            self.reader.problem("clab-not-understood", what, path, tree.place, "name a node")
            raise Unreadable
        outside = next((end.label for end in ends if self._node(end) is None), None)
        return self._made(number, tree, path, inside, outside)

    def _one_end(self, number: int, tree: Entries, path: str, kind: str) -> Cable:
        self._refuse(tree, _ONE_END_KEYS, path)
        endpoint = tree.get("endpoint")
        if endpoint is None:
            what = "the key 'endpoint' is missing"
            self.reader.problem("missing-key", what, path, tree.place)
            raise Unreadable
        end = self._end(endpoint.value, path)
        far = tree.get("host-interface") or tree.get("remote")
        name = far.value.value if far is not None and isinstance(far.value, Leaf) else None
        return self._made(number, tree, path, [end], f"{kind}:{name}" if name else kind)

    def _made(
        self, number: int, tree: Entries, path: str, ends: list[Interface], outside: str | None
    ) -> Cable:
        mtu = tree.get("mtu")
        size = Whole().read(mtu.value, f"{path}.mtu", self.reader) if mtu else DEFAULT_MTU
        labels: dict[str, str] = {}
        if (entry := tree.get("labels")) is not None:
            shape = MapOf(Text(numbers=True))
            labels = dict(shape.read(entry.value, f"{path}.labels", self.reader))
        if (entry := tree.get("vars")) is not None:
            what = "vars: they only fill in templates of configurations"
            self.sections.leave_out(what, f"{path}.vars", entry.place)
        ours = tuple(replace(end, node=self._node(end) or end.node) for end in ends)
        name = labels.get(LINK) or "-".join(f"{end.node}.{end.name}" for end in ours)
        name = name if len(name) <= _MAX_NAME else f"link{number + 1}"
        for position, end in enumerate(ours):
            self.reader.see(f"links.{name}.ends[{position}]", end.place)
        if mtu is not None:
            self.reader.see(f"links.{name}.mtu", mtu.value.place)
        note = labels.get(NOTE, "") if LINK in labels else remark(labels)
        return Cable(name, ours, size, tree.place, outside, note, labels)

    def _node(self, end: Interface) -> str | None:
        return None if end.node in SPECIAL_NODES else self.node_of(end.node)

    def _refuse(self, tree: Entries, known: tuple[str, ...], path: str) -> None:
        for entry in tree.entries:
            if entry.key not in known:
                what = f"{entry.key!r} of a containerlab link is not understood here"
                hint = f"understood: {', '.join(known)}"
                self.reader.problem("clab-not-understood", what, path, entry.place, hint)

    def _end(self, tree: Tree, path: str) -> Interface:
        if isinstance(tree, Entries):
            return self._long_end(tree, path)
        text = Text().read(tree, path, self.reader)
        node, _, name = text.partition(":")
        if not node or not name:
            what = f"{text!r} is not of the form node:interface"
            self.reader.problem("bad-end", what, path, tree.place)
            raise Unreadable
        return Interface(node, name, place=tree.place)

    def _long_end(self, tree: Entries, path: str) -> Interface:
        self._refuse(tree, _END_KEYS, path)
        values: dict[str, str] = {}
        for key in _END_KEYS[:-1]:
            entry = tree.get(key)
            if entry is not None:
                values[key] = Text().read(entry.value, f"{path}.{key}", self.reader)
            elif key in ("node", "interface"):
                what = f"the key {key!r} is missing"
                self.reader.problem("missing-key", what, path, tree.place)
                raise Unreadable
        texts = [values[key] for key in ("ipv4", "ipv6") if key in values]
        addresses = tuple(self._address(text, path, tree.place) for text in texts)
        mac = values.get("mac")
        if mac is not None:
            mac = mac.replace("-", ":")
        return Interface(values["node"], values["interface"], addresses, mac, place=tree.place)

    def _address(self, text: str, path: str, place: Place | None) -> InterfaceAddress:
        try:
            return parse_address(text)
        except ValueError as error:
            hint = 'write "192.0.2.1/24"'
            self.reader.problem("bad-address", str(error), path, place, hint)
            raise Unreadable from None

    def _with_addresses(
        self, ends: list[Interface], entry: Entry | None, path: str
    ) -> list[Interface]:
        """The addresses beside brief endpoints: the first for the first end; "" for none."""
        if entry is None:
            return ends
        texts = ListOf(Text()).read(entry.value, path, self.reader)
        if len(texts) > len(ends):
            what = "there are more addresses than ends"
            self.reader.problem("wrong-type", what, path, entry.place)
            raise Unreadable
        result = list(ends)
        for position, text in enumerate(texts):
            if text:
                address = self._address(text, path, entry.place)
                result[position] = replace(
                    ends[position], addresses=(*ends[position].addresses, address)
                )
        return result
