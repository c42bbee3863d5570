"""Error messages as users meet them, kept as golden files: what, where, what to do.

To accept changed words: ``TESTBED_UPDATE_GOLDEN=1 make test``, then read the difference.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from testbed.cli import mape
from testbed.lab import Lab
from tests.cli.conftest import PAIR_YAML, Call, Called

_GOLDEN = Path(__file__).parent / "golden"
_BAD_YAML = """\
name: pair
nodes:
  alice: {roll: host}
links:
  cable:
    ends: ["alice:eth0 192.0.2.1/24", "bob:eth0 192.0.2.2"]
"""

_PURE = {
    "no-such-topology": ("up", "v6pluss"),
    "no-such-file": ("plan", "labs/nothing.yaml"),
    "not-a-topology-file": ("plan", "notes.txt"),
    "bad-topology-file": ("plan", "bad.yaml"),
    "failing-topology": ("plan", "failing/topology.py"),
    "bad-lab-name": ("up", "pair.yaml", "--name", "a/b"),
    "no-such-lab": ("status", "nowhere"),
    "exec-without-command": ("exec", "nowhere", "alice"),
    "exec-bad-env": ("exec", "--env", "=x", "nowhere", "alice", "true"),
    "no-such-command": ("upp",),
    "no-such-option": ("up", "--nmae", "x", "pair.yaml"),
    "down-names-and-all": ("down", "x", "--all"),
    "unknown-drawing": ("graph", "pair.yaml", "-o", "lab.png"),
    "unknown-drawing-format": ("graph", "pair.yaml", "--format", "visio"),
    "export-to-nobody": ("export", "pair.yaml", "--format", "gns3"),
    "export-bad-name": ("export", "pair.yaml", "-o", "lab.yaml"),
    "export-bad-image": ("export", "pair.yaml", "--image", "a b"),
    "export-bad-topology": ("export", "bad.yaml"),
    "export-unwritable": ("export", "pair.yaml", "-o", "no/such/folder/lab.clab.yml"),
    "unwritable-output": ("graph", "pair.yaml", "-o", "no/such/folder/lab.svg"),
    "unknown-event-kind": ("events", "nowhere", "--kind", "dorp"),
    "no-run-folder": ("events", "empty"),
    "unknown-fault": ("fault", "nowhere", "explode", "cable"),
    "fault-bad-delay": ("fault", "nowhere", "impair", "cable", "--delay", "20"),
    "fault-stray-loss": ("fault", "nowhere", "cut", "cable", "--loss", "1%"),
    "fault-stray-address": ("fault", "nowhere", "cut", "cable", "--address", "192.0.2.9/24"),
    "fault-bad-address": ("fault", "nowhere", "set-addresses", "a:b", "--address", "192.0.2.9"),
    "mape-no-length": ("mape", "calc", "240b:10:1234:4700::"),
    "mape-host-bits": ("mape", "calc", "240b:10:1234:4700::1/56"),
    "mape-no-rule": ("mape", "calc", "2001:db8::/56"),
    "mape-no-table": ("mape", "calc", "240b:10:1234:4700::/56", "--rules", "v6minus"),
    "mape-two-rules": ("mape", "calc", "::/56", "--rules", "ocn", "--rule", "x=y"),
    "mape-bad-rule": ("mape", "calc", "::/56", "--rule", "ipv6=2001:db8::/32,ipv=1"),
    "mape-bad-iid": ("mape", "calc", "240b:10:1234:4700::/56", "--iid", "rfc7579"),
}

_IN_A_LAB = {
    "lab-exists": ("up", "pair.yaml", "--name", "LAB"),
    "no-such-node": ("exec", "LAB", "carol", "--", "true"),
    "no-such-program": ("exec", "LAB", "alice", "--", "no-such-program"),
    "no-such-interface": ("capture", "LAB", "alice:eth7"),
    "capture-unknown-node": ("capture", "LAB", "carol:eth0"),
    "unwritable-capture": ("capture", "LAB", "alice:eth0", "-w", "no/such/folder/x.pcapng"),
    "capture-bad-filter": ("capture", "LAB", "alice:eth0", "-f", "tcp prt 80"),
    "no-such-log": ("logs", "LAB", "bob/nginx"),
    "no-such-target": ("fault", "LAB", "cut", "cabel"),
    "no-such-service": ("fault", "LAB", "kill-service", "bob/nginx"),
}


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    (work / "empty").mkdir(parents=True)
    (work / "failing").mkdir()
    (work / "failing" / "topology.py").write_text("def topology():\n    return 1 / 0\n")
    (work / "pair.yaml").write_text(PAIR_YAML)
    (work / "bad.yaml").write_text(_BAD_YAML)
    (work / "notes.txt").write_text("nothing")
    monkeypatch.chdir(work)


def _compare(name: str, words: Sequence[str], came: Called, changes: dict[str, str]) -> None:
    text = came.err
    for found, shown in changes.items():
        text = text.replace(found, shown)
    text = re.sub(r"labs up now: [^;]*;", "labs up now: ...;", text)
    text = re.sub(r"\(looked in [^)]*\)", "(looked in ...)", text)
    text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    shown = f"$ testbed {' '.join(words)}\n{text}[exit {came.code}]\n"
    golden = _GOLDEN / f"{name}.txt"
    if os.environ.get("TESTBED_UPDATE_GOLDEN"):
        golden.write_text(shown)
    assert shown == golden.read_text()
    assert came.out == ""
    assert "Traceback" not in came.err


@pytest.mark.parametrize("name", _PURE)
def test_an_error_without_a_lab(name: str, call: Call, tmp_path: Path) -> None:
    _compare(name, _PURE[name], call(*_PURE[name]), {str(tmp_path): "TMP"})


@pytest.mark.needs_root
@pytest.mark.parametrize("name", _IN_A_LAB)
def test_an_error_in_a_lab(name: str, call: Call, pair_lab: Lab) -> None:
    words = [pair_lab.name if word == "LAB" else word for word in _IN_A_LAB[name]]
    changes = {str(pair_lab.run_folder): "RUN", pair_lab.name: "LAB"}
    _compare(name, _IN_A_LAB[name], call(*words), changes)


def test_every_golden_file_belongs_to_a_case() -> None:
    assert {path.stem for path in _GOLDEN.iterdir()} == {*_PURE, *_IN_A_LAB}


def _fail_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(mape, "_calculate", fail)


def test_a_defect_is_told_without_a_traceback(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_with(RuntimeError("of the wrong kind"), monkeypatch)
    came = call("mape", "calc", "::/56")
    assert came.code == 1
    assert came.err.splitlines() == [
        "error: a defect of testbed: RuntimeError: of the wrong kind",
        " hint: run it again with TESTBED_DEBUG=1 for the traceback",
    ]
    monkeypatch.setenv("TESTBED_DEBUG", "1")
    assert "Traceback" in call("mape", "calc", "::/56").err


def test_trouble_of_the_machine_is_told_with_its_place(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_with(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/disk"), monkeypatch)
    came = call("mape", "calc", "::/56")
    assert came.code == 1
    assert came.err == "error: No space left on device\nwhere: /full/disk\n"


def test_an_interruption_is_no_error(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail_with(KeyboardInterrupt(), monkeypatch)
    assert call("mape", "calc", "::/56") == Called(130, "", "")
