"""Finding topologies by name and by path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.model.discover import default_search, find_topology, list_topologies

PYTHON = """
from testbed.model import Builder, Topology


def topology() -> Topology:
    lab = Builder({name!r}, {title!r})
    lab.host("alice")
    return lab.build()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A search folder with topologies of every kind, good and broken."""
    root = tmp_path / "topologies"
    for name, title in (("v6plus", "MAP-E"), ("cgn", "Carrier-grade NAT")):
        (root / name).mkdir(parents=True)
        (root / name / "topology.py").write_text(PYTHON.format(name=name, title=title))
    (root / "plain.yaml").write_text("name: plain\ntitle: YAML\nnodes: {a: }\n")
    (root / "shop.clab.yml").write_text("name: shop\ntopology: {nodes: {a: {kind: linux}}}\n")
    (root / "broken").mkdir()
    (root / "broken" / "topology.py").write_text("import nothing_of_this_name\n")
    (root / "empty").mkdir()
    (root / "__pycache__").mkdir()
    (root / "notes.txt").write_text("not a topology\n")
    (root / "helper.py").write_text("raise RuntimeError('helpers are not topologies')\n")
    return root


def test_by_name(folder: Path) -> None:
    assert find_topology("v6plus", [folder]).title == "MAP-E"
    assert find_topology("plain", [folder]).title == "YAML"
    assert find_topology("shop", [folder]).name == "shop"


def test_by_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_topology(folder / "v6plus", []).name == "v6plus"
    assert find_topology(folder / "v6plus" / "topology.py", []).name == "v6plus"
    assert find_topology(str(folder / "plain.yaml"), []).name == "plain"
    monkeypatch.chdir(folder)
    assert find_topology("plain.yaml", []).name == "plain"
    monkeypatch.chdir(folder / "cgn")
    assert find_topology(".", []).name == "cgn"


def _error(wanted: str | Path, search: list[Path]) -> str:
    with pytest.raises(TestbedError) as caught:
        find_topology(wanted, search)
    return str(caught.value)


def test_unknown_names_have_a_suggestion(folder: Path) -> None:
    text = _error("v6plsu", [folder])
    assert "there is no topology 'v6plsu'" in text
    assert 'did you mean "v6plus"?' in text
    assert "known topologies: broken, cgn, plain, shop, v6plus" in _error("zzz", [folder])
    assert "there are no topologies" in _error("zzz", [folder / "nowhere"])
    assert "there is no topology in this folder" in _error(folder / "empty", [folder])
    assert "there is no such file" in _error("nowhere/topology.py", [folder])
    assert "there is no topology ''" in _error("", [folder])
    assert "there is no topology" in _error("a\0b", [folder])


def test_listing_tells_what_is_broken(folder: Path) -> None:
    listed = {item.name: item for item in list_topologies([folder])}
    assert list(listed) == ["broken", "cgn", "plain", "shop", "v6plus"]
    assert listed["cgn"].title == "Carrier-grade NAT"
    assert listed["cgn"].path == folder / "cgn" / "topology.py"
    assert listed["cgn"].error is None
    error = listed["broken"].error
    assert error is not None
    assert "No module named 'nothing_of_this_name'" in str(error)
    assert str(error.where).endswith("broken/topology.py:1")


def test_the_first_folder_wins(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "more"
    other.mkdir()
    (other / "cgn.yaml").write_text("name: mine\nnodes: {a: }\n")
    assert find_topology("cgn", [other, folder]).name == "mine"
    assert find_topology("cgn", [folder, other]).name == "cgn"
    assert [item.name for item in list_topologies([other, folder])].count("cgn") == 1


def test_default_search_looks_upwards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = folder / "cgn"
    monkeypatch.chdir(below)
    assert default_search()[0] == folder
    assert find_topology("v6plus").title == "MAP-E"


def test_the_checkout_is_searched_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(__file__).resolve().parents[2] / "topologies"
    if not own.is_dir():
        pytest.skip("this checkout has no topologies/ folder")
    monkeypatch.chdir(tmp_path)
    assert own in default_search()


@pytest.mark.parametrize("package", [".", "labs.v6plus"])
def test_a_topology_may_have_modules_beside_it(tmp_path: Path, package: str) -> None:
    lab = tmp_path / "labs" / "v6plus"
    lab.mkdir(parents=True)
    (lab / "names.py").write_text("NAME = 'beside'\n")
    source = PYTHON.format(name="v6plus", title="x").replace("'v6plus', 'x'", "names.NAME, 'x'")
    (lab / "topology.py").write_text(f"from {package} import names\n{source}")
    before = list(sys.path)
    assert find_topology("v6plus", [tmp_path / "labs"]).name == "beside"
    assert sys.path == before


@pytest.mark.parametrize(
    ("source", "text", "line"),
    [
        ("def topology(:\n    pass\n", "not valid Python: ", 1),
        ("x = 1\n\n\nraise SystemExit(3)\n", "SystemExit: 3", 4),
        ("def topology():\n    return 1 / 0\n", "ZeroDivisionError: division by zero", 2),
        ("def topology(size):\n    return size\n", "TypeError: ", None),
        ("TOPOLOGY = 7\n", "TOPOLOGY is a int, not a Topology", None),
        ("", "defines neither topology() nor TOPOLOGY", None),
        ("x = '\0'\n", "null bytes", None),
    ],
)
def test_broken_python(tmp_path: Path, source: str, text: str, line: int | None) -> None:
    path = tmp_path / "topology.py"
    path.write_text(source)
    with pytest.raises(TestbedError) as caught:
        find_topology(path, [])
    assert text in str(caught.value)
    place = f"{path}:{line}" if line is not None else str(path)
    assert str(caught.value.where) == place


def test_an_interrupt_is_not_swallowed(tmp_path: Path) -> None:
    path = tmp_path / "topology.py"
    path.write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        find_topology(path, [])
