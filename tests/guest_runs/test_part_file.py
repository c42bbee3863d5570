"""What a part of a run writes down is read as it was, with the reader's own paths."""

from __future__ import annotations

import json
from pathlib import Path
from xml.sax.saxutils import escape

from hypothesis import given
from hypothesis import strategies as st

from testbed.evidence.report.data import DrawingEvidence, TableEvidence, TextEvidence
from testbed.evidence.report.redact import MARK
from testbed.guest.link import Kind
from testbed.model import Builder, Service
from testbed.scenarios.evidence import Evidence, File
from testbed.scenarios.inside_paths import TranslatedOutput, Translator
from testbed.scenarios.part_file import FILE, LabRecord, PartFile, PartReader
from testbed.scenarios.session import Scenario


def _lab(folder: Path) -> LabRecord:
    lab = Builder("tiny", "Two hosts")
    lab.host("a")
    lab.host("b")
    lab.link("ab", "a:x 192.0.2.1/24", "b:x 192.0.2.2/24")
    return LabRecord("tiny-1", lab.build(), folder / "labs/tiny", None)


def _scenario(folder: Path, lab: LabRecord) -> Scenario:
    table = TableEvidence("t", ("a", "b"), (("1", "2"), ("3", "4")), ("good", "bad"))
    text, drawing = TextEvidence("x", "y\n"), DrawingEvidence("d", "<svg/>")
    return Scenario(
        "f.py::test_x",
        "A title.",
        "failed",
        "why",
        3.5,
        1735689600_000000001,
        1735689603_000000001,
        "long\nüç\u2028 output",
        Evidence([text, table, drawing, File("f", folder / "labs/tiny/x.txt")]),
        [lab],
        [folder / "labs/tiny/captures/x.pcapng"],
        judged=True,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    file, lab = PartFile(inside), _lab(inside)
    file.lab(lab)
    file.scenario(_scenario(inside, lab))
    lab.trouble = "lost 3 packets"
    file.lab(lab)
    file.close()
    inside.rename(outside)

    reader = PartReader(outside)
    (_, first), (_, second), (_, third) = reader.news()
    read, new = reader.lab(first)
    assert new
    wanted = _lab(outside)
    assert (read.name, read.topology, read.run_folder) == (
        "tiny-1",
        wanted.topology,
        wanted.run_folder,
    )
    found = reader.scenario(second)
    assert found == _scenario(outside, read)
    again, new = reader.lab(third)
    assert again is read
    assert not new
    assert read.trouble == "lost 3 packets"
    assert list(reader.news()) == []


_SECRET = 'correct"horse\\bättery & <staple>'


def test_no_line_holds_a_secret_of_a_lab(tmp_path: Path) -> None:
    """In none of its forms, and what is left can be read."""
    builder = Builder("tiny", "One host")
    builder.host(
        "a",
        files={"/etc/key": f"psk {_SECRET}\n"},
        services=[Service("ike", ("cat", "/etc/key"), env=(("KEY", _SECRET),), secrets=(_SECRET,))],
    )
    lab = LabRecord("tiny-1", builder.build(), tmp_path / "labs/tiny", f"lost {_SECRET}")
    scenario = _scenario(tmp_path, lab)
    scenario.why, scenario.output = f"{_SECRET} is wrong", repr(_SECRET)
    scenario.evidence.text("The key", json.dumps({"key": _SECRET}))
    scenario.evidence.table("t", ("name", "key"), [("psk", _SECRET)])
    scenario.evidence.items.append(
        DrawingEvidence("d", f"<svg><text>{escape(_SECRET)}</text></svg>")
    )
    file = PartFile(tmp_path)
    file.lab(lab)
    file.scenario(scenario)
    file.write("report", {"nodeid": scenario.identity, "outcome": "failed", "longrepr": _SECRET})
    file.write("trouble", f"{_SECRET} cannot be read")
    file.close()

    text = (tmp_path / FILE).read_text()
    for part in ("horse", "ttery", "staple"):
        assert part not in text
    reader = PartReader(tmp_path)
    (_, first), (_, second), (_, report), (_, trouble) = reader.news()
    read, _ = reader.lab(first)
    (node,) = read.topology.nodes
    assert dict(node.files) == {"/etc/key": f"psk {MARK}\n"}
    assert node.services[0].secrets == (MARK,)
    assert read.trouble == f"lost {MARK}"
    found = reader.scenario(second)
    assert (found.identity, found.outcome, found.why) == (
        scenario.identity,
        "failed",
        f"{MARK} is wrong",
    )
    assert found.labs == [read]
    assert report == {"nodeid": scenario.identity, "outcome": "failed", "longrepr": MARK}
    assert trouble == f"{MARK} cannot be read"


def test_secrets_known_before_their_lab_is_up_count(tmp_path: Path) -> None:
    """It may never come up, and the failure tells of it."""
    secrets: set[str] = set()
    file = PartFile(tmp_path, secrets)
    secrets.add(_SECRET)
    file.write("trouble", f"no lab with {_SECRET}")
    file.close()
    assert list(PartReader(tmp_path).news()) == [("trouble", f"no lab with {MARK}")]


def test_a_line_that_is_being_written_is_left_for_later(tmp_path: Path) -> None:
    reader = PartReader(tmp_path)
    assert list(reader.news()) == []  # not even begun
    (tmp_path / FILE).write_text('{"start": 1}\n{"start"')
    assert list(reader.news()) == [("start", 1)]
    assert list(reader.news()) == []
    (tmp_path / FILE).write_text('{"start": 1}\n{"start": 2}\n')
    assert list(reader.news()) == [("start", 2)]


def test_only_the_beginning_of_a_path_is_translated() -> None:
    translator = Translator(Path("/runs/1"), [("/opt/testbed/code", "/home/me/testbed")])
    for text, wanted in {
        "see /testbed/labs/x and '/testbed/y'": "see /runs/1/labs/x and '/runs/1/y'",
        "/opt/testbed/code/a.py:3": "/home/me/testbed/a.py:3",
        "/srv/testbed/cli/main.py": "/srv/testbed/cli/main.py",
        "/testbed.txt /testbed2/x": "/testbed.txt /testbed2/x",
        "(/testbed/x)": "(/runs/1/x)",
    }.items():
        assert translator.text(text) == wanted


@given(st.binary(max_size=60), st.lists(st.integers(1, 9), min_size=1))
def test_output_is_the_same_however_it_comes_in_pieces(tail: bytes, sizes: list[int]) -> None:
    whole = b"at /testbed/x\n" + tail
    pieces = []
    rest, turn = whole, 0
    while rest:
        size = sizes[turn % len(sizes)]
        pieces.append(rest[:size])
        rest, turn = rest[size:], turn + 1
    results = []
    for parts in ([whole], pieces):
        got = b""

        def take(_kind: Kind, data: bytes) -> None:
            nonlocal got
            got += data

        output = TranslatedOutput(Translator(Path("/runs/1")), take)
        for part in parts:
            output(Kind.OUTPUT, part)
        output.flush()
        results.append(got)
    assert results[0] == results[1]
    assert results[0].startswith(b"at /runs/1/x\n")
