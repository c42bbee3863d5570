"""Links of a containerlab file with what commands say of their ends.

A LAN segment that we exported becomes one link again.  Interfaces with nothing behind them - links
that lead out of the lab, dummy interfaces, addresses on ``lo`` - lead to a switch of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from testbed.errors import Place, Problem
from testbed.model.checks.suggest import did_you_mean
from testbed.model.clab.commands import Effects
from testbed.model.clab.links import DEFAULT_MTU, Cable, CableReader
from testbed.model.clab.nodes import NodeReader
from testbed.model.clab.words import NOTE, SEGMENT
from testbed.model.topology import SWITCH, Interface, InterfaceAddress, Link, Node
from testbed.model.tree import Entry

_LOOPBACK = "lo"
_STUB_PORT = "p1"
_BRIDGE_PORT = "to-parent"


class Wiring:
    """The links of the lab; ``switches`` are nodes that the file has not as such."""

    def __init__(self, nodes: NodeReader) -> None:
        self.nodes = nodes
        self.reader = nodes.reader
        self.switches: list[Node] = []
        self.strange: list[Problem] = []  # only meaningful when all nodes and links were read
        self._names: dict[str, list[str]] = {}
        self._cables: dict[str, int] = {}

    def names(self, node: str) -> list[str]:
        """The interfaces of the node, those with nothing behind them too."""
        return self._names.get(node, [])

    def cables(self, node: str) -> int:
        """How many of them lead to another node."""
        return self._cables.get(node, 0)

    def read(self, entry: Entry | None) -> tuple[Link, ...]:
        """The links, from the file's section of them."""
        cables = CableReader(self.nodes.sections, self.nodes.node_of).read(entry)
        effects = {raw.name: raw.effects for raw in self.nodes.raws.values() if raw.is_lab_node}
        for cable in cables:
            for end in cable.ends:
                self._names.setdefault(end.node, []).append(end.name)
        cables += self._bridges()
        cables += self._dummies(effects)
        links: list[Link] = []
        segments: dict[str, int] = {}
        for cable in cables:
            made = self._link(cable, effects)
            segment = next((e.node for e in cable.ends if e.node in self.nodes.segments), None)
            if segment is None:
                links.append(made)
            elif segment in segments:
                number = segments[segment]
                links[number] = self._joined(links[number], made, segment)
            else:
                segments[segment] = len(links)
                links.append(self._segment(made, segment))
        for link in links:
            for end in link.ends:
                self._cables[end.node] = self._cables.get(end.node, 0) + 1
        for stub in [cable for cable in cables if cable.outside is not None]:
            self._cables[stub.ends[0].node] -= 1
        self.strange += self._elsewhere(effects)
        return tuple(links)

    def _bridges(self) -> Iterator[Cable]:
        """Bridges in the namespace of a node that does more: a switch, and a cable to it."""
        for name, parent, interface in self.nodes.bridged:
            self.switches.append(Node(name, SWITCH))
            self._names.setdefault(parent, []).append(interface)
            ends = (Interface(parent, interface), Interface(name, _BRIDGE_PORT))
            mtu = DEFAULT_MTU
            yield Cable(f"{parent}.{interface}-{name}.{_BRIDGE_PORT}"[:63], ends, mtu, None)

    def _dummies(self, effects: dict[str, Effects]) -> Iterator[Cable]:
        for node, done in effects.items():
            for name in dict.fromkeys(done.dummies):
                if name not in self.names(node):
                    yield self._stub_cable(node, name, "dummy")
            if any(device == _LOOPBACK for device, _ in done.addresses):
                name = self._free_interface(node)
                for number, (device, address) in enumerate(done.addresses):
                    if device == _LOOPBACK:
                        done.addresses[number] = (name, address)
                what = f"addresses on lo: they are on {name}, an interface with nothing behind it"
                place = self.reader.places.get(f"nodes.{node}")
                self.nodes.sections.leave_out(what, f"nodes.{node}.exec", place)
                yield self._stub_cable(node, name, "lo")

    def _free_interface(self, node: str) -> str:
        number = 1
        while f"lo{number}" in self.names(node):
            number += 1
        return f"lo{number}"

    def _stub_cable(self, node: str, name: str, outside: str) -> Cable:
        self._names.setdefault(node, []).append(name)
        return Cable(f"{node}.{name}", (Interface(node, name),), DEFAULT_MTU, None, outside)

    def _link(self, cable: Cable, effects: dict[str, Effects]) -> Link:
        ends = tuple(self._end(cable, end, effects) for end in cable.ends)
        mtus = {effects[e.node].mtus.get(e.name, cable.mtu) for e in ends if e.node in effects}
        if len(mtus) > 1:
            what = f"the ends of link {cable.name!r} have different MTUs: {sorted(mtus)}"
            hint = "a link has one MTU here: set the same at both ends"
            self.reader.problem("clab-mtu", what, f"links.{cable.name}", cable.place, hint)
        mtu, note = min(mtus, default=cable.mtu), cable.note
        if cable.outside is not None:
            (end,) = ends
            switch = self.nodes.free_name(f"{end.node}-{end.name}")
            self.switches.append(Node(switch, SWITCH, note="nothing is behind it"))
            ends = (end, Interface(switch, _STUB_PORT))
            if cable.outside not in ("lo", "dummy"):
                what = f"{end.label} leads out of the lab to {cable.outside}: nothing is behind it"
                path = f"links.{cable.name}"
                self.nodes.sections.leave_out(what, path, cable.place)
        return Link(name=cable.name, ends=ends, mtu=mtu, note=note, place=cable.place)

    def _segment(self, link: Link, segment: str) -> Link:
        labels = self.nodes.segments[segment].labels
        ends = tuple(end for end in link.ends if end.node != segment)
        return replace(link, name=labels[SEGMENT], note=labels.get(NOTE, ""), ends=ends)

    def _joined(self, link: Link, cable: Link, segment: str) -> Link:
        if cable.mtu != link.mtu:
            what = f"the cables of {link.name!r} have different MTUs: {link.mtu} and {cable.mtu}"
            self.reader.problem("clab-mtu", what, f"links.{link.name}", cable.place)
        more = tuple(end for end in cable.ends if end.node != segment)
        return replace(link, ends=(*link.ends, *more))

    def _end(self, cable: Cable, end: Interface, effects: dict[str, Effects]) -> Interface:
        done = effects.get(end.node, Effects())
        addresses: list[InterfaceAddress] = list(end.addresses)
        position = cable.ends.index(end)
        for number, (device, address) in enumerate(done.addresses):
            if device == end.name and address not in addresses:
                place = self.reader.places.get(f"nodes.{end.node}.address[{number}]")
                path = f"links.{cable.name}.ends[{position}].addresses[{len(addresses)}]"
                self.reader.see(path, place)
                addresses.append(address)
        mac = done.macs.get(end.name, end.mac)
        return replace(end, addresses=tuple(addresses), mac=mac)

    def _elsewhere(self, effects: dict[str, Effects]) -> Iterator[Problem]:
        """Commands on interfaces that are on no link, such as the management interface."""
        for node, done in effects.items():
            path = f"nodes.{node}"
            known = self.names(node)
            devices = [device for device, _ in done.addresses]
            for device in dict.fromkeys([*devices, *done.mtus, *done.macs]):
                if device in known or device == _LOOPBACK:
                    continue
                place: Place | None = self.reader.places.get(path)
                what = f"commands of {node!r} change {device!r}, and no link has that interface"
                if device == "eth0" or device in done.made:
                    self.nodes.sections.leave_out(what, f"{path}.exec", place)
                    continue
                hint = did_you_mean(device, sorted(known), f"interfaces of {node!r}")
                yield Problem("unknown-interface", what, path, place, hint)
