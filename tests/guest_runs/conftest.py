"""Runs of ``testbed test`` in a folder of its own, with scenarios made for the purpose."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree
from zlib import crc32

import pytest

from tests.guest.conftest import kernel

__all__ = ["kernel"]

REPOSITORY = Path(__file__).parents[2]

_TOPOLOGY = """
    from testbed.model import Builder

    def topology():
        lab = Builder("small", "Two hosts")
        lab.host("alice")
        lab.host("bob")
        lab.link("cable", "alice:eth0 192.0.2.1/24", "bob:eth0 192.0.2.2/24")
        return lab.build()
"""


class Site:
    """A folder with a topology, as an author has it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "topologies" / "small"
        self.home.mkdir(parents=True)
        (self.home / "topology.py").write_text(textwrap.dedent(_TOPOLOGY))
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "TESTBED_RUNS": str(folder / "runs"),
            "HOME": str(folder / "home"),
            # The kernel and the copies of the sources are kept where they always are.
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
        }
        (folder / "home").mkdir()

    def write(self, name: str, text: str) -> None:
        """Add a file of scenarios."""
        text = "import pathlib, time\nimport pytest\n" + textwrap.dedent(text)
        (self.home / f"test_{name}.py").write_text(text)

    @contextmanager
    def start(self, *arguments: str, before: str = "") -> Iterator[subprocess.Popen[str]]:
        """Start ``testbed test small ARGUMENTS``; ``before`` is Python that runs first.

        Its guests do not wait for those of others on this machine.  A test that fails meanwhile
        does not wait for its end: guests end with it.
        """
        name = f"testbed-test-{crc32(str(self.folder).encode())}"
        places = f"import testbed.guest.slots as slots; slots._NAME = '\\0{name}-{{}}'"
        program = (
            f"{places}\n{textwrap.dedent(before)}\nfrom testbed.cli.main import main\nmain()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, "test", "small", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def run(self, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
        """The same, to its end."""
        with self.start(*arguments, before=before) as process:
            out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def run_folder(self) -> Path:
        """The one run's folder."""
        (folder,) = (self.folder / "runs").iterdir()
        return folder

    def junit(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Every test case of the one ``junit.xml``: how it ended, and its properties."""
        found = {}
        root = ElementTree.parse(self.run_folder / "junit.xml").getroot()
        for case in root.iter("testcase"):
            ends = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            properties = {
                one.get("name", ""): one.get("value", "") for one in case.iter("property")
            }
            found[case.get("name", "")] = (ends[0] if ends else "passed", properties)
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A folder without scenarios yet."""
    return Site(tmp_path)
