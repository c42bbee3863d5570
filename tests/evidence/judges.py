"""tshark as a judge of captures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from testbed.kernel.namespaces import find_program

needs_tshark = pytest.mark.skipif(find_program("tshark") is None, reason="tshark is missing")


def tshark(path: Path, *fields: str, options: tuple[str, ...] = ()) -> list[list[str]]:
    """The fields of every packet as tshark reads them; several values are joined by ``|``."""
    command = ["tshark", "-n", "-r", str(path), *options, "-T", "fields", "-E", "aggregator=|"]
    for name in fields:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cut short" not in done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]
