"""JSON into trees: the standard library's reader is the judge of what is JSON and what it means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from testbed.errors import TopologyError
from testbed.model.json_source import read_json
from testbed.model.tree import MAX_DEPTH, Entries, Leaf
from tests.model.test_yaml_source import plain, plain_data


def _strict(document: str) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(constant)  # NaN and Infinity are not JSON (RFC 8259 section 6)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        first: dict[str, Any] = {}
        for key, value in pairs:
            first.setdefault(key, value)
        return first

    return json.loads(document, parse_constant=refuse, object_pairs_hook=once)


@given(plain_data, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_what_the_library_writes_means_the_same_here(
    data: Any, indent: int | str | None, ascii_only: bool
) -> None:
    try:
        document = json.dumps(data, indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    except ValueError:  # NaN
        return
    tree, problems = read_json(document, "lab.json")
    assert problems == []
    assert repr(plain(tree)) == repr(json.loads(document))


fragments = st.lists(
    st.sampled_from(
        [*'[]{}:,"\\ \n\t-.eE+0123', "true", "null", "1", '"a"', '"a":', "\\u00e9", "NaN", "/", "'"]
    ),
    max_size=16,
).map("".join)


@given(st.one_of(fragments, st.text(max_size=20)))
@example("")
@example("01")
@example("1.")
@example("-")
@example("[1,]")
@example('{"a":1,}')
@example('{"a":1 "b":2}')
@example('"\x01"')
@example('"\\ud800"')
@example("1 2")
@example('{"a":1,"a":2}')
@example("\u00a0[]")
@example("1e999")
def test_the_same_texts_are_json(document: str) -> None:
    try:
        expected = _strict(document)
    except ValueError:
        with pytest.raises(TopologyError, match="not valid JSON"):
            read_json(document, "lab.json")
        return
    tree, _ = read_json(document, "lab.json")
    assert repr(plain(tree)) == repr(expected)


def test_places() -> None:
    tree, _ = read_json('{\n\t"a": "x",\n\t"b": [1, "\\u0041"]\n}', "lab.json")
    assert isinstance(tree, Entries)
    first, second = tree.entries
    assert str(first.place) == "lab.json:2:2"
    assert isinstance(first.value, Leaf)
    assert str(first.value.text_at) == "lab.json:2:8"
    assert str(second.value.place) == "lab.json:3:7"


def test_limits() -> None:
    good = "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH
    assert read_json(good, "lab.json")
    for document in (f"[{good}]", "[" * 100_000, '{"a":' * 100_000):
        with pytest.raises(TopologyError, match="deeper"):
            read_json(document, "lab.json")
    with pytest.raises(TopologyError, match="values"):
        read_json(f"[{'1,' * 300_000}1]", "lab.json")
    with pytest.raises(TopologyError, match="digits"):
        read_json("9" * 100_000, "lab.json")
