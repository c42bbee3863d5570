"""``testbed timeline``: the life of SAs from a run folder or a lab that is up."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from testbed.events import Note, Record, encode
from testbed.evidence.sa import history_json, rtx_log, sa_history
from testbed.lab import Lab
from tests.cli.conftest import Call
from tests.evidence.sa.synthetic import LOCAL, PEER, A, day

RECORDS = day(A, 24, [300.0])


def _write(folder: Path, records: list[Record]) -> Path:
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_text("".join(f"{encode(one)}\n" for one in records))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _write(tmp_path / "run", RECORDS)


def test_a_row_for_every_sa(call: Call, folder: Path) -> None:
    lines = call("timeline", folder).out.splitlines()
    assert lines[0].split()[:3] == ["SA", "SPIS", "ESTABLISHED"]
    assert len(lines) == 1 + len(sa_history(RECORDS).sas) + 1
    assert lines[-1] == "ping pc to vm: 1,439 of 1,440 probes answered"
    first = next(line for line in lines if line.startswith("CHILD_SA 1 "))
    assert "2017-07-15 09:55:33" in first
    assert "7 h 7 min 30 s" in first
    assert "azure" in first


def test_as_json_and_as_the_routers_log(call: Call, folder: Path) -> None:
    history = sa_history(RECORDS)
    assert json.loads(call("timeline", folder, "--json").out) == history_json(history)
    log = call("timeline", folder, "--rtx-log", "--tunnel", "100").out.splitlines()
    assert log == list(rtx_log(history, LOCAL, tunnel=100))
    other = call("timeline", folder, "--rtx-log", "--end", PEER).out.splitlines()
    assert other == list(rtx_log(history, PEER))


def test_drawn_into_a_file(call: Call, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "sa.svg"
    done = call("timeline", folder, "--svg", file)
    assert (done.code, done.out, done.err) == (0, "", f"drawn: {file}\n")
    lanes = [e.text for e in ET.fromstring(file.read_text()).iter() if e.get("class") == "lane"]
    assert lanes == ["IKE_SA", "CHILD_SA", "Traffic"]
    assert call("timeline", folder, "--svg", file, "--per-end", "--json").code == 0
    lanes = [e.text for e in ET.fromstring(file.read_text()).iter() if e.get("class") == "lane"]
    assert lanes[:2] == ["IKE_SA at rtx", "CHILD_SA at rtx"]


def test_the_one_lab_with_sas_of_a_run_of_scenarios(call: Call, tmp_path: Path) -> None:
    run = tmp_path / "run"
    _write(run / "labs" / "a", [Record(1, "test", Note('"kind":"ike-sa-established"'), "pc")])
    _write(run / "labs" / "b", RECORDS)
    assert "CHILD_SA 5" in call("timeline", run).out
    _write(run / "guests" / "g" / "labs" / "c", RECORDS)
    done = call("timeline", run)
    assert done.code == 1
    assert "2 labs of this run tell of an SA" in done.err
    assert str(run / "guests" / "g" / "labs" / "c") in done.err
    assert "CHILD_SA 5" in call("timeline", run / "guests" / "g" / "labs" / "c").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--end", "x"), "'x' told of no SA"),
        (("--svg", "no/such/folder/x.svg"), "the drawing cannot be written: No such file"),
        (("--json", "--rtx-log"), "--json and --rtx-log are two forms of one answer"),
    ],
)
def test_what_cannot_be_done_is_said(
    call: Call, folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = call("timeline", folder, *arguments)
    assert done.code != 0
    assert words in " ".join(done.err.replace("│", " ").split())
    assert done.out == ""


def test_a_run_without_sas(call: Call, tmp_path: Path) -> None:
    done = call("timeline", _write(tmp_path / "none", [Record(1, "test", Note("x"), "pc")]))
    assert done.code == 1
    assert "no event tells of an SA" in done.err
    (tmp_path / "run" / "labs").mkdir(parents=True)
    assert "no event of this run tells of an SA" in call("timeline", tmp_path / "run").err
    (tmp_path / "empty").mkdir()
    assert "this is no run folder" in call("timeline", tmp_path / "empty").err


@pytest.mark.needs_root
def test_a_lab_that_is_up(call: Call, pair_lab: Lab) -> None:
    done = call("timeline", pair_lab.name)
    assert done.code == 1
    assert "no event tells of an SA" in done.err
