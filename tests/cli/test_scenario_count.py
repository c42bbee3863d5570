"""The number of scenarios that ``testbed list`` shows is the number that pytest finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from testbed.cli.scenario_count import count_scenarios

_ROOT = Path(__file__).parents[2]


def test_the_shipped_topologies_have_as_many_as_pytest_collects() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "topologies"]
    done = subprocess.run(
        command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    found = [line for line in done.stdout.splitlines() if "::" in line]
    for folder in sorted(path.parent for path in (_ROOT / "topologies").glob("*/topology.py")):
        collected = [line for line in found if line.startswith(f"topologies/{folder.name}/")]
        number, exact = count_scenarios(sorted(folder.glob("test_*.py")))
        assert number == len(collected) if exact else number <= len(collected), folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def test_a(): ...\nasync def test_b(): ...\ndef helper(): ...\n", (2, True)),
        (
            "CASES = {'a': 1, 'b': 2}\n@mark.parametrize('x', CASES)\ndef test_a(x): ...\n",
            (2, True),
        ),
        (
            "@mark.parametrize('x', [1, 2, 3])\n@mark.parametrize('y', (1, 2))\n"
            "def test_a(x, y): ...\n",
            (6, True),
        ),
        ("@mark.parametrize('x', range(9))\ndef test_a(x): ...\n", (1, False)),
        ("@mark.parametrize('x', [*many])\ndef test_a(x): ...\n", (1, False)),
        (
            "pytestmark = [mark.slow, mark.parametrize('x', [1, 2])]\ndef test_a(x): ...\n",
            (2, True),
        ),
        ("def test_(:\n", (0, False)),
    ],
)
def test_cases_are_counted_where_they_are_written_out(
    text: str, expected: tuple[int, bool], tmp_path: Path
) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(text)
    assert count_scenarios([file]) == expected
