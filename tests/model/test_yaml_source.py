"""YAML into trees: PyYAML's own loader is the judge of what it means; limits hold."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from testbed.errors import TestbedError, TopologyError
from testbed.model.tree import MAX_DEPTH, MAX_VALUES, Entries, Items, Leaf, Tree, plain_scalar
from testbed.model.yaml_source import read_yaml

# PyYAML leaves text such as 1e3 unquoted, which is a number by YAML 1.2: not asked of it here.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=15).filter(
    lambda written: isinstance(plain_scalar(written), str) or written == ""
)
plain_data = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)),
    max_leaves=20,
)


def plain(tree: Tree) -> Any:
    """The tree without its places."""
    match tree:
        case Leaf():
            return tree.value
        case Items():
            return [plain(item) for item in tree.items]
        case Entries():
            return {entry.key: plain(entry.value) for entry in tree.entries}


def _same(one: Any, other: Any) -> bool:
    """Equal, of equal types, with NaN equal to itself."""
    return repr(one) == repr(other)


@given(plain_data, st.sampled_from([None, True, False]))
def test_what_pyyaml_writes_means_the_same_here(data: Any, flow: bool | None) -> None:
    document = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True, sort_keys=False)
    expected = yaml.safe_load(document)
    if expected is None:
        with pytest.raises(TopologyError, match="empty"):
            read_yaml(document, "lab.yaml")
        return
    tree, problems = read_yaml(document, "lab.yaml")
    assert problems == []
    assert _same(plain(tree), expected)


# Where YAML 1.2 (here) and YAML 1.1 (PyYAML) part ways, by the core schema of YAML 1.2.2, 10.3.2.
@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("12:30:45", "12:30:45"),
        ("02:00:00:00:00:01", "02:00:00:00:00:01"),
        ("10:00:00:00:00:01", "10:00:00:00:00:01"),
        ("2001-12-14", "2001-12-14"),
        ("010", 10),
        ("0o10", 8),
        ("0xff", 255),
        ("1e3", 1000.0),
        ("1_000", "1_000"),
        ("+12", 12),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("~", None),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("=", "="),
    ],
)
def test_plain_scalars(scalar: str, value: object) -> None:
    assert _same(plain_scalar(scalar), value)
    tree, _ = read_yaml(f"key: {scalar}\nquoted: '{scalar}'\n", "lab.yaml")
    assert _same(plain(tree), {"key": value, "quoted": scalar})


def test_places() -> None:
    tree, _ = read_yaml("a: 'x y'\nlist:\n  - [1, two]\n", "lab.yaml")
    assert isinstance(tree, Entries)
    first, second = tree.entries
    assert str(first.place) == "lab.yaml:1:1"
    assert str(first.value.place) == "lab.yaml:1:4"
    assert isinstance(first.value, Leaf)
    assert str(first.value.text_at) == "lab.yaml:1:5"
    assert isinstance(second.value, Items)
    inner = second.value.items[0]
    assert isinstance(inner, Items)
    assert str(inner.items[1].place) == "lab.yaml:3:9"


def test_anchors_and_merge_keys() -> None:
    document = """
base: &base {delay: 20ms, loss: 1%}
other: &other {loss: 2%, rate: 1mbit}
same: *base
more:
  <<: [*base, *other]
  delay: 30ms
"""
    tree, problems = read_yaml(document, "lab.yaml")
    assert problems == []
    assert plain(tree) == yaml.safe_load(document)


def test_depth_limit_is_exact() -> None:
    good = "[" * MAX_DEPTH + "x" + "]" * MAX_DEPTH
    assert read_yaml(good, "lab.yaml")
    with pytest.raises(TopologyError, match="deeper"):
        read_yaml(f"[{good}]", "lab.yaml")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_very_deep_nesting_does_not_crash(opening: str) -> None:
    with pytest.raises(TopologyError):
        read_yaml(opening * 100_000, "lab.yaml")


def test_values_are_counted_as_aliases_expand() -> None:
    lines = [f"x0: &x0 [{', '.join(['a'] * 9)}]"]
    lines += [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]" for i in range(1, 5)]
    assert read_yaml("\n".join(lines), "lab.yaml")  # some 70 thousand
    lines.append("bomb: [*x4, *x4, *x4]")
    with pytest.raises(TopologyError, match=str(MAX_VALUES)):
        read_yaml("\n".join(lines), "lab.yaml")


fragments = st.lists(
    st.sampled_from(
        [*"[]{}:,-&*!|>'\"%@`#?\n \t", "a", "1", "- ", ": ", "&a ", "*a", "<<: ", "---\n", "...\n"]
    ),
    max_size=25,
).map("".join)


@given(st.one_of(fragments, st.text(max_size=40)))
@example("\ufeff")
@example("? ")
@example("&a")
@example("a: &a [*a]")
@example("!!binary aGk=")
@example("%YAML 9.9\n---\na")
@example("\ud800")
def test_no_text_crashes_the_reader(document: str) -> None:
    try:
        read_yaml(document, "lab.yaml")
    except TestbedError as error:
        assert str(error)
