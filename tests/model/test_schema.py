"""The published JSON Schema: current, and of one mind with the loader about form."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import TopologyError
from testbed.model.codec import decode, from_dict, to_dict
from testbed.model.schema import PUBLISHED, json_schema, schema_text
from testbed.model.topology import Topology
from testbed.model.tree import from_plain
from tests.model.rich import RICH
from tests.model.strategies import topologies

SCHEMA = jsonschema.Draft202012Validator(json_schema())
FOLDER = Path(__file__).with_name("errors")
# What the form of a file can be wrong in, as far as a schema can say it.
STRUCTURAL = {"unknown-key", "missing-key", "wrong-type"}


def test_the_published_file_is_current() -> None:
    current = PUBLISHED.read_text(encoding="utf-8") == schema_text()
    assert current, "run: python -m testbed.model.schema"


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def _accepts(data: Any) -> bool:
    return bool(SCHEMA.is_valid(json.loads(json.dumps(data))))


def _structural_cases() -> list[Path]:
    """The golden error cases whose text names a mistake of form."""
    found = []
    for case in sorted(FOLDER.glob("*.yaml")):
        text = (FOLDER / f"{case.stem}.txt").read_text(encoding="utf-8")
        if STRUCTURAL & set(re.findall(r"\[([a-z0-9-]+)\]$", text, re.MULTILINE)):
            found.append(case)
    assert len(found) >= 6
    return found


@pytest.mark.parametrize("case", _structural_cases(), ids=lambda path: path.name)
def test_structural_error_cases_are_refused(case: Path) -> None:
    assert not _accepts(yaml.safe_load(case.read_text(encoding="utf-8")))


def _paths(data: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside."""
    keys: list[Any] = []
    if isinstance(data, dict):
        keys = list(data)
    elif isinstance(data, list):
        keys = list(range(len(data)))
    found = [(*here, key) for key in keys]
    return found + [path for key in keys for path in _paths(data[key], (*here, key))]


values: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 7, 1.5, 2.0, 10**30, "", "x", "20ms", "1%", "tcp 80", "a:b", [], ["x"], {}]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.one_of(st.just(RICH), st.just(RICH), topologies(max_nodes=3)), st.data())
def test_schema_and_loader_agree_about_form(topology: Topology, data: st.DataObject) -> None:
    """Break something anywhere: what loads fits the schema, what has the wrong form does not."""
    changed = copy.deepcopy(to_dict(topology))
    path = data.draw(st.sampled_from(_paths(changed)))
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    change = data.draw(st.sampled_from(["replace", "remove", "rename"]))
    if change == "replace":
        parent[path[-1]] = data.draw(values)
    else:
        value = parent.pop(path[-1])
        if change == "rename" and isinstance(parent, dict):
            parent[f"{path[-1]}x"] = value
    accepted = _accepts(changed)
    codes = {problem.code for problem in decode(from_plain(changed, [])).problems}
    if codes & STRUCTURAL:
        assert not accepted, codes
    try:
        from_dict(changed)
    except TopologyError:
        return
    assert accepted
