"""Topologies in files: YAML, JSON, and containerlab's YAML."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from testbed.errors import Problem, TestbedError
from testbed.model import clab
from testbed.model.codec import to_dict, valid_topology
from testbed.model.json_source import read_json
from testbed.model.source import read_text
from testbed.model.topology import Topology
from testbed.model.tree import Entries, Tree, plain_scalar
from testbed.model.yaml_source import read_yaml

YAML_SUFFIXES = (".yaml", ".yml")
JSON_SUFFIX = ".json"
_LONG = 400  # no plain number is longer (see plain_scalar)
_SHORT_LIST = 60  # columns up to which a list of texts stays on one line


def load_topology(path: str | Path) -> Topology:
    """The checked topology in a ``.yaml``, ``.yml`` or ``.json`` file, or in a ``.clab.yml``.

    A YAML file with nodes under ``topology`` is containerlab's, whatever it is called.

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
        return clab.import_tree(tree, problems, str(file))
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
    text: str = yaml.dump(
        to_dict(topology), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and quotes what *any* YAML reads as no text."""

    def ignore_aliases(self, data: object) -> bool:
        """Equal parts are written twice rather than with anchors."""
        del data
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if not all(character.isprintable() or character == "\n" for character in text):
        style = '"'  # escapes what PyYAML would write as a line break and read as a blank
    elif len(text) < _LONG and not isinstance(plain_scalar(text), str):
        style = '"'  # a number or the like by YAML 1.2, whatever YAML 1.1 thinks
    elif "\n" in text and not text[0].isspace():
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_list(dumper: yaml.SafeDumper, items: list[object]) -> yaml.SequenceNode:
    texts = [item for item in items if isinstance(item, str) and "\n" not in item]
    short = len(texts) == len(items) and sum(len(text) + 4 for text in texts) <= _SHORT_LIST
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=short)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
