"""Import of containerlab topologies (``*.clab.yml``) whose nodes are plain Linux machines.

Nodes of kind ``linux`` become hosts, or routers when they forward: when their settings say so, or
when they are on two links and say nothing, because a container's namespace takes IPv4 forwarding
over from the host, where Docker has it on (Linux Documentation, devconf_inherit_init_net).
Bridges become switches, also those in the namespace of a container; links become links, and one
that leads out of the lab an interface with nothing behind it, which addresses on ``lo`` get, too.
``exec`` commands are read for addresses, routes, MTUs and settings
(:mod:`testbed.model.clab.commands`), files that are bound for their content.

What a topology cannot say is left out, and the caller is told each such thing with its line; only
what cannot be read, is no part of containerlab, or would not make a valid lab is an error.

Format: containerlab.dev/manual/topo-def-file, nodes, kinds/bridge, and clab.schema.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from testbed.errors import Problem, TopologyError
from testbed.model.checks.gaps import Gaps
from testbed.model.clab import words
from testbed.model.clab.nodes import NodeReader
from testbed.model.clab.sections import TOP_KEYS, TOPOLOGY_KEYS, SectionReader
from testbed.model.clab.wiring import Wiring
from testbed.model.shapes import Reader
from testbed.model.topology import Topology
from testbed.model.tree import Entries, Tree, texts_of
from testbed.model.validate import in_order, misread, require_valid

_SHARED = ("topology.defaults", "topology.kinds", "topology.groups")  # what several nodes have

Notice = Callable[[Problem], None]


def import_tree(
    tree: Tree,
    early: list[Problem],
    file: str,
    notice: Notice | None = None,
    environment: Mapping[str, str] | None = None,
) -> Topology:
    """The checked topology of a containerlab file.

    Args:
        tree: the file.
        early: problems found while it was read.
        file: its path; files that it binds are looked for beside it.
        notice: is told everything that is left out, each with its place.
        environment: variables for the file's ``${NAME}``.

    Raises:
        TopologyError: with every problem.
    """
    templates = any(words.has_template(text) for text in texts_of(tree))
    importer = _Importer(file, early, words.expand_tree(tree, environment or {}), templates)
    topology = importer.topology()
    problems = tuple(importer.reader.problems)
    if topology is None:
        raise TopologyError(file, in_order(problems))
    if problems:
        gaps = importer.gaps(topology)
        found = [item for item in importer.wiring.strange if not gaps.ends]
        places = importer.reader.places
        raise misread(topology.name or file, (*problems, *found), topology, places, gaps)
    require_valid(topology, importer.reader.places, *importer.wiring.strange)
    for item in in_order(importer.sections.left):
        if notice is not None:
            notice(item)
    return topology


class _Importer:
    """One file being read."""

    def __init__(self, file: str, early: list[Problem], tree: Tree, is_template: bool) -> None:
        self.file, self.tree, self.is_template = file, tree, is_template
        self.reader = Reader(list(early))
        self.early = bool(early)  # something was lost before anyone knew what it was
        self.sections = SectionReader(self.reader)
        self.nodes = NodeReader(self.sections, Entries(()), Path(file).parent)
        self.wiring = Wiring(self.nodes)

    def topology(self) -> Topology | None:
        """What could be read; None when there is no telling what it is."""
        tree = self.tree
        if self.is_template:
            what = "this is a Go template, to be filled in before anyone can read it"
            hint = "containerlab deploy -t FILE --export-rendered OTHER writes it filled in"
            self.reader.problem("clab-template", what, "", getattr(tree, "place", None), hint)
            return None
        if not isinstance(tree, Entries):
            self.reader.wrong_type("a mapping", tree, "")
            return None
        self.sections.check_keys(tree, TOP_KEYS, "")
        name = self.sections.text(tree, "name", "", required=True)
        inner = tree.get("topology")
        if inner is None:
            what = "the key 'topology' is missing"
            self.reader.problem("missing-key", what, "", tree.place)
            return None
        if not isinstance(inner.value, Entries):
            self.reader.wrong_type("a mapping", inner.value, "topology")
            return None
        self.sections.check_keys(inner.value, TOPOLOGY_KEYS, "topology")
        self.nodes.entries = inner.value
        self.nodes.read()
        links = self.wiring.read(inner.value.get("links"))
        nodes = (*self.nodes.made(self.wiring), *self.wiring.switches)
        shared = self.nodes.defaults.labels
        return Topology(
            name=self.nodes.host_name(name.text, "name", name.place) if name else "",
            title=shared.get(words.TITLE, ""),
            nodes=nodes,
            links=links,
            groups=self.nodes.groups(),
            seed=self.nodes.seed(),
            source=self.file,
        )

    def gaps(self, topology: Topology) -> Gaps:
        """What the topology lacks: nothing is certain of a node that was not understood."""
        gaps = self.reader.gaps
        paths = {item.path for item in self.reader.problems}
        everywhere = any(path.startswith(_SHARED) for path in paths) or self.early
        for node in topology.nodes:
            section = f"topology.nodes.{self.nodes.key_of(node.name)}"
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
