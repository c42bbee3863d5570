"""Exported files by containerlab's rules.

What containerlab 0.7x knows of what we write stands here in our words; its own published schema
(``schemas/clab.schema.json`` of srl-labs/containerlab, BSD-3-Clause) judges too where
``TESTBED_CLAB_SCHEMA`` names a copy of it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from testbed.model.clab.words import expanded, has_template
from testbed.model.clab.writing import export_clab
from testbed.model.discover import find_topology
from testbed.model.topology import Topology
from tests.model.strategies import topologies

LABS = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def _closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key.replace("_", "-"): value for key, value in properties.items()},
        "required": required,
        "additionalProperties": False,
    }


_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True}
_PAIRS = {"type": "object", "additionalProperties": _TEXT, "minProperties": 1}
_NODE = _closed(
    [],
    kind={"enum": ["linux", "bridge"]},
    image=_TEXT,
    entrypoint=_TEXT,
    group=_TEXT,
    labels=_PAIRS,
    sysctls=_PAIRS,
    binds=_TEXTS,
    exec=_TEXTS,
    network_mode={"pattern": r"^(none|container:\S+)$"},
)
_END = _closed(
    ["node", "interface"],
    node=_TEXT,
    interface={"type": "string", "pattern": r"^[^\s/]{1,15}$"},
    mac={"type": "string", "pattern": "^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$"},
)
_LINK = _closed(
    ["type", "endpoints"],
    type={"const": "veth"},
    endpoints={"type": "array", "items": _END, "minItems": 2, "maxItems": 2},
    mtu={"type": "integer", "minimum": 1, "maximum": 65535},
    labels=_PAIRS,
)
_NODES = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9][a-zA-Z0-9._|-]*$": _NODE},
    "additionalProperties": False,
}
_TOPOLOGY = _closed(
    ["nodes"],
    defaults=_NODE,
    kinds=_closed([], linux=_NODE),
    nodes=_NODES,
    links={"type": "array", "items": _LINK},
)
OURS = jsonschema.Draft202012Validator(
    _closed(
        ["name", "topology"],
        name={"type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9._-]*$"},
        topology=_TOPOLOGY,
    )
)
_COPY = os.environ.get("TESTBED_CLAB_SCHEMA", "")


def check(topology: Topology, judge: jsonschema.protocols.Validator) -> None:
    """Containerlab would take it: as a template, with variables, as YAML, by what is in it."""
    text = export_clab(topology, folder="lab.clab.files").text
    assert not has_template(text)
    data = yaml.safe_load(expanded(text, {}))
    judge.validate(data)
    inner = data["topology"]
    nodes = inner["nodes"]
    ends = [end for link in inner.get("links", ()) for end in link["endpoints"]]
    seen = Counter((end["node"], end["interface"]) for end in ends)
    assert not [end for end, count in seen.items() if count > 1], "an interface on two links"
    for end in ends:
        assert end["node"] in nodes
        assert end["node"] not in ("host", "mgmt-net", "macvlan")
    for name, node in nodes.items():
        if node["kind"] == "bridge":
            bridge, _, parent = name.partition("|")
            assert node["network-mode"] == f"container:{parent}"
            assert nodes[parent]["kind"] == "linux"
            # Its ports and itself are interfaces of one namespace.
            ports = [end["interface"] for end in ends if end["node"] in (name, parent)]
            assert len({*ports, bridge}) == len(ports) + 1
        else:
            # Docker sets these before the interfaces of the lab exist.
            for key in node.get("sysctls", {}):
                parts = key.split(".")
                assert len(parts) < 5 or parts[3] in ("all", "default")


@LABS
@given(topologies())
def test_any_lab_by_our_words(topology: Topology) -> None:
    check(topology, OURS)


@pytest.mark.parametrize("name", ["pair", "v6plus", "azure_rekey"])
def test_the_shipped_labs(name: str) -> None:
    check(find_topology(name), OURS)


@pytest.mark.skipif(
    not _COPY, reason="TESTBED_CLAB_SCHEMA names no copy of containerlab's clab.schema.json"
)
@LABS
@given(topologies())
def test_any_lab_by_the_published_schema(topology: Topology) -> None:
    schema = json.loads(Path(_COPY).read_text(encoding="utf-8"))
    check(topology, jsonschema.Draft7Validator(schema))
