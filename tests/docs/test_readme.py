"""The README's examples are the files they speak of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.evidence.graph import draw_svg
from testbed.model.discover import find_topology

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text()


@pytest.mark.parametrize("file", ["topologies/pair/topology.py", "topologies/pair/test_web.py"])
def test_the_examples_are_in_the_shipped_files(file: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", _README, re.DOTALL)
    assert len(blocks) == 2
    text = (_ROOT / file).read_text()
    assert any(block.strip() in text for block in blocks)


def test_the_picture_is_the_drawing_of_the_shipped_topology() -> None:
    """``testbed graph v6plus -o docs/v6plus.svg`` makes it anew."""
    assert (_ROOT / "docs/v6plus.svg").read_text().strip() == draw_svg(
        find_topology("v6plus")
    ).strip()


def test_the_two_commands_exist() -> None:
    makefile = (_ROOT / "Makefile").read_text()
    for target in ("test-topology", "test"):
        assert f"make {target}" in _README
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
