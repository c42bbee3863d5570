"""The lists, the lock and the Makefile of this repository agree with each other and the code."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from testbed.doctor.programs import PROGRAMS
from tests.setup.scaffold import REPOSITORY

LOCK = (REPOSITORY / "requirements.lock").read_text()
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+) \\$", re.MULTILINE)
LOCKED = {canonicalize_name(name): version for name, version in _PIN.findall(LOCK)}


def _rows(name: str) -> list[list[str]]:
    listing = subprocess.run(
        ["bash", "-c", '. setup/lib.sh; list_rows "$1"', "-", f"setup/{name}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [line.split("\t") for line in listing.splitlines()]


def test_every_list_can_be_read_and_names_no_package_twice() -> None:
    lists = [path.name for path in (REPOSITORY / "setup").glob("debian-packages*.txt")]
    assert "debian-packages.txt" in lists
    for name in lists:
        names = [row[0] for row in _rows(name)]
        assert names
        assert sorted(set(names)) == sorted(names)


def test_what_the_doctor_looks_for_is_what_the_set_up_installs() -> None:
    brought = {(row[1], row[0]) for row in _rows("debian-packages.txt")}
    looked_for = {(program.name, program.package) for program in PROGRAMS}
    assert looked_for <= brought
    # The rest is there wherever the testbed runs at all, or tells no version (swanctl does for it).
    of_the_system = {
        ("charon-systemd", "charon-systemd"),
        ("python3", "python3"),
        ("-", "python3-venv"),
        ("make", "make"),
        ("mount", "mount"),
        ("brctl", "bridge-utils"),  # of 1.7.1 it says 1.7
    }
    assert brought - looked_for == of_the_system


def _wanted() -> list[str]:
    project = PYPROJECT["project"]
    return [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        *project["optional-dependencies"]["docker"],
        *PYPROJECT["build-system"]["requires"],
    ]


@pytest.mark.parametrize("text", _wanted())
def test_the_lock_has_what_pyproject_asks_for(text: str) -> None:
    """Fails when a dependency was added or raised without ``make lock``."""
    wanted = Requirement(text)
    version = LOCKED.get(canonicalize_name(wanted.name))
    assert version is not None, f"{wanted.name} is not in requirements.lock: make lock"
    assert wanted.specifier.contains(version)


def test_every_locked_package_has_hashes_and_nothing_names_an_index() -> None:
    blocks = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(LOCKED)
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
    assert "://" not in LOCK
    assert "--index-url" not in LOCK


def test_make_alone_lists_every_target() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    shown = subprocess.run(
        ["make"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    listed = set(re.findall(r"^  make (\S+)", shown, re.MULTILINE))
    by_others = {"setup-bench", "setup-guest", "setup-engine"}
    assert listed == set(phony[1].split()) - by_others


_SCRIPTS = sorted([*(REPOSITORY / "setup").glob("*.sh"), *(REPOSITORY / ".ci").glob("[rm]*")])


@pytest.mark.parametrize("script", _SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_bash_that_parses(script: Path) -> None:
    assert "bash" in script.read_text().splitlines()[0]
    subprocess.run(["bash", "-n", str(script)], check=True)
