"""Whatever lab there is: it is valid, and writing then reading it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import jsonschema
import yaml
from hypothesis import HealthCheck, given, settings

from testbed.model.codec import from_dict, to_dict
from testbed.model.files import dump_json, dump_yaml, load_topology
from testbed.model.schema import json_schema
from testbed.model.topology import Topology
from testbed.model.validate import validate
from tests.model.strategies import topologies

SCHEMA = jsonschema.Draft202012Validator(json_schema())
LABS = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def _reload(text: str, suffix: str) -> Topology:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"lab{suffix}"
        path.write_text(text, encoding="utf-8", newline="")
        return load_topology(path)


@LABS
@given(topologies())
def test_generated_topologies_are_valid(topology: Topology) -> None:
    assert validate(topology) == ()


@LABS
@given(topologies())
def test_plain_data_round_trip(topology: Topology) -> None:
    data = to_dict(topology)
    assert from_dict(data) == topology
    assert from_dict(json.loads(json.dumps(data))) == topology
    SCHEMA.validate(data)


@LABS
@given(topologies())
def test_yaml_round_trip(topology: Topology) -> None:
    text = dump_yaml(topology)
    assert _reload(text, ".yaml") == topology
    # Other people's readers, which speak YAML 1.1, find the same in it.
    assert yaml.safe_load(text) == to_dict(topology)


@LABS
@given(topologies())
def test_json_round_trip(topology: Topology) -> None:
    text = dump_json(topology)
    assert _reload(text, ".json") == topology
    assert json.loads(text) == to_dict(topology)
