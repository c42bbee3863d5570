"""What .ci/run relies on: the count of tests and the picture of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.setup.scaffold import REPOSITORY, await_that

CASES = """<testsuites><testsuite>
<testcase name="good"/>
<testcase name="bad"><failure message="no">trace</failure></testcase>
<testcase name="torn"><error message="no">trace</error></testcase>
<testcase name="left out"><skipped message="this machine has no netem: asked"/></testcase>
<testcase name="left out too"><skipped message="somebody was tired"/></testcase>
</testsuite></testsuites>"""


def _count(tmp_path: Path, cases: str, *options: str) -> tuple[int, list[str]]:
    junit = tmp_path / "junit.xml"
    junit.write_text(cases)
    expected = tmp_path / "expected"
    expected.write_text("# why\n^this machine has no netem\n")
    script = REPOSITORY / ".ci" / "skips_and_counts.py"
    done = subprocess.run(
        [sys.executable, str(script), *options, str(expected), str(junit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_failures_and_errors_both_count_as_failed(tmp_path: Path) -> None:
    status, lines = _count(tmp_path, CASES)
    assert (status, lines[-1]) == (1, "1 passed, 2 failed, 2 skipped")
    assert "skipped    1  this machine has no netem: asked" in lines
    assert "skipped    1  somebody was tired" in lines


def test_only_strict_refuses_an_unexpected_skip(tmp_path: Path) -> None:
    cases = CASES.replace("failure", "x").replace("error", "x")
    assert _count(tmp_path, cases)[0] == 0
    status, lines = _count(tmp_path, cases, "--strict")
    assert (status, lines[-1]) == (1, "3 passed, 1 failed, 2 skipped")
    assert "skipped    1  UNEXPECTED somebody was tired" in lines
    assert any("somebody was tired" in line for line in lines if line.startswith("error:"))


def test_a_run_without_an_executed_test_is_a_failure(tmp_path: Path) -> None:
    status, lines = _count(tmp_path, "<testsuites><testsuite/></testsuites>")
    assert (status, lines[-1]) == (1, "0 passed, 1 failed, 0 skipped")


def _picture(temporary: Path) -> set[str]:
    done = subprocess.run(
        [str(REPOSITORY / ".ci" / "machine-state")],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split("\t")[0] for line in done.stdout.splitlines()}


def test_the_picture_has_this_machine_in_it(tmp_path: Path) -> None:
    picture = _picture(tmp_path)
    own_network = Path("/proc/self/ns/net").readlink()
    assert f"namespace {own_network}" in picture
    assert "interface lo" in picture
    assert "address 127.0.0.1" in picture
    assert any(line.startswith("mount /") for line in picture)


def test_what_a_lab_leaves_behind_changes_the_picture(tmp_path: Path) -> None:
    before = _picture(tmp_path)
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = ["unshare", *as_root, "--net", "--", "sleep", "60"]
    with subprocess.Popen(unshare, start_new_session=True) as lost:
        try:
            own = Path("/proc/self/ns/net").readlink()
            link = Path(f"/proc/{lost.pid}/ns/net")
            try:
                await_that(lambda: link.readlink() != own)
            except OSError:
                pytest.skip("this user may not make a user namespace")
            (tmp_path / "testbed-left").touch()
            after = _picture(tmp_path)
            assert f"namespace {link.readlink()}" in after
            assert f"file {tmp_path}/testbed-left" in after - before
        finally:
            lost.kill()
