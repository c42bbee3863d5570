"""Programs: found, of which version, from which package."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.doctor.capability import Capability, State
from testbed.doctor.programs import PROGRAMS, Program, find_programs

SOUND = Program("sound", "sound-tools", "makes sounds", ("-V",), r"^sound (\S+)")


def _examine(output: str | Exception, path: str | None = "/usr/bin/sound") -> Capability:
    asked: list[tuple[str, ...]] = []

    def run(command: tuple[str, ...]) -> str:
        asked.append(command)
        if isinstance(output, Exception):
            raise output
        return output

    (capability,) = find_programs([SOUND], find=lambda name: path, run=run)
    assert asked == ([] if path is None else [(path, "-V")])
    return capability


def test_found_with_its_version() -> None:
    capability = _examine("warning: loud\nsound 1.2 (build 3)\n")
    assert capability.state is State.YES
    assert capability.detail == "1.2 (/usr/bin/sound)"
    assert capability.remedy == ""


def test_not_found_names_the_package() -> None:
    capability = _examine("", path=None)
    assert (capability.state, capability.detail) == (State.NO, "not found")
    assert capability.remedy.endswith(" sound-tools")


def test_another_program_of_that_name_is_told_apart() -> None:
    capability = _examine("BusyBox v1.35\nusage: sound\n")
    assert capability.state is State.LIMITED
    assert "'BusyBox v1.35'" in capability.detail
    assert "another sound than that of sound-tools" in capability.detail


def test_one_that_prints_nothing() -> None:
    assert "it says 'nothing'" in _examine("").detail


def test_one_that_cannot_be_run() -> None:
    capability = _examine(PermissionError(13, "Permission denied"))
    assert capability.state is State.NO
    assert "cannot be run: Permission denied" in capability.detail


def test_one_that_hangs() -> None:
    capability = _examine(subprocess.TimeoutExpired("sound", 20))
    assert capability.state is State.NO
    assert "did not say its version in 20 s" in capability.detail


def test_a_program_whose_library_is_missing_cannot_be_run() -> None:
    broken = Program("sh", "x", "x", ("-c", "echo no libfoo.so >&2; exit 127"), "never")
    (capability,) = find_programs([broken])
    assert capability.state is State.NO
    assert "exit status 127: no libfoo.so" in capability.detail


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_patterns_read_the_versions_of_the_real_programs(program: Program) -> None:
    """Against dpkg, which knows the version of the package that owns the program."""
    (capability,) = find_programs([program])
    if capability.state is State.NO:
        pytest.skip(f"the program {program.name!r} is not installed (see testbed doctor)")
    path = capability.detail.split("(")[1].rstrip(")")
    if shutil.which("dpkg-query") is None or not _owns(program.package, path):
        pytest.skip(f"{path} is not from the Debian package {program.package}")
    asked = _dpkg_query("-W", "-f", "${source:Upstream-Version}", program.package).stdout
    upstream = re.match(r"[0-9.]+", asked)
    assert upstream is not None
    assert capability.detail.startswith(upstream[0])


def _dpkg_query(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["dpkg-query", *arguments], capture_output=True, text=True, check=False)


def _owns(package: str, path: str) -> bool:
    real = str(Path(path).resolve())  # traceroute is a link that alternatives made
    found = _dpkg_query("-S", real, real.removeprefix("/usr")).stdout
    return any(line.split(":")[0] == package for line in found.splitlines())
