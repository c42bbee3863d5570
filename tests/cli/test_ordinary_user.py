"""The command as a user without rights: labs, commands, shells and captures work the same."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import PAIR_YAML, Terminal

_ROOT = Path(__file__).parents[2]
_UID = 54322
_BEGIN = """
set -e
t() { "$PYTHON" -B -m testbed "$@"; }
t up pair.yaml --name plain >up.txt
t status plain | head -n 1
t exec plain alice -- sh -c 'id -u; ping -q -c1 192.0.2.2 >&2; exit 9' || echo "exit $?"
echo 'hostname; exit 4' | t shell plain bob || echo "exit $?"
t capture plain bob:eth0 -f icmp -c 4 -w x.pcapng 2>capture.txt &
until grep -q capturing capture.txt; do sleep 0.02; done
t exec plain alice -- ping -q -c2 -i 0.01 192.0.2.2 >&2
wait $!
cat capture.txt >&2
"""
_END = """
"$PYTHON" -B -m testbed down plain
"$PYTHON" -B -m testbed status
"""


@pytest.fixture
def users_folder() -> Iterator[Path]:
    """A folder that the ordinary user owns and can reach."""
    with tempfile.TemporaryDirectory(prefix="testbed-user-") as name:
        os.chown(name, _UID, _UID)
        (Path(name) / "pair.yaml").write_text(PAIR_YAML)
        yield Path(name)


def _words(script: str) -> list[str]:
    """How to run a shell script as the user.

    The user may not be able to look into this checkout: it is shown at /mnt, to this user only.
    """
    drop = f"setpriv --reuid={_UID} --regid={_UID} --clear-groups --no-new-privs"
    enter = f"mount --bind {shlex.quote(str(_ROOT))} /mnt && exec {drop} sh -c"
    return ["unshare", "--mount", "sh", "-c", f"{enter} {shlex.quote(script)}"]


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_session_without_rights(users_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = Path(sys.executable)
    inside = Path("/mnt") / python.relative_to(_ROOT) if python.is_relative_to(_ROOT) else python
    monkeypatch.chdir(users_folder)
    for name, value in {
        "PYTHON": str(inside),
        "PYTHONPATH": "/mnt",
        "HOME": str(users_folder),
        "TESTBED_RUNS": str(users_folder / "runs"),
        "SHELL": "/bin/sh",
    }.items():
        monkeypatch.setenv(name, value)

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            _words(script), capture_output=True, text=True, check=False, timeout=60
        )

    try:
        done = run(_BEGIN)
        assert done.returncode == 0, done.stderr
        first, *lines = done.stdout.splitlines()
        assert first.startswith("plain is up for ")
        assert lines == ["0", "exit 9", "bob", "exit 4"]
        assert "note: as an ordinary user" in done.stderr
        assert "4 packets in x.pcapng, 0 lost" in done.stderr
        assert "plain is up: 2 nodes, 1 link" in Path("up.txt").read_text()
        at = Terminal(_words('exec "$PYTHON" -B -m testbed shell plain alice'))
        try:
            at.expect("plain/alice:.*# ")
            at.type("echo at $(hostname); test -t 0 && exit 6\n")
            at.expect("at alice\r\n")
            assert at.wait() == 6
            assert at.restored
        finally:
            at.close()
    finally:
        ended = run(_END)
    assert ended.stdout.startswith("plain is down; its record: ")
    assert ended.stdout.endswith("no lab is up; bring one up with: testbed up TOPOLOGY\n")
