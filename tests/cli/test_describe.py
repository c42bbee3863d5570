"""Commands that touch no network: drawings, plans, files, the schema, MAP-E arithmetic."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from testbed import __version__
from testbed.cli.scenario_count import count_scenarios
from testbed.model import Builder, Ready, Service
from testbed.model.discover import find_topology
from testbed.model.files import dump_json, load_topology
from testbed.plan import make_plan
from tests.cli.conftest import PAIR_YAML, Call

_VECTORS = Path(__file__).parents[1] / "components" / "mape" / "data" / "mape_vectors.json"
_SECRET = "correct-horse-battery"


@pytest.fixture
def pair_file(tmp_path: Path) -> Path:
    path = tmp_path / "pair.yaml"
    path.write_text(PAIR_YAML)
    return path


def test_the_version(call: Call) -> None:
    assert call("--version").out.startswith(f"testbed {__version__} (Python 3.")


def test_help_names_every_command(call: Call) -> None:
    shown = call("--help")
    assert shown.code == 0
    labs = ["list", "up", "down", "status", "fault", "test"]
    look = ["exec", "shell", "capture", "events", "logs"]
    topologies = ["graph", "plan", "schema", "convert", "export"]
    for name in [*labs, *look, *topologies, "doctor", "mape"]:
        assert f" {name} " in shown.out, name


def test_python_m_testbed_is_the_command() -> None:
    words = [sys.executable, "-m", "testbed", "--version"]
    done = subprocess.run(words, capture_output=True, check=True)
    assert done.stdout.startswith(f"testbed {__version__}".encode())


def test_list_says_what_there_is(call: Call) -> None:
    listed = {one["name"]: one for one in json.loads(call("list", "--json").out)["topologies"]}
    v6plus = listed["v6plus"]
    assert v6plus["error"] is None
    assert v6plus["title"] == find_topology("v6plus").title
    tests = sorted(Path(v6plus["path"]).parent.glob("test_*.py"))
    assert (v6plus["scenarios"], v6plus["scenarios_exact"]) == count_scenarios(tests)
    assert v6plus["scenarios"] > 20
    assert "v6plus" in call("list").out


def test_a_topology_that_cannot_be_used_is_listed_with_the_reason(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "topologies" / "broken").mkdir(parents=True)
    (tmp_path / "topologies" / "broken" / "topology.py").write_text("import no_such_module\n")
    (tmp_path / "topologies" / "pair.yaml").write_text(PAIR_YAML)
    monkeypatch.chdir(tmp_path)
    shown = call("list")
    assert shown.code == 0
    assert "broken" in shown.out
    assert "no_such_module" in shown.out
    assert "Two hosts on a cable" in shown.out


def test_the_plan_in_both_forms(call: Call, pair_file: Path) -> None:
    plan = make_plan(load_topology(pair_file))
    assert call("plan", pair_file).out == plan.text()
    data = json.loads(call("plan", pair_file, "--json").out)
    assert data["topology"] == "hosts"
    assert len(data["operations"]) == len(plan.operations)
    assert data["operations"][0]["do"] == "make-node"
    cable = next(step for step in data["operations"] if step["do"] == "make-cable")
    assert (cable["left"]["node"], cable["right"]["name"]) == ("alice", "eth0")
    addresses = [step["address"] for step in data["operations"] if step["do"] == "add-address"]
    assert addresses == ["192.0.2.1/24", "192.0.2.2/24"]


def test_a_plan_shows_no_secret(call: Call, tmp_path: Path) -> None:
    lab = Builder("secretive")
    service = Service(
        name="vpn",
        command=("vpn", "--config", "{run}/conf"),
        files=(("conf", f"key={_SECRET}\n"),),
        env=(("KEY", _SECRET),),
        secrets=(_SECRET,),
        ready=Ready("started"),
    )
    lab.host("box", services=[service], files={"/etc/key": f"{_SECRET}\n"})
    path = tmp_path / "secretive.json"
    path.write_text(dump_json(lab.build()))
    for form in ((), ("--json",)):
        shown = call("plan", path, *form)
        assert shown.code == 0
        assert _SECRET not in shown.out
    assert shown.out.count("<secret>") == 3  # the service's file and variable, and the node's file


def test_drawings(call: Call, pair_file: Path, tmp_path: Path) -> None:
    svg = call("graph", pair_file).out
    assert svg.lstrip().startswith(("<svg", "<?xml"))
    assert "192.0.2.1" in svg
    mermaid = call("graph", pair_file, "--format", "mermaid").out
    assert "alice" in mermaid
    assert "<svg" not in mermaid
    drawio = call("graph", pair_file, "--format", "drawio").out
    assert drawio.startswith("<mxfile")
    for name, text in (("lab.svg", svg), ("lab.mmd", mermaid), ("lab.drawio", drawio)):
        done = call("graph", pair_file, "-o", tmp_path / name)
        assert (done.code, done.out) == (0, "")
        assert (tmp_path / name).read_text() == text


def test_a_drawing_is_not_thrown_at_a_terminal(
    call: Call, pair_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown = call("graph", pair_file)
    assert shown.code == 2
    assert shown.out == ""
    assert "-o lab.svg" in shown.err


def test_conversion_keeps_the_topology(call: Call, pair_file: Path, tmp_path: Path) -> None:
    expected = load_topology(pair_file)
    for name in ("copy.json", "copy.yaml"):
        assert call("convert", pair_file, "-o", tmp_path / name).code == 0
        copy = load_topology(tmp_path / name)
        assert dataclasses.replace(copy, source=None) == dataclasses.replace(expected, source=None)
    assert json.loads(call("convert", pair_file, "--to", "json").out)["name"] == "hosts"


def test_an_export_with_its_files(call: Call, tmp_path: Path) -> None:
    lab = Builder("two")
    lab.host("a", files={"/etc/motd": "hello\n"}, services=[Service("web", ("nginx", "-g"))])
    lab.host("b")
    lab.link("cable", "a:eth0 192.0.2.1/24", "b:eth0 192.0.2.2/24")
    original = lab.build()
    source = tmp_path / "two.json"
    source.write_text(dump_json(original))
    done = call("export", source, "-o", tmp_path / "out.clab.yml", "--image", "example/box:1")
    assert (done.code, done.out) == (0, "")
    assert "NOT CARRIED OVER (1 thing):\n  nothing starts the service: it runs nginx\n" in done.err
    assert "docker exec -d clab-two-a nginx -g" in done.err
    assert (tmp_path / "out.clab.files" / "a" / "etc" / "motd").read_text() == "hello\n"
    text = (tmp_path / "out.clab.yml").read_text()
    assert "image: example/box:1" in text
    assert f"# - nodes.a.services.web ({source}:" in text
    assert "): nothing starts the service: it runs nginx\n" in text
    bare = [dataclasses.replace(node, services=()) for node in original.nodes]
    expected = dataclasses.replace(original, nodes=tuple(bare), source=None)
    again = load_topology(tmp_path / "out.clab.yml")
    assert dataclasses.replace(again, source=None) == expected
    # Without a name there is no place for files, and that is said too.
    shown = call("export", source)
    assert shown.code == 0
    assert "out.clab.files" not in shown.out
    assert "give the exported file a name (-o FILE)" in shown.err


def test_what_a_foreign_file_says_besides_is_told(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "x.clab.yml"
    nodes = "".join(f"    n{i}: {{kind: linux, mgmt-ipv4: 172.20.20.{i}}}\n" for i in range(1, 7))
    path.write_text(f"name: x\ntopology:\n  nodes:\n{nodes}")
    for command in ("plan", "graph", "convert", "export"):
        shown = call(command, path)
        assert shown.code == 0
        assert f"NOT CARRIED OVER of {path} (6 things):" in shown.err
        assert "mgmt-ipv4: a lab has no management network" in shown.err
        assert f"at {path}:4:23 (topology.nodes.n1.mgmt-ipv4)" in shown.err
        assert "and at 3 more places" in shown.err


def test_an_image_is_told_of_where_it_is_not_used(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "x.clab.yml"
    path.write_text("name: x\ntopology:\n  nodes:\n    a: {kind: linux, image: example/box}\n")
    assert "image: example/box is used by --backend docker" in call("plan", path).err
    for words in (("plan", path, "--backend", "docker"), ("convert", path), ("export", path)):
        shown = call(*words)
        assert (shown.code, shown.err) == (0, "")
    assert "image: example/box" in shown.out


def test_the_published_schema_accepts_what_convert_writes(call: Call, pair_file: Path) -> None:
    schema = json.loads(call("schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    data = json.loads(call("convert", pair_file, "--to", "json").out)
    jsonschema.validate(data, schema)
    data["nodes"]["alice"] = {"roll": "host"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema)


@pytest.mark.parametrize("vector", json.loads(_VECTORS.read_text())["vectors"][:4])
def test_mape_calc_with_a_rule_of_ones_own(call: Call, vector: dict[str, object]) -> None:
    rule = vector["rule"]
    assert isinstance(rule, dict)
    spec = (
        f"ipv6={rule['ipv6_prefix']},ipv4={rule['ipv4_prefix']},ea={rule['ea_len']},"
        f"offset={rule['psid_offset']},br={rule['br']}"
    )
    for iid in ("draft03", "rfc7597"):
        shown = call("mape", "calc", vector["given_prefix"], "--rule", spec, "--iid", iid, "--json")
        data = json.loads(shown.out)
        assert data["ipv4"] == vector["ipv4"]
        assert data["psid"] == vector["psid"]
        assert data["psid_len"] == vector["psid_len"]
        assert data["psid_offset"] == vector["psid_offset"]
        assert data["ports"] == vector["port_ranges"]
        assert data["ce_ipv6"] == vector[f"ce_ipv6_{iid}"]
        assert data["br"] == rule["br"]


def test_mape_calc_uses_the_tables_and_their_layout(call: Call) -> None:
    vectors = json.loads(_VECTORS.read_text())["vectors"]
    shown = [v for v in vectors if v["rule"]["vne"].startswith(("JPNE", "OCN", "BIGLOBE"))]
    prefixes = [vector["given_prefix"] for vector in shown]
    found = json.loads(call("mape", "calc", *prefixes, "--json").out)
    assert [one["ce_ipv6"] for one in found] == [one["ce_ipv6_draft03"] for one in shown]
    by_table = json.loads(
        call("mape", "calc", "240b:10:1:4700::/56", "--rules", "v6plus", "--json").out
    )
    assert (by_table["ipv4"], by_table["psid"]) == ("106.72.0.1", 71)


def test_mape_calc_keeps_subnet_bits_when_asked(call: Call) -> None:
    key = "ce_ipv6_draft03_keep_subnet_bits"
    vectors = json.loads(_VECTORS.read_text())["vectors"]
    vector = next(one for one in vectors if key in one)
    data = json.loads(call("mape", "calc", vector["given_prefix"], "--keep-subnet", "--json").out)
    assert data["ce_ipv6"] == vector[key]


def test_mape_calc_for_a_person(call: Call) -> None:
    shown = call("mape", "calc", "240b:10:1234:4700::/56").out
    for part in ("106.72.18.52", "71 (0x47)", "5232-5247", "62576-62591", "draft03", "240 in 15"):
        assert part in shown, part
    unshared = "ipv6=2001:db8::/32,ipv4=192.0.2.0/24,ea=8"
    shown = call("mape", "calc", "2001:db8:500::/40", "--rule", unshared).out
    assert "192.0.2.5 (not shared)" in shown
    assert "0-65535" in shown
    prefixes = "ipv6=2001:db8::/32,ipv4=192.0.2.0/24,ea=4"
    shown = call("mape", "calc", "2001:db8:5000::/36", "--rule", prefixes).out
    assert "192.0.2.80/28 (the CE's own prefix)" in shown
