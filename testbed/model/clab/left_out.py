"""What of a topology a containerlab file cannot say: each thing with its place and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from decimal import Decimal

from testbed.errors import Place, Problem
from testbed.model.clab import words
from testbed.model.impairment import Impairment
from testbed.model.service import Service
from testbed.model.topology import BRIDGE, Interface, Link, Node, Topology

CODE = "clab-left-out"
_NO_FOLDER = "give the exported file a name (-o FILE): such files are written beside it"


def left_out(
    topology: Topology, names: Mapping[str, str], *, has_folder: bool
) -> Iterator[Problem]:
    """Everything that an export leaves out, in the topology's order.

    ``names`` are containerlab's names of the nodes; ``has_folder`` says that files can be written
    beside the export.
    """
    if (source := topology.mininet) is not None:
        what = f"containerlab builds what {source.topo} says, without what Mininet adds to it"
        yield Problem(CODE, what, "mininet", Place(source.file))
    if topology.groups and not groups_kept(topology):
        what = "a node of containerlab is in one group, and groups stand in the order of the nodes"
        yield Problem(CODE, what, "groups", Place(topology.source) if topology.source else None)
    for node in topology.nodes:
        yield from _of_node(topology, node, names[node.name], has_folder=has_folder)
    for link in topology.links:
        yield from _of_link(topology, link, names)
    for number, fault in enumerate(topology.faults):
        when = "on demand" if fault.at is None else "at its time"
        what = f"nothing brings about the fault {fault.kind} of {fault.target} {when}"
        yield Problem(CODE, what, f"faults[{number}]", fault.place)


def groups_kept(topology: Topology) -> bool:
    """Whether a group named at each node says all of the groups."""
    found: dict[str, list[str]] = {}
    group_of = {name: title for title, names in topology.groups for name in names}
    for node in topology.nodes:
        if node.name in group_of:
            found.setdefault(group_of[node.name], []).append(node.name)
    return topology.groups == tuple((title, tuple(names)) for title, names in found.items())


def firewall_left(node: Node, *, has_folder: bool) -> str | None:
    """Why the node's firewall is left out, and None when it is not."""
    if not has_folder:
        return _NO_FOLDER
    if any(path == words.NFT_FILE for path, _ in node.files):
        return f"the node has a file {words.NFT_FILE}, where an export puts the firewall"
    return None


def _of_node(topology: Topology, node: Node, name: str, *, has_folder: bool) -> Iterator[Problem]:
    path = f"nodes.{node.name}"
    if node.switch not in (None, BRIDGE):
        what = f"the switch is a Linux bridge, not {node.switch}: containerlab makes no other"
        yield Problem(CODE, what, f"{path}.switch", node.place)
    for file, _ in node.files:
        below = f"{path}.files.{file}"
        if not has_folder:
            yield Problem(CODE, "the file is not in the container", below, node.place, _NO_FOLDER)
        elif ":" in file:
            what = "no bind can have a path with a colon: the file is not in the container"
            yield Problem(CODE, what, below, node.place)
    if node.firewall is not None:
        reason = firewall_left(node, has_folder=has_folder)
        if reason is not None:
            what = "the firewall is not loaded"
            yield Problem(CODE, what, f"{path}.firewall", node.place, reason)
    for service in node.services:
        place = service.place or node.place
        what, hint = _service(service, _container(topology, name))
        yield Problem(CODE, what, f"{path}.services.{service.name}", place, hint)


def _service(service: Service, container: str) -> tuple[str, str | None]:
    """What is lost with a service, and how to start it by hand where a command is all it needs."""
    program = service.command[0]
    if program == "{python}":
        return "nothing starts the service: it runs the testbed's own Python", None
    what = f"nothing starts the service: it runs {program}"
    if service.files or service.env or any("{" in word for word in service.command):
        return what, None
    return what, f"if the image has it: docker exec -d {container} {shlex.join(service.command)}"


def _of_link(topology: Topology, link: Link, names: Mapping[str, str]) -> Iterator[Problem]:
    path = f"links.{link.name}"
    what = "a containerlab file has no impairments"
    if link.impairment is not None:
        ends = [end for end in link.ends if end.impairment is None]
        hint = _netem(topology, ends, link.impairment, names)
        yield Problem(CODE, what, f"{path}.impairment", link.place, hint)
    for number, end in enumerate(link.ends):
        if end.impairment is not None:
            hint = _netem(topology, [end], end.impairment, names)
            below = f"{path}.ends[{number}].impairment"
            yield Problem(CODE, what, below, end.place or link.place, hint)


def _netem(
    topology: Topology, ends: list[Interface], impairment: Impairment, names: Mapping[str, str]
) -> str | None:
    """The commands that make the impairment in a running lab, as far as there are any."""
    flags = ""
    if impairment.delay:
        flags += f" --delay {_number(impairment.delay * 1000)}ms"
    if impairment.jitter:
        flags += f" --jitter {_number(impairment.jitter * 1000)}ms"
    if impairment.loss:
        flags += f" --loss {_number(impairment.loss * 100)}"
    if impairment.rate is not None:
        flags += f" --rate {max(1, round(impairment.rate / 1000))}"
    if impairment.corrupt:
        flags += f" --corruption {_number(impairment.corrupt * 100)}"
    if not flags or not ends:
        return None
    command = "; ".join(
        f"containerlab tools netem set -n {_container(topology, names[end.node])} -i {end.name}"
        + flags
        for end in ends
    )
    lacking = [key for key in ("reorder", "duplicate", "queue") if getattr(impairment, key)]
    return f"{command} (without {', '.join(lacking)})" if lacking else command


def _container(topology: Topology, name: str) -> str:
    return f"clab-{topology.name}-{name}"


def _number(value: float) -> str:
    """Decimals without an exponent."""
    text = f"{round(Decimal(repr(value)), 9):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
