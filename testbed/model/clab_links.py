"""Links of a containerlab file: the brief form, and the extended form of type ``veth``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.errors import Place
from testbed.model.shapes import ListOf, Reader, Text, Unreadable, Whole
from testbed.model.topology import Interface, InterfaceAddress, parse_address
from testbed.model.tree import Entries, Entry, Items, Leaf, Tree, texts_of

DEFAULT_MTU = 9500  # what containerlab gives a veth link
_SPECIAL = ("host", "mgmt-net", "macvlan")
_LINK_KEYS = ("type", "endpoints", "mtu", "ipv4", "ipv6")
_END_KEYS = ("node", "interface", "mac", "ipv4", "ipv6")
_MAX_NAME = 63


@dataclass(frozen=True, slots=True)
class Cable:
    """A link as the file has it; addresses set by commands come later."""

    name: str
    ends: tuple[Interface, ...]
    mtu: int
    place: Place | None


def read_cables(entry: Entry | None, reader: Reader) -> list[Cable]:
    """Every link that could be read; what is wrong or not understood is in the reader."""
    if entry is None:
        return []
    if not isinstance(entry.value, Items):
        reader.wrong_type("a list", entry.value, "topology.links")
        reader.gaps.add("links")
        return []
    cables = []
    for number, item in enumerate(entry.value.items):
        try:
            cables.append(_read_cable(number, item, f"topology.links[{number}]", reader))
        except Unreadable:
            reader.gaps.add("links[-]", texts_of(item))
    return cables


def _not_understood(
    reader: Reader, what: str, path: str, place: Place | None, hint: str | None = None
) -> Unreadable:
    reader.problem("clab-not-understood", what, path, place, hint)
    return Unreadable()


def _refuse(tree: Entries, known: tuple[str, ...], path: str, reader: Reader) -> None:
    for entry in tree.entries:
        if entry.key not in known:
            what = f"{entry.key!r} of a containerlab link is not understood here"
            _not_understood(reader, what, path, entry.place, f"understood: {', '.join(known)}")


def _read_cable(number: int, tree: Tree, path: str, reader: Reader) -> Cable:
    if not isinstance(tree, Entries):
        reader.wrong_type("a mapping with endpoints", tree, path)
        raise Unreadable
    kind = tree.get("type")
    if kind is not None and not (isinstance(kind.value, Leaf) and kind.value.value == "veth"):
        shown = kind.value.value if isinstance(kind.value, Leaf) else "that"
        what = f"a link of type {shown!r} leads out of the lab or into no other node"
        raise _not_understood(reader, what, path, kind.place, "only type veth is understood")
    _refuse(tree, _LINK_KEYS, path, reader)
    endpoints = tree.get("endpoints")
    if endpoints is None:
        reader.problem("missing-key", "the key 'endpoints' is missing", path, tree.place)
        raise Unreadable
    if not isinstance(endpoints.value, Items) or len(endpoints.value.items) != 2:
        what = "endpoints must be a list of two"
        reader.problem("wrong-type", what, path, endpoints.place, '["a:eth1", "b:eth1"]')
        raise Unreadable
    ends = [_read_end(item, path, reader) for item in endpoints.value.items]
    for key in ("ipv4", "ipv6"):
        ends = _with_addresses(ends, tree.get(key), f"{path}.{key}", reader)
    mtu = tree.get("mtu")
    mtu_value = Whole().read(mtu.value, f"{path}.mtu", reader) if mtu is not None else DEFAULT_MTU
    name = "-".join(f"{end.node}.{end.name}" for end in ends)
    name = name if len(name) <= _MAX_NAME else f"link{number + 1}"
    for position, end in enumerate(ends):
        reader.see(f"links.{name}.ends[{position}]", end.place)
    if mtu is not None:
        reader.see(f"links.{name}.mtu", mtu.value.place)
    return Cable(name, tuple(ends), mtu_value, tree.place)


def _read_end(tree: Tree, path: str, reader: Reader) -> Interface:
    if isinstance(tree, Entries):
        end = _read_long_end(tree, path, reader)
    else:
        text = Text().read(tree, path, reader)
        node, _, name = text.partition(":")
        if not node or not name:
            what = f"{text!r} is not of the form node:interface"
            reader.problem("bad-end", what, path, tree.place)
            raise Unreadable
        end = Interface(node, name, place=tree.place)
    if end.node in _SPECIAL:
        what = f"'{end.node}:{end.name}' leads out of the lab"
        hint = "a lab is joined to nothing outside it: name a node"
        raise _not_understood(reader, what, path, tree.place, hint)
    return end


def _read_long_end(tree: Entries, path: str, reader: Reader) -> Interface:
    _refuse(tree, _END_KEYS, path, reader)
    values: dict[str, str] = {}
    for key in _END_KEYS:
        entry = tree.get(key)
        if entry is not None:
            values[key] = Text().read(entry.value, f"{path}.{key}", reader)
        elif key in ("node", "interface"):
            reader.problem("missing-key", f"the key {key!r} is missing", path, tree.place)
            raise Unreadable
    texts = [values[key] for key in ("ipv4", "ipv6") if key in values]
    addresses = tuple(_address(text, path, tree.place, reader) for text in texts)
    return Interface(
        values["node"], values["interface"], addresses, mac=values.get("mac"), place=tree.place
    )


def _address(text: str, path: str, place: Place | None, reader: Reader) -> InterfaceAddress:
    try:
        return parse_address(text)
    except ValueError as error:
        reader.problem("bad-address", str(error), path, place, 'write "192.0.2.1/24"')
        raise Unreadable from None


def _with_addresses(
    ends: list[Interface], entry: Entry | None, path: str, reader: Reader
) -> list[Interface]:
    """The addresses beside brief endpoints: the first for the first end; "" for none."""
    if entry is None:
        return ends
    texts = ListOf(Text()).read(entry.value, path, reader)
    if len(texts) > len(ends):
        reader.problem("wrong-type", "there are more addresses than ends", path, entry.place)
        raise Unreadable
    result = list(ends)
    for position, text in enumerate(texts):
        if text:
            address = _address(text, path, entry.place, reader)
            result[position] = replace(
                ends[position], addresses=(*ends[position].addresses, address)
            )
    return result
