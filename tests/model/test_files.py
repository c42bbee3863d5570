"""Files that are no topologies at all: each is one clear error; and what is like JSON in YAML."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import TestbedError, TopologyError
from testbed.model.files import dump_json, dump_yaml, load_topology
from testbed.model.source import MAX_BYTES
from tests.model.rich import RICH

GOOD = b"name: lab\nnodes: {a: }\n"


def _error(path: Path) -> str:
    with pytest.raises(TestbedError) as caught:
        load_topology(path)
    return str(caught.value)


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_bytes(GOOD)
    topology = load_topology(str(path))
    assert topology.name == "lab"
    assert topology.source == str(path)
    assert str(topology.node("a").place) == f"{path}:2:9"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\t\n", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"# comment only\n", "the file is empty"),
        (b"name: caf\xe9\n", "byte 0xe9 in line 1 is not UTF-8"),
        (b"name: x\n\x80", "byte 0x80 in line 2 is not UTF-8"),
        ("name: x\n".encode("utf-16"), "is not UTF-8"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 9, "U+007F cannot stand in YAML"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "is not UTF-8"),
        (b"name: \0\n", "U+0000"),
        (b"a" * (MAX_BYTES + 1), "larger than 4 MiB"),
        (b"just text", "a mapping is expected, not the text 'just text'"),
        (b"- 1\n", "a mapping is expected, not a list"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_no_topology(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "lab.yaml"
    path.write_bytes(content)
    text = _error(path)
    assert message in text
    assert str(path) in text


def test_byte_order_mark_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"))
    assert load_topology(path).name == "lab"


def test_missing_folder_and_suffix(tmp_path: Path) -> None:
    assert "there is no such file" in _error(tmp_path / "nothing.yaml")
    (tmp_path / "folder.yaml").mkdir()
    assert "this is a folder" in _error(tmp_path / "folder.yaml")
    (tmp_path / "lab.toml").write_bytes(GOOD)
    assert ".toml is not a kind of topology file" in _error(tmp_path / "lab.toml")
    assert "without suffix" in _error(tmp_path / "lab")
    assert "cannot be read" in _error(Path("a\0b.yaml"))
    assert "not a regular file" in _error(_fifo(tmp_path))
    assert "cannot be read" in _error(tmp_path / ("x" * 300 + ".yaml"))


def _fifo(folder: Path) -> Path:
    path = folder / "pipe.yaml"
    os.mkfifo(path)  # reading it would wait for ever
    return path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_bytes(GOOD)
    path.chmod(0)
    assert "cannot be read: Permission denied" in _error(path)


def test_json_is_also_yaml(tmp_path: Path) -> None:
    text = '{"name": "lab", "nodes": {"a": {"note": "\\u00e9"}}}'
    for suffix in (".json", ".yaml"):
        path = tmp_path / f"lab{suffix}"
        path.write_text(text, encoding="utf-8")
        assert load_topology(path).node("a").note == "é"


def test_aliases_share_parts(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(
        "name: lab\nnodes: {a: , b: }\nlinks:\n"
        '  one: {ends: ["a:x", "b:x"], impairment: &dsl {delay: 20ms}}\n'
        '  two: {ends: ["a:y", "b:y"], impairment: {<<: *dsl, loss: 1%}}\n',
        encoding="utf-8",
    )
    one, two = load_topology(path).links
    assert one.impairment is not None
    assert two.impairment is not None
    assert (two.impairment.delay, two.impairment.loss) == (one.impairment.delay, 0.01)


def test_written_for_people(tmp_path: Path) -> None:
    text = """name: two-homes
nodes:
  ce:
    role: router
    routes: [default via 203.0.113.1]
    services:
      web:
        command: [httpd, -p, "80"]
        ready: tcp 80
    files:
      /etc/motd: |
        two
        lines
  isp: {}
links:
  wan:
    ends: ['ce:wan 203.0.113.2/30', 'isp:ce 203.0.113.1/30']
    impairment:
      rate: 100mbit
      delay: 20ms
      loss: 0.5%
"""
    path = tmp_path / "lab.yaml"
    path.write_text(text, encoding="utf-8")
    assert dump_yaml(load_topology(path)) == text


CLAB = b"""name: clab
topology:
  defaults: {kind: linux, image: "alpine:3"}
  nodes:
    a: {exec: [ip addr add 10.0.0.1/24 dev eth1, "ip route add default via 10.0.0.2"]}
    b: {sysctls: {net.ipv4.ip_forward: 1}, labels: {x: y}}
  links:
    - endpoints: ["a:eth1", "b:eth1"]
      mtu: 1500
    - type: veth
      endpoints: [{node: a, interface: eth2, mac: "02:00:00:00:00:01"}, {node: b, interface: eth2}]
"""


@settings(
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(st.sampled_from([".yaml", ".json", ".clab.yml"]), st.data())
def test_damaged_files_never_crash_the_loader(
    tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    """Cut, repeat and overwrite bytes anywhere: a topology or a deliberate error, nothing else."""
    content = {
        ".yaml": dump_yaml(RICH).encode(),
        ".json": dump_json(RICH).encode(),
        ".clab.yml": CLAB,
    }[suffix]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(len(content), start + 20)))
        junk = data.draw(
            st.one_of(st.just(b""), st.just(content[start:stop] * 2), st.binary(max_size=6))
        )
        content = content[:start] + junk + content[stop:]
    path = tmp_path / f"lab{suffix}"
    path.write_bytes(content)
    try:
        load_topology(path)
    except TopologyError as error:
        assert error.problems
    except TestbedError as error:
        assert error.where is not None
