"""What the user reads when a topology is wrong, word for word.

Each ``errors/NNN-name.SUFFIX`` is a topology with mistakes (``.pytext`` is Python, kept away from
the tools that check Python), and ``NNN-name.txt`` is the whole text of the error.  After a change
of words run ``UPDATE_GOLDEN=1 pytest tests/model/test_errors.py``, then read the difference.
"""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

import testbed.model
from testbed.errors import TestbedError
from testbed.model.discover import find_topology

FOLDER = Path(__file__).with_name("errors")
CASES = sorted(path for path in FOLDER.iterdir() if path.suffix != ".txt")


def _golden(case: Path) -> Path:
    return FOLDER / (case.name.split(".")[0] + ".txt")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_error_text(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = case.name.replace(".pytext", ".py")
    (tmp_path / name).write_bytes(case.read_bytes())
    monkeypatch.chdir(tmp_path)  # places are told relative to the working folder
    with pytest.raises(TestbedError) as caught:
        find_topology(name, search=[])
    text = f"{caught.value}\n"
    if os.environ.get("UPDATE_GOLDEN"):
        _golden(case).write_text(text, encoding="utf-8")
    assert text == _golden(case).read_text(encoding="utf-8")


def test_texts_are_for_people() -> None:
    """No Python names, no empty hints, no value of a secret."""
    for case in CASES:
        text = _golden(case).read_text(encoding="utf-8")
        for unwanted in (
            "Traceback",
            " object at ",
            "NoneType",
            "correct-horse",
            "s3cret",
            "1234 ",
        ):
            assert unwanted not in text, (case.name, unwanted)
        assert not re.search(r"hint: *$", text, re.MULTILINE), case.name


_REPORTERS = {"Problem", "problem", "_problem", "_Fatal"}
# Codes that do not stand in the call that reports them.
_INDIRECT = {
    *("duplicate-node", "duplicate-link", "duplicate-service"),
    *("unused-value", "missing-value", "bad-port", "bad-pattern", "bad-path", "bad-argument"),
    *("bad-address", "bad-route"),
}


def _codes_in_source() -> set[str]:
    """Every code that some line of the model can give."""
    codes = set(_INDIRECT)
    for path in Path(testbed.model.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            first = call.args[0]
            if name in _REPORTERS and isinstance(first, ast.Constant):
                codes.add(str(first.value))
    return codes


def test_every_code_has_a_case() -> None:
    seen = set()
    for case in CASES:
        text = _golden(case).read_text(encoding="utf-8")
        seen |= set(re.findall(r"\[([a-z0-9-]+)\]$", text, re.MULTILINE))
    codes = _codes_in_source()
    assert len(codes) > 80, "the search for codes in the source finds too little"
    assert codes == seen
