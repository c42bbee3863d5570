"""Topologies in files: YAML, JSON, and containerlab's YAML."""

from __future__ import annotations

import json
import os
from pathlib import Path

from testbed.errors import Problem, TestbedError
from testbed.model.clab import reading as clab
from testbed.model.clab.reading import Notice
from testbed.model.codec import to_dict, valid_topology
from testbed.model.json_source import read_json
from testbed.model.source import read_text
from testbed.model.topology import Topology
from testbed.model.tree import Entries, Tree
from testbed.model.yaml_source import read_yaml
from testbed.model.yaml_text import yaml_text

YAML_SUFFIXES = (".yaml", ".yml")
JSON_SUFFIX = ".json"


def load_topology(path: str | Path, notice: Notice | None = None) -> Topology:
    """The checked topology in a ``.yaml``, ``.yml`` or ``.json`` file, or in a ``.clab.yml``.

    A YAML file with nodes under ``topology`` is containerlab's, whatever it is called.  What such
    a file says and a topology cannot is left out; ``notice`` is told each such thing.

    Raises:
        TestbedError: there is no such file, or it is not text, or of another kind.
        TopologyError: with every problem found, each with line and column.
    """
    file = Path(path)
    if file.suffix not in (*YAML_SUFFIXES, JSON_SUFFIX) and not file.is_dir():
        raise TestbedError(
            f"{file.suffix or 'a file without suffix'} is not a kind of topology file",
            where=str(file),
            hint="topologies are .yaml, .yml, .json or .clab.yml files, or topology.py",
        )
    text = read_text(file)
    tree, problems = parse_text(text, str(file), is_json=file.suffix == JSON_SUFFIX)
    if file.suffix != JSON_SUFFIX and _is_clab(file, tree):
        return clab.import_tree(tree, problems, str(file), notice, os.environ)
    return valid_topology(tree, problems, str(file))


def parse_text(text: str, file: str, *, is_json: bool) -> tuple[Tree, list[Problem]]:
    """The tree of a text, and problems that do not stop the reading; ``file`` is for places."""
    return read_json(text, file) if is_json else read_yaml(text, file)


def _is_clab(file: Path, tree: Tree) -> bool:
    if file.name.endswith((".clab.yml", ".clab.yaml")):
        return True
    return (
        isinstance(tree, Entries) and tree.get("topology") is not None and tree.get("nodes") is None
    )


def dump_json(topology: Topology) -> str:
    """The topology as JSON text (with its services' secrets: not for logs or reports)."""
    return json.dumps(to_dict(topology), ensure_ascii=False, indent=2) + "\n"


def dump_yaml(topology: Topology) -> str:
    """The topology as YAML text (with its services' secrets: not for logs or reports)."""
    return yaml_text(to_dict(topology))
