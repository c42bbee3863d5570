"""``testbed events``, ``logs`` and ``fault``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.cli.event_lines import event_line
from testbed.cli.follow import GrowingFile
from testbed.events import Drop, LabUp, Note, PacketSummary, Record, encode
from testbed.events.codec import event_types
from testbed.lab import Lab
from tests.cli.conftest import Call, Start, read_until
from tests.events.samples import sample

_PACKET = PacketSummary("10.0.0.1", "192.0.2.7", "UDP", 60, 5000, 53)
_DROP = Drop("map-br", "wrong-psid", "tunnel ingress", _PACKET, "rule 3", "RFC 7597 8.1", "x\ny")


def _records() -> list[Record]:
    return [
        Record(1_000_000_000, "harness", LabUp("lab", 2, 1, 0.5)),
        Record(2_000_000_000, "service", _DROP, "br", "map-br"),
        Record(3_000_000_000, "test", Note("said"), "pc"),
    ]


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """The folder of a lab that is down."""
    folder = tmp_path / "run"
    (folder / "logs").mkdir(parents=True)
    (folder / "events.jsonl").write_text("".join(f"{encode(one)}\n" for one in _records()))
    topology = {"name": "x", "nodes": {"br": {"services": {"map-br": {}}}, "pc": None}}
    (folder / "topology.json").write_text(json.dumps(topology))
    (folder / "logs" / "br-map-br.log").write_text(
        "".join(f"line {n}\n" for n in range(20)) + "cut"
    )
    (folder / "logs" / "lab.log").touch()
    return folder


def test_events_of_an_earlier_run(call: Call, run_folder: Path) -> None:
    lines = call("events", run_folder).out.splitlines()
    assert len(lines) == 3
    assert "lab-up" in lines[0]
    assert "is up (2 nodes, 1 link) after 0.5 s" in lines[0]
    assert "br/map-br: map-br drops (wrong-psid) at tunnel ingress" in lines[1]
    assert "UDP 10.0.0.1:5000 > 192.0.2.7:53 (60 bytes); rule 3" in lines[1]
    assert "RFC 7597 8.1; x y" in lines[1]
    assert lines[2].endswith("pc: said")


def test_events_by_kind_and_node(call: Call, run_folder: Path) -> None:
    stored = (run_folder / "events.jsonl").read_text().splitlines(keepends=True)
    assert call("events", run_folder, "--json").out == "".join(stored)
    assert call("events", run_folder, "--kind", "drop", "--json").out == stored[1]
    assert call("events", run_folder, "-k", "drop", "-k", "note", "--json").out == "".join(
        stored[1:]
    )
    assert call("events", run_folder, "--node", "pc", "--json").out == stored[2]


def test_the_schema_describes_every_kind(call: Call) -> None:
    schema = json.loads(call("events", "--schema").out)
    assert {one["title"] for one in schema["oneOf"]} == set(event_types())


@pytest.mark.parametrize("kind", sorted(event_types()))
def test_every_kind_of_event_has_a_line_of_its_own(kind: str) -> None:
    """No kind falls through to the representation for programmers."""
    cls = event_types()[kind]
    event = sample(cls, {str: "two words", int: 7, float: 1.5, bool: False})
    line = event_line(Record(0, "harness", event, "node"))
    assert kind in line
    assert cls.__name__ not in line
    assert "\n" not in line


def test_logs_of_an_earlier_run(call: Call, run_folder: Path) -> None:
    whole = call("logs", run_folder, "br/map-br").out
    assert whole == "".join(f"line {n}\n" for n in range(20)) + "cut\n"
    ends = call("logs", run_folder).out
    assert "==> br/map-br <==\nline 11\n" in ends
    assert ends.endswith("==> lab <==\n\n")


def test_a_growing_file_gives_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = GrowingFile(path)
    assert file.lines() == []
    path.write_bytes(b"one\ntw")
    assert file.lines() == ["one"]
    assert file.remainder() == ["tw"]
    with path.open("ab") as more:
        more.write("o\nthré".encode()[:-1])
    assert file.lines() == ["two"]
    with path.open("ab") as more:
        more.write("é".encode()[-1:] + b"\n")
    assert file.lines() == ["thré"]
    assert file.lines() == file.remainder() == []


@pytest.mark.needs_root
def test_following_events_until_the_lab_goes_down(own_lab: Lab, start: Start) -> None:
    process = start("events", own_lab.name, "--follow", "--kind", "fault-applied", "-k", "lab-down")
    own_lab.cut("cable")
    read_until(process.stdout, b"fault-applied .*fault cut on cable")
    own_lab.restore("cable")
    read_until(process.stdout, b"fault-applied .*fault restore on cable")
    own_lab.down()
    read_until(process.stdout, b"lab-down .*asked")
    assert process.wait(30) == 0


@pytest.mark.needs_root
def test_following_a_log(own_lab: Lab, start: Start) -> None:
    process = start("logs", own_lab.name, "bob/talker", "--follow")
    read_until(process.stdout, b"one\nready\n")
    own_lab.fault("restart-service", "bob/talker")
    read_until(process.stdout, b"one\nready\n")
    own_lab.down()
    assert process.wait(30) == 0


@pytest.mark.needs_root
def test_faults_reach_the_lab(own_lab: Lab, call: Call) -> None:
    def answered() -> bool:
        return own_lab.run("alice", ["ping", "-c1", "-W1", "192.0.2.2"]).ok

    assert answered()
    assert call("fault", own_lab.name, "cut", "bob:eth0").out == f"{own_lab.name}: cut bob:eth0\n"
    assert not answered()
    assert call("fault", own_lab.name, "restore", "bob:eth0").code == 0
    assert answered()
    changed = call("fault", own_lab.name, "set-addresses", "bob:eth0", "--address", "192.0.2.77/24")
    assert changed.out == f"{own_lab.name}: set-addresses bob:eth0 192.0.2.77/24\n"
    assert own_lab.run("alice", ["ping", "-c1", "-W1", "192.0.2.77"]).ok
    assert call("fault", own_lab.name, "kill-service", "bob/talker").code == 0
    assert own_lab.status()["services"]["bob/talker"] == "exited -9"
    assert "exited -9" in call("status", own_lab.name).out


@pytest.mark.needs_root
def test_a_rate_limit_is_put_on_and_taken_off(own_lab: Lab, call: Call) -> None:
    def discipline() -> str:
        return own_lab.run("alice", ["tc", "qdisc", "show", "dev", "eth0"]).stdout

    plain = discipline()
    done = call("fault", own_lab.name, "impair", "alice:eth0", "--rate", "10mbit")
    assert done.out == f"{own_lab.name}: impair alice:eth0\n"
    assert "10Mbit" in discipline()
    mended = call("fault", own_lab.name, "impair", "alice:eth0")
    assert mended.out == f"{own_lab.name}: mend alice:eth0\n"
    assert discipline() == plain
